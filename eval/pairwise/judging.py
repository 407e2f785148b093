"""Answers in, two-order reviews out: two models' answers to one question set, judged in both orders.

    questions 80,  answers of A 80,  answers of B 79   ->   79 reviews, 158 verdicts, 1 question missing

Answers are joined with the set's questions by text or id (`eval.pairwise.five_sets`), a question that either model
left out is not judged and is listed, and an empty answer is judged as it is. The file written from this
(`eval.pairwise.reviews.write_reviews`) scores like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from eval.pairwise.five_sets import Matched, OutputFile, match
from eval.pairwise.reviews import Review, ReviewFile
from eval.pairwise.score import PairwiseScores
from tacos.answering.judge import Comparison, PairJudge
from tacos.answering.orders import Judged, compare
from tacos.errors import TacosError
from tacos.types import Question, Record


class ReviewRun(Record):
    """Reviews just made, and how the answers joined the questions."""

    file: ReviewFile
    matched_a: Matched
    matched_b: Matched

    @property
    def notes(self) -> list[str]:
        """What could not be joined of either file, in words."""
        said = []
        for model, one in ((self.file.model_a, self.matched_a), (self.file.model_b, self.matched_b)):
            counts = (
                (len(one.missing), "questions without an answer, not judged"),
                (one.duplicate, "second answers to a question; the first stands"),
                (one.unknown, "answers to no question of the set"),
            )
            said += [f"{model}: {n:,} {what}" for n, what in counts if n]
        return said

    def noted(self, scores: PairwiseScores) -> PairwiseScores:
        """The scores with these notes beside the set's own, and with the rows that were left out counted."""
        name = self.file.set_name
        one, pooled = scores.sets[name], scores.pooled
        left = {
            what: sum(getattr(side, what) for side in (self.matched_a, self.matched_b))
            for what in ("duplicate", "unknown")
        }
        noted = {what: getattr(one, what) + count for what, count in left.items()}
        of_all = {what: getattr(pooled, what) + count for what, count in left.items()}
        sets = scores.sets | {name: one.model_copy(update=noted | {"notes": [*self.notes, *one.notes]})}
        return scores.model_copy(update={"sets": sets, "pooled": pooled.model_copy(update=of_all)})

    @property
    def missing(self) -> list[str]:
        """Ids of questions that were not judged, since A or B has no answer."""
        return sorted({*self.matched_a.missing, *self.matched_b.missing})


class SetAnswers(NamedTuple):
    """A question set and two models' answers to it."""

    set_name: str
    questions: Sequence[Question]
    a: OutputFile
    b: OutputFile


class _Joined(NamedTuple):
    """The questions that both have answered, and what the judge sees of each."""

    questions: list[Question]
    items: list[Comparison]
    matched_a: Matched
    matched_b: Matched


def review(
    judge: PairJudge, set_name: str, questions: Sequence[Question], a: OutputFile, b: OutputFile
) -> ReviewRun:
    """Judge both models' answers in both orders, one call of the judge for all.

    A question that either has not answered is not judged. Raises: TacosError when that is all of them.
    """
    return review_sets(judge, [SetAnswers(set_name, questions, a, b)])[0]


def review_sets(judge: PairJudge, sets: Sequence[SetAnswers]) -> list[ReviewRun]:
    """As `review`, of several sets with one call of the judge for all of them."""
    joined = [_join(answers) for answers in sets]
    judged = iter(compare(judge, [item for one in joined for item in one.items]))
    return [_run(judge.name, answers, one, judged) for answers, one in zip(sets, joined, strict=True)]


def _join(answers: SetAnswers) -> _Joined:
    """Raises: TacosError where no question is answered by both."""
    a, b = answers.a, answers.b
    joined_a, joined_b = match(answers.questions, a), match(answers.questions, b)
    asked = [q for q in answers.questions if q.id in joined_a.outputs and q.id in joined_b.outputs]
    if not asked:
        raise TacosError(
            f"no question of {answers.set_name!r} is answered in both {a.source} ({len(joined_a.outputs)}) "
            f"and {b.source} ({len(joined_b.outputs)}); check that the set is the right one"
        )
    items = [_comparison(q, joined_a.outputs[q.id], joined_b.outputs[q.id]) for q in asked]
    return _Joined(asked, items, joined_a, joined_b)


def _run(judge: str, answers: SetAnswers, joined: _Joined, judged: Iterator[Judged]) -> ReviewRun:
    """judged: of this set's questions, and then of the next one's."""
    reviews = [
        Review(
            question=q.turns[0],
            question_id=q.id,
            answer_a=item.answer_1,
            answer_b=item.answer_2,
            order_1=both.order_1,
            order_2=both.order_2,
        )
        for q, item, both in zip(joined.questions, joined.items, judged, strict=False)
    ]
    file = ReviewFile(
        source=judge,
        set_name=answers.set_name,
        model_a=answers.a.model,
        model_b=answers.b.model,
        judge=judge,
        reviews=reviews,
    )
    return ReviewRun(file=file, matched_a=joined.matched_a, matched_b=joined.matched_b)


def _comparison(question: Question, answer_a: str, answer_b: str) -> Comparison:
    return Comparison(
        question=question.turns[0],
        answer_1=answer_a,
        answer_2=answer_b,
        reference=question.reference,
        answer=question.answer,
    )
