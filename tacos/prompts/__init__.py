"""Prompt templates, one per file, written for this project; instructions first, the sample last.

Servers cache shared prefixes, so everything that changes from call to call stands at the end. The
files are sent as they are (after filling in $placeholders) and cannot hold comments; their sources:

tag.txt         open tagging as TACOS describes it (arXiv 2507.03673): coarse tags of the user's
                intention, each with an explanation, as a JSON list. The released prompt sets no number and
                no length of tags and asks for English; ours wants one to five of one to three words, so that
                tags of a small pool repeat, in whatever language. Fields: prompt.
compare.txt     TACOS's comparative scoring: two samples in one call, seven criteria of equal weight, harsh,
                blind to length and order, each score about its own sample with the other to calibrate,
                feedback before two scores in [1, 100] (figure 3). The released prompt has 0-100 and asks for
                an explanation of every criterion, which ours sums up in two or three sentences. An earlier
                released one scores a pair from 1 to 6. Fields: low, high, prompt_1, response_1, prompt_2,
                response_2.
compare_list.txt  the same for three to five samples in one call, with a list of scores. Fields: low, high, count,
                samples.
rate.txt        one sample on its own, with the criteria of compare.txt: TACOS without comparison (their
                ablation, whose prompt is not among the released files). Fields: low, high, prompt, response.
rate_accuracy.txt  a single rating of accuracy, after AlpaGasus (arXiv 2307.08701), which puts the
                score on the first line; here the reason comes first. Fields: low, high, prompt, response.
refine_response.txt, refine_instruction.txt  a critique, then the rewritten text between <refined> and
                </refined>, in the two steps of TACOS's refinement (arXiv 2507.03673; its prompts are not at
                hand). Texts are filled in as they are. Fields: prompt, instruction, input, response.
judge_pair.txt  pairwise judging with a score of 1-10 for each answer (LLM-as-a-judge, arXiv
                2306.05685), feedback first. Fields: question, answer_1, answer_2.
judge_binary.txt  one verdict on two answers, 1 for the better one and 0 for the other: how IterSelectTune's
                judge is described (arXiv 2410.13464; its prompt is not released). Fields: question, answer_1,
                answer_2.
judge_prefer.txt  which of two answers is preferred, in one letter, so that a judge's log-probabilities of
                A and B can be read (after AlpacaEval 2, https://github.com/tatsu-lab/alpaca_eval; its own
                prompt has other words). No JSON, so no schema. Fields: question, answer_1, answer_2.
selectit.txt    five ways of asking a local model for one digit from 1 to 5, a line each; its next token is read and
                nothing is written (SelectIT, arXiv 2402.16705). No fields: the sample is put after each line.

None of the wording is theirs.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from tacos.errors import ConfigError, nearest

_MARK = re.compile(r"<(/?(?:prompt|response|question|answer)(?:_[1-5])?)>", re.IGNORECASE)
_WEIGHED = ("response_1", "response_2", "answer_1", "answer_2", "samples")
_TEXTS = ("prompt", "instruction", "response")


@cache
def load(name: str) -> Template:
    """The template in `<name>.txt`. Raises: ConfigError naming the nearest known template."""
    if name not in packaged():
        raise ConfigError(f"unknown prompt {name!r}: {nearest(name, packaged())}")
    return Template((resources.files(__name__) / f"{name}.txt").read_text(encoding="utf-8"))


@cache
def packaged() -> tuple[str, ...]:
    """Names of the templates that come with tacos."""
    files = resources.files(__name__).iterdir()
    return tuple(sorted(f.name.removesuffix(".txt") for f in files if f.name.endswith(".txt")))


def fill(name: str, **fields: str) -> str:
    """The prompt with its fields; a field that imitates our delimiters has them defused ("<x>" -> "(x)"), but for
    `samples`, which holds delimiters of ours.

    Raises: KeyError for a field that is left out.
    """
    made = {key: text if key == "samples" else defused(text) for key, text in fields.items()}
    return load(name).substitute(made)


def defused(text: str) -> str:
    """Without anything that reads like a delimiter of ours: "</prompt_1>" -> "(/prompt_1)"."""
    return _MARK.sub(r"(\1)", text)


def read_own(path: str) -> str:
    """The text of a user's prompt file; one that was edited, as between two cells of a notebook, is read again.

    Raises: ConfigError when it is not there or not UTF-8.
    """
    try:
        known = os.stat(path)
        return _text(path, known.st_mtime_ns, known.st_size)
    except (OSError, UnicodeDecodeError) as error:
        near = nearest(path, packaged())
        raise ConfigError(
            f"prompt {path!r} is neither a packaged prompt nor a readable file: {near}"
        ) from error


@lru_cache(maxsize=64)
def _text(path: str, mtime_ns: int, size: int) -> str:
    return Path(path).read_text(encoding="utf-8-sig")


def fill_own(text: str, places: Mapping[str, str], fields: Mapping[str, str]) -> str:
    """A user's prompt with its fields.

    places: what stands in the text -> the field that goes there, such as {"<Instruction 1>": "prompt_1"}; without
        any, fields stand as $name. What is filled in is not searched for places again.
    """
    if not places:
        return Template(text).substitute(fields)
    pattern = re.compile("|".join(re.escape(place) for place in sorted(places, key=len, reverse=True)))
    return pattern.sub(lambda found: fields[places[found.group()]], text)


def check_own(text: str, places: Mapping[str, str], known: Sequence[str], where: str) -> None:
    """Raises: ConfigError when a user's prompt has no place for what is asked about, or one that nothing fills."""
    for place, field in places.items():
        if field not in known:
            raise ConfigError(f"{where}.fields: {place!r} asks for {field!r}: {nearest(field, known)}")
        if place not in text:
            raise ConfigError(f"{where}.prompt: {place!r} of {where}.fields does not occur in the file")
    template = Template(text)
    unknown = [] if places else [name for name in template.get_identifiers() if name not in known]
    if unknown or not (places or template.is_valid()):
        raise ConfigError(
            f"{where}.prompt: ${unknown[0] if unknown else ''} is filled by nothing (known: "
            f"{', '.join('$' + name for name in known)}); write a dollar sign as $$, or map places with {where}.fields"
        )
    if lacking := _lacking(set(places.values()) or set(template.get_identifiers()), known):
        raise ConfigError(f"{where}.prompt has no place for {lacking}: {_how_to_place(text, known, where)}")
    if braces := [name for name in _braces(text, known) if name not in places]:
        raise ConfigError(f"{where}.prompt: nothing fills {braces[0]}: {_how_to_place(text, known, where)}")


def _lacking(placed: set[str], known: Sequence[str]) -> str:
    """What a prompt must show and does not, "$response_2": each text that is weighed against others; of a single sample
    the instruction or the response."""
    if weighed := [name for name in known if name in _WEIGHED]:
        return " and ".join(f"${name}" for name in weighed if name not in placed)
    texts = [name for name in known if name in _TEXTS]
    return "" if placed.intersection(texts) else " or ".join(f"${name}" for name in texts)


def _how_to_place(text: str, known: Sequence[str], where: str) -> str:
    braces = _braces(text, known)
    if not braces:
        return f"write it where it belongs, or map another place to it with {where}.fields"
    name = braces[0][1:-1]
    example = f'{{"{braces[0]}": {name}}}'
    return f"the text has {braces[0]}, and a place is written ${name}; or map it with {where}.fields, as in {example}"


def _braces(text: str, known: Sequence[str]) -> list[str]:
    """Fields as Python places them, "{prompt}", and not as ${prompt}."""
    return [f"{{{name}}}" for name in known if re.search(rf"(?<!\$)\{{{name}\}}", text)]


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
    "compare_list": _object(feedback=_TEXT, scores={"type": "array", "items": _NUMBER}),
    "rate": _object(feedback=_TEXT, score=_NUMBER),
    "rate_accuracy": _object(feedback=_TEXT, score={"type": "number"}),
    "judge_pair": _object(feedback=_TEXT, score_1=_NUMBER, score_2=_NUMBER),
    "judge_binary": _object(feedback=_TEXT, score_1=_NUMBER, score_2=_NUMBER),
}
"""JSON schema of each template's reply, for `Request.json_schema`."""
