"""Who scores the samples of a call: a language model, or a quality model fitted on the pool."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tacos.llm.asking import Asking
from tacos.llm.base import LLM, Request
from tacos.llm.parse import parse_feedback, parse_list_scores, parse_pair_scores
from tacos.llm.reading import Read, ask
from tacos.prompts import defused
from tacos.scoring.calls import Calls, CallScores
from tacos.types import Pool

PAIR = ("prompt_1", "response_1", "prompt_2", "response_2", "low", "high")
"""What a prompt for two is filled with."""
LIST = ("samples", "count", "low", "high")
"""What a prompt for more is filled with: all samples in one field."""


Verdicts = tuple[tuple[float, ...], str]
"""The scores of a call, and its feedback."""


class Comparator(Protocol):
    """Rows that meet in, scores out, call by call."""

    def compare(self, pool: Pool, calls: Calls) -> CallScores: ...


@dataclass(frozen=True)
class CallPrompt:
    """How a call is put and its reply read. size: samples in a call, or fewer."""

    asking: Asking
    size: int
    low: int
    high: int

    @property
    def fields(self) -> tuple[str, ...]:
        return PAIR if self.size == 2 else LIST

    def request(self, pool: Pool, rows: Sequence[int]) -> Request:
        """One call. rows: of the pool, in the order they are shown."""
        samples = [pool[row] for row in rows]
        scale = {"low": str(self.low), "high": str(self.high)}
        if self.size == 2:
            texts = {f"prompt_{i}": s.prompt for i, s in enumerate(samples, 1)}
            texts |= {f"response_{i}": s.response for i, s in enumerate(samples, 1)}
            return self.asking.request(**scale, **texts)
        blocks = [
            f"Sample {i}:\n\n<prompt_{i}>\n{defused(s.prompt)}\n</prompt_{i}>\n\n"
            f"<response_{i}>\n{defused(s.response)}\n</response_{i}>"
            for i, s in enumerate(samples, 1)
        ]
        return self.asking.request(**scale, count=str(len(samples)), samples="\n\n".join(blocks))

    def read(self, reply: str, count: int) -> tuple[float, ...]:
        """The scores of `count` samples. Raises: ParseError."""
        if self.size == 2:
            return parse_pair_scores(reply, self.low, self.high)
        return parse_list_scores(reply, count, self.low, self.high)


class LLMComparator:
    """One chat call for each; those of a group go out next to each other, as they come in."""

    def __init__(self, call_prompt: CallPrompt, llm: LLM):
        self.call_prompt = call_prompt
        self.llm = llm

    def compare(self, pool: Pool, calls: Calls) -> CallScores:
        scores, errors, feedback = np.full(calls.rows.shape, np.nan), dict[int, str](), dict[int, str]()
        sizes = calls.present.sum(axis=1)
        for size in sorted(set(sizes.tolist()), reverse=True):
            numbers = np.flatnonzero(sizes == size).tolist()
            for number, read in zip(numbers, self._ask(pool, calls, numbers, size), strict=True):
                if read.value is None:
                    errors[number] = read.error or "no score"
                else:
                    scores[number, :size], feedback[number] = read.value
        return CallScores(scores, errors, feedback)

    def _ask(self, pool: Pool, calls: Calls, numbers: list[int], size: int) -> list[Read[Verdicts]]:
        """Of calls that all show `size` samples."""

        def request(place: int) -> Request:
            return self.call_prompt.request(pool, calls.shown(numbers[place]))

        def read(reply: str) -> Verdicts:
            return self.call_prompt.read(reply, size), parse_feedback(reply)

        return ask(self.llm, len(numbers), request, read, self.call_prompt.asking.reask)


class LearnedComparator:
    """Scores each sample by its quality, whoever it meets: the rank of q in the pool, spread over the scale."""

    def __init__(self, quality: np.ndarray, low: int = 1, high: int = 100):
        """quality: (n,) of the pool that the calls point into."""
        ranks = np.argsort(np.argsort(quality, kind="stable"), kind="stable")
        self.scores = low + (high - low) * ranks / max(1, len(quality) - 1)

    def compare(self, pool: Pool, calls: Calls) -> CallScores:
        return CallScores(np.where(calls.present, self.scores[calls.rows], np.nan))
