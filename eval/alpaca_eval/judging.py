"""Annotating a model's AlpacaEval answers: which of two answers a judge prefers, and how surely.

After AlpacaEval 2 (https://github.com/tatsu-lab/alpaca_eval, `weighted_alpaca_eval_gpt4_turbo`): one call per
question, the two answers in random order, a verdict of one token, and the preference read from the
log-probabilities of the two verdicts, 1 for the baseline to 2 for the model:

    preference = 1 + P(model's letter) / (P(A) + P(B))

    model shown second, log P(A) = -0.22, log P(B) = -1.61   ->  1 + 0.20 / (0.80 + 0.20) = 1.20

A judge that gives no log-probabilities decides in whole: 1 or 2, by the letter it writes. Equal answers are
1.5 without a call. A verdict that cannot be read is asked for once more, and is then a missing preference, with its
reason.

Log-probabilities are those of the verdict's own token, behind any reasoning, and count only where A and B together
have `least_mass` of the probability there: a judge that begins with "<think>" or "**" has said nothing yet, though both
letters are among its alternatives.

Differences: the prompt is our own, with the letters A and B, so **figures by it are not leaderboard
figures**, whichever model judges; compare them with each other only. The order is drawn from the
instruction and a seed, so it is the same for every model, and it is recorded (`model_first`). With `annotator` all of
this is upstream's: `eval.alpaca_eval.annotator`.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import Field, model_validator

from eval.alpaca_eval.annotator import Preferring
from eval.alpaca_eval.files import DRAW, normal
from eval.alpaca_eval.join import pair_outputs
from tacos.llm.base import LLM, Completion, Request, Sampling
from tacos.llm.parse import ParseError
from tacos.llm.reading import CutOffError, Read, ask_replies, said
from tacos.prompts import fill
from tacos.types import Message, Record

_LETTER = re.compile(r"[\W_]*(?:(?i:answer|assistant|verdict|preferred|is)[\W_]+)*([AB])[\W_]*")
"""A line that is a letter and nothing else to speak of: not the article of "A good answer"."""


class PreferenceSettings(Record):
    """How preferences are asked for; all of it changes the answer."""

    annotator: str | None = None
    """One of upstream's in place of all that follows: "weighted_alpaca_eval_gpt4_turbo", or a folder of its form."""
    prompt: str = "judge_prefer"
    """A template in `tacos/prompts` that asks for A or B; it may use $question $answer_1 $answer_2."""
    sampling: Sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=1)
    top_logprobs: int | None = Field(5, ge=2, le=20)
    """Alternatives of the verdict to ask for; None for a server that refuses to be asked."""
    least_mass: float = Field(0.5, ge=0, le=1)
    """Probability that A and B need together; below it the judge was about to say something else."""
    reask: int = Field(1, ge=0, le=5)
    """Times an unreadable verdict is asked for again, each a call that is paid; upstream asks once: 0."""
    seed: int = 0
    """Of the order in which the answers are shown."""

    @model_validator(mode="after")
    def _one_way(self) -> PreferenceSettings:
        own = {name: field.default for name, field in PreferenceSettings.model_fields.items()}
        idle = [name for name, usual in own.items() if name != "annotator" and getattr(self, name) != usual]
        if self.annotator and idle:
            raise ValueError(f"annotator brings its own {min(idle)}: leave one of the two out")
        return self

    @property
    def asks(self) -> int:
        """Times an unreadable reply is asked for again."""
        return self.reask

    def named(self, model: str) -> str:
        return f"{self.prompt}/{model}"

    def model_first(self, instruction: str) -> bool:
        return model_first(instruction, self.seed)

    def request(self, instruction: str, first: str, second: str) -> Request:
        prompt = fill(self.prompt, question=instruction, answer_1=first, answer_2=second)
        return Request(
            messages=(Message(role="user", content=prompt),),
            sampling=self.sampling,
            top_logprobs=self.top_logprobs,
            may_be_cut=True,  # a verdict of one token ends where it is allowed to
        )

    def share(self, reply: Completion, request: Request) -> float:
        return read_share(reply, request, self.least_mass)


class AnnotationRow(Record):
    """One row of upstream's `annotations.json`, with `model_first` and `error` added."""

    dataset: str = ""
    instruction: str
    output_1: str
    generator_1: str
    output_2: str | None
    generator_2: str
    annotator: str
    preference: float | None
    """1 for the baseline to 2 for the model; None where there is no verdict."""
    raw_completion: dict[str, Any] | None = None
    """The judge's reply as it came: text, why it ended, and log-probabilities of the verdict's token where it gives
    them."""
    finish_reason_2: str | None = None
    """Why the model's answer ended, where its outputs say ("length": it was cut off)."""
    model_first: bool | None = None
    """The model's answer was shown first; None where nothing was asked."""
    error: str | None = None
    """Why there is no preference."""


class Annotated(Record):
    """Rows in the order of the outputs. By model: `duplicate` rows repeat a question, `unknown` ones have no baseline
    answer, and neither is judged; `missing` counts questions without a row, `same` answers that equal the
    baseline's, `reasoned` answers that lost a reasoning block, `whole` preferences of 1 or 2 for want of the
    log-probabilities that were asked for."""

    rows: tuple[AnnotationRow, ...]
    duplicate: dict[str, int]
    unknown: dict[str, int]
    missing: dict[str, int]
    same: dict[str, int]
    reasoned: dict[str, int]
    whole: dict[str, int]


def annotate(
    llm: LLM,
    outputs: Sequence[Mapping[str, Any]],
    baseline: Sequence[Mapping[str, Any]],
    way: Preferring | None = None,
) -> Annotated:
    """Judge every answer against the baseline's to the same instruction.

    outputs, baseline: rows of {"instruction", "output", "generator", "dataset"}; the last two may be left
    out. An `output` that is None is an answer that is missing, and so is its preference.

    Raises: LLMError when the endpoint fails as a whole; replies so far are in the client's cache.
    """
    chosen = way or PreferenceSettings()
    pairs, counts = pair_outputs(outputs, baseline)
    asked = [place for place, (own, other) in enumerate(pairs) if _needs_judging(own, other)]
    orders = {place: chosen.model_first(pairs[place][1]["instruction"]) for place in asked}
    requests = [_request(*pairs[place], orders[place], chosen) for place in asked]
    heard = ask_replies(llm, len(asked), requests.__getitem__, _heard(chosen), chosen.asks)
    replies = dict(zip(asked, heard, strict=True))
    rows = tuple(
        _row(own, other, chosen.named(llm.model), replies.get(place), orders.get(place))
        for place, (own, other) in enumerate(pairs)
    )
    bare = (
        r.generator_2 for r in rows if r.preference and r.raw_completion and not r.raw_completion["logprobs"]
    )
    weighed = any(request.top_logprobs for request in requests)
    return Annotated(rows=rows, **counts, whole=Counter(bare if weighed else ()))


def model_first(instruction: str, seed: int = 0) -> bool:
    """Whether the model's answer is shown first: a coin thrown by the instruction."""
    digest = hashlib.sha256(f"{seed}\x1f{normal(instruction)}".encode("utf-8", "surrogatepass")).digest()
    return bool(digest[0] & 1)


class _Verdict(NamedTuple):
    """A reply, whole, and the share of the probability that it gives to the answer shown first."""

    reply: Completion
    share: float


def _heard(way: Preferring) -> Callable[[Completion, Request], _Verdict]:
    return lambda reply, request: _Verdict(reply, way.share(reply, request))


def read_share(reply: Completion, request: Request, least_mass: float = 0.5) -> float:
    """P(A) / (P(A) + P(B)), or 1 or 0 by the letter that the judge wrote.

    Log-probabilities decide where the judge wrote a word at most: those of an argument's first token say nothing about
    the verdict at its end, which is the last line that is a letter.

    Raises: ParseError when there is no verdict.
    """
    text = said(reply, request)
    lines = text.splitlines()
    letter = next((match[1] for line in reversed(lines) if (match := _LETTER.fullmatch(line))), None)
    terse = len(text.split()) <= 1
    if reply.cut and not terse:
        raise CutOffError("its argument is cut off at the token limit (raise sampling.max_tokens)", text)
    if letter is None:
        raise ParseError("neither A nor B", text)
    if not terse or not reply.logprobs:
        return float(letter == "A")
    share, mass = share_of_a(reply.logprobs), mass_of_verdicts(reply.logprobs)
    if share is None or mass < least_mass:
        raise ParseError(f"A and B have {mass:.2g} of the probability, less than {least_mass:g}", text)
    return share


def mass_of_verdicts(logprobs: Mapping[str, float]) -> float:
    """P(A) + P(B)."""
    return sum(
        math.exp(min(v, 0.0)) for token, v in logprobs.items() if _verdict_of(token) and not math.isnan(v)
    )


def share_of_a(logprobs: Mapping[str, float]) -> float | None:
    """P(A) / (P(A) + P(B)), in [0, 1]; None where neither is among the alternatives.

    " A" and "A" are different tokens and one verdict. A letter outside the alternatives counts as impossible.
    """
    chance = {"A": 0.0, "B": 0.0}
    known = {token: value for token, value in logprobs.items() if _verdict_of(token) and value < math.inf}
    top = max(known.values(), default=-math.inf)
    if top == -math.inf:
        return None
    for token, value in known.items():
        chance[_verdict_of(token)] += math.exp(value - top)
    return chance["A"] / (chance["A"] + chance["B"])


def _verdict_of(token: str) -> str:
    """ "A", "B", or "" for a token that is neither; SentencePiece writes a space as U+2581."""
    letter = token.strip(" \t\r\n\u2581\u0120")
    return letter if letter in ("A", "B") else ""


def _needs_judging(own: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return own.get("output") is not None and own["output"] != other["output"]


def _request(own: Mapping[str, Any], other: Mapping[str, Any], first: bool, way: Preferring) -> Request:
    a, b = (own, other) if first else (other, own)
    return way.request(other["instruction"], a["output"], b["output"])


def _row(
    own: Mapping[str, Any],
    other: Mapping[str, Any],
    annotator: str,
    read: Read[_Verdict] | None,
    first: bool | None,
) -> AnnotationRow:
    preference: float | None
    error: str | None
    if read is not None and read.value is not None:
        preference, error = 1 + (read.value.share if first else 1 - read.value.share), None
    elif read is not None:
        preference, error = None, f"unread: {read.reason}" if read.reason else read.error
    elif own.get("output") is None:
        preference, error = None, "the model gave no answer"
    else:
        preference, error = DRAW, None
    return AnnotationRow(
        dataset=str(other.get("dataset") or own.get("dataset") or ""),
        instruction=other["instruction"],
        output_1=other["output"],
        generator_1=str(other.get("generator") or "baseline"),
        output_2=own.get("output"),
        generator_2=str(own.get("generator") or "model"),
        annotator=annotator,
        preference=preference,
        raw_completion=_raw(read),
        finish_reason_2=own.get("finish_reason"),
        model_first=first,
        error=error,
    )


def _raw(read: Read[_Verdict] | None) -> dict[str, Any] | None:
    reply = (read.value.reply if read.value else read.reply) if read else None
    if reply is None:
        return None
    return {"text": reply.text, "finish_reason": reply.finish_reason, "logprobs": reply.logprobs}
