"""Judges that grade two answers to one question, 1-10 each.

`LLMJudge` asks a model (LLM-as-a-judge, arXiv 2306.05685). `ReferenceJudge` needs none: it is the
embedded default and compares each answer with the reference. Both see one order at a time; asking
both orders is `orders.compare`'s work.

    reference  "The sum of 3 and 4 is 7."   answer  "7"
    reply      "It is 7."                 -> 10 (gives the answer)
    reply      "The sum of 3 and 4 is 8." ->  8 (7 of 8 words in common: 1 + 8 x 7/8)
    reply      "Bananas."                 ->  1
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from rapidfuzz.distance import Indel

from tacos.llm.asking import Asking
from tacos.llm.base import LLM, Completion, Request, Sampling
from tacos.llm.parse import parse_pair_scores
from tacos.llm.reading import ask_replies, said
from tacos.text import exact_match, normalize, pieces
from tacos.types import Record

LOW, HIGH = 1, 10


class Comparison(Record):
    """Two answers to one question, in the order in which the judge sees them."""

    question: str
    answer_1: str
    answer_2: str
    reference: str | None = None
    """A good response."""
    answer: str | None = None
    """The short checkable answer in it."""

    def swapped(self) -> Comparison:
        """The same with the answers in the other order."""
        return self.model_copy(update={"answer_1": self.answer_2, "answer_2": self.answer_1})


class Verdict(Record):
    """A judge's grades, higher is better; both None, with `error`, when there is no verdict."""

    score_1: float | None = None
    """Of the answer that was shown first, 1-10."""
    score_2: float | None = None
    error: str | None = None
    raw: str | None = None
    """What the judge wrote, if it writes: all of it, whatever of it was read."""

    @property
    def parsed(self) -> bool:
        """Whether there are grades."""
        return self.score_1 is not None and self.score_2 is not None


class PairJudge(Protocol):
    """Grades pairs of answers. `embedded` says that no language model judges."""

    name: str
    embedded: bool

    def judge(self, items: Sequence[Comparison]) -> list[Verdict]:
        """One verdict per item, in order; an item that cannot be judged carries its error."""
        ...


class ReferenceJudge:
    """10 for an answer that gives the checkable answer, else 1-9 by likeness to the reference.

    Likeness is ROUGE-L F1 over words, or over characters in scripts without spaces (twice the longest common
    subsequence over both lengths), in whole grades, so that two answers of nearly the same likeness tie.
    """

    name = "reference judge (embedded)"
    embedded = True

    def judge(self, items: Sequence[Comparison]) -> list[Verdict]:
        return [self._verdict(item) for item in items]

    def _verdict(self, item: Comparison) -> Verdict:
        if not item.reference and not item.answer:
            return Verdict(error="no reference to compare with")
        return Verdict(score_1=grade(item.answer_1, item), score_2=grade(item.answer_2, item))


def grade(reply: str, item: Comparison) -> float:
    """The reference judge's grade of one reply, a whole number in 1-10."""
    if item.answer and exact_match(reply, item.answer):
        return float(HIGH)
    return float(LOW + round((HIGH - 1 - LOW) * likeness(reply, item.reference or item.answer or "")))


def likeness(reply: str, reference: str) -> float:
    """ROUGE-L F1 over normalized words, 0-1; in scripts without spaces each character counts as one."""
    given, wanted = ([word.rstrip() for word in pieces(normalize(text))] for text in (reply, reference))
    return Indel.normalized_similarity(given, wanted) if given and wanted else 0.0


FIELDS = ("question", "answer_1", "answer_2", "reference")
"""What a judging prompt is filled with; the reference is "(none)" where there is none."""
EXPECTED_VERDICT = 120
"""Tokens of a judge's reply; short feedback and two grades."""


class LLMJudgeSettings(Asking):
    """How an LLM grades two answers, 1-10 each."""

    prompt: str = "judge_pair"
    sampling: Sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=2048)

    @property
    def scale(self) -> tuple[int, int]:
        """The lowest and the highest grade."""
        return LOW, HIGH


class LLMJudge:
    """Asks a language model, one call for each item. A reply that stays unreadable is a missing verdict."""

    embedded = False

    def __init__(self, llm: LLM, settings: LLMJudgeSettings | None = None):
        self.llm = llm
        self.settings = settings or LLMJudgeSettings()
        self.name = f"LLM judge ({llm.model})"

    def judge(self, items: Sequence[Comparison]) -> list[Verdict]:
        """Raises: LLMError when the endpoint fails as a whole."""
        settings = self.settings

        def verdict(reply: Completion, request: Request) -> Verdict:
            first, second = parse_pair_scores(said(reply, request), *settings.scale)
            return Verdict(score_1=first, score_2=second, raw=reply.text)

        read = ask_replies(
            self.llm, len(items), lambda i: judge_request(items[i], settings), verdict, settings.reask
        )
        return [row.value or Verdict(error=row.error, raw=row.unread) for row in read]


def judge_request(item: Comparison, settings: LLMJudgeSettings) -> Request:
    """The call that one item costs."""
    return settings.request(
        question=item.question,
        answer_1=item.answer_1,
        answer_2=item.answer_2,
        reference=item.reference or "(none)",
    )
