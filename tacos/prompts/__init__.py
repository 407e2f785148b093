"""Prompt templates, one per file, written for this project; instructions first, the sample last.

Servers cache shared prefixes, so everything that changes from call to call stands at the end. The
files are sent as they are (after filling in $placeholders) and cannot hold comments; their sources:

tag.txt         open tagging as TACOS describes it (arXiv 2507.03673): coarse tags of the user's
                intention, each with an explanation, as a JSON list. Fields: prompt.
compare.txt     TACOS's comparative scoring: two samples in one call, seven criteria, harsh, blind to
                length and order, feedback before two scores in [1, 100] (figure 3; the released prompt
                file has 0-100). Fields: low, prompt_1, response_1, prompt_2, response_2.
rate.txt        a single rating of accuracy, 0-5, after AlpaGasus (arXiv 2307.08701), which puts the
                score on the first line; here the reason comes first. Fields: prompt, response.
judge_pair.txt  pairwise judging with a score of 1-10 for each answer (LLM-as-a-judge, arXiv
                2306.05685), feedback first. Fields: question, answer_1, answer_2.
judge_prefer.txt  which of two answers is preferred, in one letter, so that a judge's log-probabilities of
                A and B can be read (after AlpacaEval 2, https://github.com/tatsu-lab/alpaca_eval; its own
                prompt has other words). No JSON, so no schema. Fields: question, answer_1, answer_2.

None of the wording is theirs.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from string import Template
from typing import Any

from tacos.errors import ConfigError, nearest

_MARK = re.compile(r"<(/?(?:prompt|response|question|answer)(?:_[12])?)>", re.IGNORECASE)


@cache
def load(name: str) -> Template:
    """The template in `<name>.txt`. Raises: ConfigError naming the nearest known template."""
    folder = resources.files(__name__)
    known = [f.name.removesuffix(".txt") for f in folder.iterdir() if f.name.endswith(".txt")]
    if name not in known:
        raise ConfigError(f"unknown prompt {name!r}: {nearest(name, known)}")
    return Template((folder / f"{name}.txt").read_text(encoding="utf-8"))


def fill(name: str, **fields: str) -> str:
    """The prompt with its fields; a field that imitates our delimiters has them defused ("<x>" -> "(x)").

    Raises: KeyError for a field that is left out.
    """
    return load(name).substitute({key: _MARK.sub(r"(\1)", text) for key, text in fields.items()})


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_TEXT = {"type": "string"}
_NUMBER = {"type": "integer"}

SCHEMAS: dict[str, dict[str, Any]] = {
    # OpenAI wants an object on top; `parse_tags` reads it like the bare list the prompt asks for.
    "tag": _object(tags={"type": "array", "items": _object(tag=_TEXT, explanation=_TEXT)}),
    "compare": _object(feedback=_TEXT, score_1=_NUMBER, score_2=_NUMBER),
    "rate": _object(feedback=_TEXT, score={"type": "number"}),
    "judge_pair": _object(feedback=_TEXT, score_1=_NUMBER, score_2=_NUMBER),
}
"""JSON schema of each template's reply, for `Request.json_schema`."""
