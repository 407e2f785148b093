"""FastChat's judge prompts: which one a turn gets, and what a filled one shows.

The prompts are upstream's file `judge_prompts.jsonl` (`tacos.assets`). Which one is used follows FastChat:

    turn  category                      rating                       choice
    1     others                        single-v1                    pair-v2
    1     math, reasoning, coding       single-math-v1               pair-math-v1
    2     others                        single-v1-multi-turn         pair-v2-multi-turn
    2     math, reasoning, coding       single-math-v1-multi-turn    pair-math-v1-multi-turn

The math forms show a reference answer, the multi-turn forms both turns. A filled prompt can be taken apart
again, since the template is known:

    template  "Q: {question} A: {answer}"      prompt  "Q: 1 + 1? A: 2"  ->  question "1 + 1?", answer "2"
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from string import Formatter
from typing import Literal

from pydantic import ValidationError

from eval.mt_bench.files import PairJudgment
from eval.mt_bench.pairs import Lengths
from eval.mt_bench.score import NEED_REFERENCE
from tacos.data.published import published_rows
from tacos.errors import ConfigError
from tacos.types import Record

Kind = Literal["single", "pair"]


class JudgePrompt(Record):
    """One of upstream's prompts."""

    name: str
    system_prompt: str
    prompt_template: str
    """With {question} {answer}, {answer_a} {answer_b}, {ref_answer_1}, and in the multi-turn forms
    {question_1} {answer_1} {question_2} ..."""
    output_format: str


def read_prompts(path: Path) -> dict[str, JudgePrompt]:
    """Judge prompts by name. Raises: ConfigError with the line of the first that is none."""
    prompts: dict[str, JudgePrompt] = {}
    if not path.is_file():
        raise ConfigError(f"no judge prompts {path}: give FastChat's judge_prompts.jsonl")
    for row in published_rows(path):
        try:
            wanted = {key: row.value[key] for key in JudgePrompt.model_fields}
            prompt = JudgePrompt.model_validate(wanted)
            _fields(prompt)
        except (KeyError, TypeError, ValueError, ValidationError) as error:
            why = row.error or " ".join(str(error).split())
            raise ConfigError(f"{path} line {row.line} is not a judge prompt: {why}") from error
        prompts[prompt.name] = prompt
    return prompts


def prompt_name(kind: Kind, category: str, turn: int) -> str:
    """The prompt of a turn; kind: "single" or "pair".

    >>> prompt_name("pair", "math", 2)
    'pair-math-v1-multi-turn'
    """
    form = "math-v1" if category in NEED_REFERENCE else {"single": "v1", "pair": "v2"}[kind]
    return f"{kind}-{form}" + ("-multi-turn" if turn > 1 else "")


def pick(prompts: Mapping[str, JudgePrompt], kind: Kind, category: str, turn: int) -> JudgePrompt:
    """The prompt of a turn. Raises: ConfigError when it is not there, or asks for another kind of verdict."""
    name, wanted = prompt_name(kind, category, turn), {"single": "[[rating]]", "pair": "[[A]]"}[kind]
    if name not in prompts:
        raise ConfigError(f"no judge prompt {name!r}: give FastChat's judge_prompts.jsonl with all eight")
    if prompts[name].output_format != wanted:
        raise ConfigError(
            f"judge prompt {name!r} asks for {prompts[name].output_format!r}, and {wanted!r} can be read"
        )
    return prompts[name]


def fill(prompt: JudgePrompt, shown: Mapping[str, str]) -> str:
    """The prompt with its fields filled in. Raises: ConfigError for a field that nobody knows."""
    try:
        return prompt.prompt_template.format(**shown)
    except KeyError as error:
        raise ConfigError(
            f"judge prompt {prompt.name!r} wants {error}; known: {', '.join(sorted(shown))}"
        ) from error


def take_apart(prompt: JudgePrompt, text: str) -> dict[str, str] | None:
    """What a filled prompt shows, by field; None when it was not made from this prompt."""
    found = _pattern(prompt).fullmatch(text)
    return found.groupdict() if found else None


def lengths_from_prompts(prompts: Mapping[str, JudgePrompt]) -> Lengths:
    """Lengths of the two answers to a turn, in characters, out of the stored prompt of a row's first game."""

    def lengths(row: PairJudgment) -> tuple[int, int] | None:
        shown = take_apart(prompts[row.prompt], row.games[0].user_prompt) if row.prompt in prompts else None
        names = [f"answer_{side}" + ("" if row.turn == 1 else f"_{row.turn}") for side in "ab"]
        if shown is None or not all(name in shown for name in names):
            return None
        return len(shown[names[0]]), len(shown[names[1]])

    return lengths


def _fields(prompt: JudgePrompt) -> list[tuple[str, str | None]]:
    """(text, name of the field after it) of a template. Raises: ValueError for a broken one, or a field that is no
    name."""
    fields = [(text, name) for text, name, _, _ in Formatter().parse(prompt.prompt_template)]
    if odd := [name for _, name in fields if name is not None and not name.isidentifier()]:
        raise ValueError(f"{{{odd[0]}}} is no field: write {{{{ and }}}} for braces")
    return fields


@lru_cache(maxsize=64)
def _pattern(prompt: JudgePrompt) -> re.Pattern[str]:
    """A template as a pattern that takes a filled prompt apart; a field that comes back must be the same."""
    parts, seen = [], set[str]()
    for text, name in _fields(prompt):
        parts.append(re.escape(text))
        if name:
            parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>.*?)")
            seen.add(name)
    return re.compile("".join(parts), re.DOTALL)
