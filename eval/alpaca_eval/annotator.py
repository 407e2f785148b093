"""AlpacaEval's own annotators: its prompt, its verdict tokens and its order of the answers, as they are.

    weighted_alpaca_eval_gpt4_turbo    the leaderboard's (https://github.com/tatsu-lab/alpaca_eval): its template is
                                       read from `tacos.assets`, its judge is gpt-4-1106-preview
    FOLDER                             any other in the same form: a `configs.yaml`, and the prompt that it names

One token is asked for, with its alternatives, and what counts is their probability, whichever was drawn. m names the
answer shown first and M the second, and the preference of a pair that is not switched is

    2 - P(m) / (P(m) + P(M))      log P(m) = -0.22, log P(M) = -1.61   ->  2 - 0.80 / 1.00 = 1.20

The order is drawn from the instruction by Python's `random`, with upstream's words around it, so that every pair is
shown as upstream shows it. Both were checked against published annotations (alpaca-7b, claude-2): all 1,606 rows that
hold a verdict come out to within 1e-9 of their preference.

Differences: places are filled all at once, after the turns are told apart, so an answer that spells a place or a
turn's mark stays an answer; a reply that cannot be read is a row without a preference, where upstream drops the row.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

import yaml
from pydantic import Field

from tacos.config import parse
from tacos.errors import ConfigError, nearest
from tacos.llm.base import Completion, Request, Sampling
from tacos.llm.parse import ParseError
from tacos.prompts import fill_own
from tacos.types import Message, Record, Role

LEADERBOARD = "weighted_alpaca_eval_gpt4_turbo"
LEADERBOARD_JUDGE = "gpt-4-1106-preview"
TEMPLATE = "prompts/alpaca_eval_clf.txt"
"""The leaderboard's prompt, a name in `tacos.assets`."""
PLACES = {"{instruction}": "instruction", "{output_1}": "first", "{output_2}": "second"}
_TURN = re.compile(r"<\|im_start\|>([^\n]*)\n(.*?)<\|im_end\|>", re.DOTALL)
_PLACE = re.compile(r"{[^ \s]+?}")


class Preferring(Protocol):
    """A way to ask which of two answers is preferred, and to read the reply."""

    @property
    def asks(self) -> int:
        """Times an unreadable reply is asked for again."""
        ...

    def named(self, model: str) -> str:
        """What a row says of who judged. model: the LLM that is asked."""
        ...

    def model_first(self, instruction: str) -> bool:
        """Whether the model's answer is shown first, else the baseline's."""
        ...

    def request(self, instruction: str, first: str, second: str) -> Request: ...

    def share(self, reply: Completion, request: Request) -> float:
        """The preference for the answer shown first, 0-1. Raises: ParseError."""
        ...


class _Calls(Record):
    """`completions_kwargs`."""

    model_name: str
    max_tokens: Literal[1]
    logprobs: Literal[True]
    top_logprobs: int = Field(..., ge=2, le=20)
    temperature: float = Field(0.7, ge=0)
    top_p: float = Field(1.0, gt=0, le=1)


class _Reading(Record):
    """`completion_parser_kwargs`."""

    numerator_token: str
    denominator_tokens: tuple[str, ...]
    is_binarize: bool = True


class _Config(Record):
    """An annotator of `configs.yaml`, as far as it is known here; defaults are upstream's. What tells annotators apart
    comes first, and so does its message."""

    fn_completion_parser: Literal["logprob_parser"]
    completion_key: Literal["completions_all"]
    fn_completions: Literal["openai_completions"]
    batch_size: Literal[1] = 1
    prompt_template: str
    completions_kwargs: _Calls
    completion_parser_kwargs: _Reading
    pretty_name: str | None = None
    link: str | None = None


class Annotator(Record):
    """One of upstream's. turns: with the three places in them."""

    name: str
    model: str
    """The judge that it is published with."""
    turns: tuple[Message, ...]
    sampling: Sampling
    top_logprobs: int
    first: str
    """The token that prefers the answer shown first."""
    tokens: tuple[str, ...]
    """All verdicts."""
    binary: bool
    """Whether the likeliest verdict counts whole."""

    @property
    def asks(self) -> int:
        """Upstream asks once."""
        return 0

    def named(self, model: str) -> str:
        """Its own name where its own judge judges."""
        return self.name if model == self.model else f"{self.name}/{model}"

    def model_first(self, instruction: str) -> bool:
        """Upstream's draw, with its default seed 0: whether it switches (baseline, model)."""
        return random.Random(f"is_switched_outputs{instruction}0").choices([False, True])[0]

    def request(self, instruction: str, first: str, second: str) -> Request:
        fields = {"instruction": instruction, "first": first, "second": second}
        filled = (
            turn.model_copy(update={"content": fill_own(turn.content, PLACES, fields).strip()})
            for turn in self.turns
        )
        return Request(
            messages=tuple(filled),
            sampling=self.sampling,
            top_logprobs=self.top_logprobs,
            prompt=self.name,
            may_be_cut=True,
        )

    def share(self, reply: Completion, request: Request) -> float:
        """P(first) / P(all verdicts); a verdict outside the alternatives counts as impossible."""
        text = reply.text or ""
        if not reply.logprobs:
            raise ParseError(
                f"the judge gives no log-probabilities, which {self.name} reads: leave alpaca_eval.annotator out",
                text,
            )
        known = {token: value for token, value in reply.logprobs.items() if token in self.tokens}
        if not known:
            raise ParseError(f"neither {' nor '.join(self.tokens)} is among the likeliest tokens", text)
        top = max(known.values())
        chance = {token: math.exp(value - top) for token, value in known.items()}
        own = chance.pop(self.first, 0.0)
        if self.binary:
            return float(own > max(chance.values(), default=0.0))
        return own / (own + sum(chance.values()))


def read_annotator(name: str, asset: Callable[[str], Path]) -> Annotator:
    """The leaderboard's annotator, or the one in a folder. asset: name -> file, such as `Assets.path`.

    Raises: ConfigError for a name that is neither, and for a config or a prompt of another form.
    """
    if name == LEADERBOARD:
        return Annotator(
            name=name,
            model=LEADERBOARD_JUDGE,
            turns=turns_of(asset(TEMPLATE)),
            sampling=Sampling(temperature=1.0, top_p=1.0, max_tokens=1),
            top_logprobs=5,
            first="m",
            tokens=("m", "M"),
            binary=False,
        )
    label, config = read_config(name)
    calls, reading = config.completions_kwargs, config.completion_parser_kwargs
    return Annotator(
        name=label,
        model=calls.model_name,
        turns=turns_of(_template(Path(name), config.prompt_template)),
        sampling=Sampling(temperature=calls.temperature, top_p=calls.top_p, max_tokens=calls.max_tokens),
        top_logprobs=calls.top_logprobs,
        first=reading.numerator_token,
        tokens=reading.denominator_tokens,
        binary=reading.is_binarize,
    )


def with_judge(said: Any) -> Any:
    """Settings of `tacos eval` in which the judge has the annotator's model, where they name none.

    Raises: ConfigError as `read_annotator`.
    """
    asked = said.get("alpaca_eval") if isinstance(said, Mapping) else None
    name = asked.get("annotator") if isinstance(asked, Mapping) else None
    if not isinstance(name, str):
        return said
    llms, judge = said.get("llms") or {}, said.get("judge", "judge")
    if not isinstance(llms, Mapping) or not isinstance(llms.get(judge, {}), Mapping):
        return said  # refused by its own message
    model = LEADERBOARD_JUDGE if name == LEADERBOARD else read_config(name)[1].completions_kwargs.model_name
    return {**said, "llms": {**llms, judge: {"model": model, **llms.get(judge, {})}}}


def read_config(folder: str) -> tuple[str, _Config]:
    """Name and settings of the annotator in a folder. Raises: ConfigError."""
    path = Path(folder) / "configs.yaml"
    if not path.is_file():
        near = nearest(folder, [LEADERBOARD])
        raise ConfigError(f"alpaca_eval.annotator: {folder!r} is not a folder with a configs.yaml: {near}")
    try:
        held: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not YAML: {error}") from error
    if not isinstance(held, Mapping) or len(held) != 1:
        names = f"{len(held)} ({', '.join(map(str, held))})" if isinstance(held, Mapping) else "none"
        raise ConfigError(f"{path} must hold one annotator, its settings under its name; it holds {names}")
    ((name, settings),) = held.items()
    try:
        config = parse(_Config, settings, str(name))
    except ConfigError as error:
        raise ConfigError(
            f"{path} is no annotator that reads one token by its log-probability: {error}"
        ) from error
    if (
        config.completion_parser_kwargs.numerator_token
        not in config.completion_parser_kwargs.denominator_tokens
    ):
        raise ConfigError(
            f"{path}: {name}.completion_parser_kwargs: numerator_token is not in denominator_tokens"
        )
    return str(name), config


def _template(folder: Path, name: str) -> Path:
    """Upstream looks in the folder above; a prompt that was copied along stands beside its config."""
    places = [folder.parent / name, folder / Path(name).name]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise ConfigError(
            f"{folder / 'configs.yaml'}: prompt_template is neither {places[0]} nor {places[1]}"
        )
    return found


def turns_of(path: Path) -> tuple[Message, ...]:
    """The chat turns of a template. Raises: ConfigError for text outside of turns, an unknown role, and a place that is
    not there once."""
    text = path.read_text(encoding="utf-8")
    turns = [(role.strip(), content) for role, content in _TURN.findall(text)]
    if not turns or _TURN.sub("", text).strip():
        raise ConfigError(
            f"{path}: a prompt is turns between <|im_start|>ROLE and <|im_end|>, and nothing else"
        )
    if unknown := [role for role, _ in turns if role not in get_args(Role)]:
        raise ConfigError(f"{path}: unknown role {unknown[0]!r}: {nearest(unknown[0], get_args(Role))}")
    if sorted(_PLACE.findall(text)) != sorted(PLACES):
        found = ", ".join(_PLACE.findall(text)) or "none"
        raise ConfigError(f"{path} has the places {found}; expected each of {', '.join(PLACES)} once")
    return tuple(Message(role=role, content=content) for role, content in turns)
