"""Who says whether the response at hand is better than what the base model answers: nobody but the response itself, a
model fitted on the pool, or an LLM.

    response at hand  "The capital of Peru is Lima."     the base answers  "Lima is the capital of Peru."
    reference   alike (ROUGE-L F1 over `agree`)                            easy
    learned     q(response) = 1.3, q(answer) = 1.1, not the same words     hard
    llm         grades 8 and 8, or 0 and 0 of a binary verdict             easy: equally good is easy
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from pydantic import Field, model_validator

from tacos.answering.judge import Comparison, LLMJudge, LLMJudgeSettings, Verdict, likeness
from tacos.answering.orders import Result, Rule, compare, outcome
from tacos.models.embedded import texts_of
from tacos.scoring.learned import LearnedSettings, PoolFit
from tacos.store.fingerprint import fingerprint
from tacos.text import normalize
from tacos.types import Pool

Text = Literal["prompt", "instruction"]
"""What the base model is asked: instruction and input, or the instruction alone."""


class HardJudgeSettings(LLMJudgeSettings):
    """Who says which is better.

    reference: no model. Easy where the answer says the same as the response at hand, which is taken to be right.
    learned: the pool-fitted quality model compares the two; it knows no facts.
    llm: a language model sees both, blind to which is which. The paper's prompt asks for one binary verdict and is not
        released (`verdict: binary` asks so in our words); by default both are graded, and the higher grade is better.
    """

    by: Literal["reference", "learned", "llm"] = "reference"
    llm: str = "judge"
    """Which of the configured `llms` judges."""
    verdict: Literal["grades", "binary"] = "grades"
    """llm: grades of 1-10, or 1 for the better response and 0 for the other; then `prompt` is `judge_binary`."""
    agree: float = Field(0.6, gt=0, le=1)
    """reference: easy from this likeness on (ROUGE-L F1 over words)."""
    learned: LearnedSettings = LearnedSettings()
    orders: Literal[1, 2] = 1
    """llm: one call a row, in an order drawn for it by the seed, or both orders at twice the price."""
    rule: Rule = "lenient"
    """llm: how two orders combine."""

    @model_validator(mode="before")
    @classmethod
    def _prompt_of_the_verdict(cls, said: Any) -> Any:
        binary = isinstance(said, Mapping) and said.get("verdict") == "binary"
        return {"prompt": "judge_binary", **said} if binary else said

    @property
    def scale(self) -> tuple[int, int]:
        return (0, 1) if self.verdict == "binary" else super().scale

    @property
    def calls(self) -> int:
        """Pairs shown for a label."""
        return self.orders if self.by == "llm" else 1


@dataclass(frozen=True)
class Label:
    """hard: None where there is none, for the reason in `error`. calls: pairs shown to the judge for it."""

    hard: bool | None = None
    error: str | None = None
    calls: int = 0


class HardJudge(Protocol):
    """Labels the rows of a batch."""

    def labels(self, rows: np.ndarray, batch: Pool, answers: Sequence[str]) -> list[Label]:
        """rows: of the pool; batch: the same rows; answers: the base model's, aligned."""
        ...


class ByReference:
    """Nothing is asked: the response at hand is the reference."""

    def __init__(self, agree: float):
        self.agree = agree

    def labels(self, rows: np.ndarray, batch: Pool, answers: Sequence[str]) -> list[Label]:
        pairs = zip(answers, batch.responses, strict=True)
        return [Label(hard=not says_the_same(answer, response, self.agree)) for answer, response in pairs]


def says_the_same(answer: str, response: str, agree: float) -> bool:
    """Equal up to case, white space and closing marks, or alike."""
    return normalize(answer) == normalize(response) or likeness(answer, response) >= agree


class ByModel:
    """The quality model compares; an answer that says the same is not worse."""

    def __init__(self, fitted: PoolFit):
        self.fitted = fitted

    def labels(self, rows: np.ndarray, batch: Pool, answers: Sequence[str]) -> list[Label]:
        theirs = self.fitted.score(rows, answers) if len(rows) else np.zeros(0)
        better = self.fitted.own[rows] > theirs
        triples = zip(better.tolist(), answers, batch.responses, strict=True)
        return [Label(hard=won and normalize(a) != normalize(r)) for won, a, r in triples]


class ByVerdict:
    """An LLM's verdicts."""

    def __init__(self, judge: LLMJudge, settings: HardJudgeSettings, seed: int, text: Text):
        self.judge = judge
        self.settings = settings
        self.seed = seed
        self.text = text

    def labels(self, rows: np.ndarray, batch: Pool, answers: Sequence[str]) -> list[Label]:
        triples = zip(texts_of(batch, self.text), batch.responses, answers, strict=True)
        items = [comparison(*triple) for triple in triples]
        if self.settings.orders == 2:
            judged = compare(self.judge, items, self.settings.rule)
            return [_label(pair.result, pair.order_1, pair.order_2) for pair in judged]
        first = [self._original_first(id_) for id_ in batch.ids]
        shown = [item if ahead else item.swapped() for item, ahead in zip(items, first, strict=True)]
        read = zip(self.judge.judge(shown), first, strict=True)
        return [_label(outcome(verdict, ahead), verdict) for verdict, ahead in read]

    def _original_first(self, id_: str) -> bool:
        """A coin of the row's own, so that it does not depend on the rows beside it."""
        return int(fingerprint([self.seed, id_]), 16) % 2 == 0


def comparison(prompt: str, response: str, answer: str) -> Comparison:
    """Answer 1 is the response at hand."""
    return Comparison(question=prompt, answer_1=response, answer_2=answer)


def _label(result: Result, *verdicts: Verdict) -> Label:
    """Ties are easy."""
    if result == "unparsed":
        why = next((v.error for v in verdicts if v.error), None)
        return Label(error=f"no verdict: {why or 'unreadable'}")
    return Label(hard=result == "win")
