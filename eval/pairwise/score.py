"""Win, tie and lose per question set and pooled, from two-order reviews, and how whole they are.

    set      win  tie  lose  unparsed    n  expected  winning score
    vicuna    44   15    21         0   80        80  1 + 23/80   = 1.2875
    koala     85   36    59         0  180       180  1 + 26/180  = 1.1444
    pooled   129   51    80         0  260       260  1 + 49/260  = 1.1885

(GPT-4's reviews of two models that TACOS released.) Beside every winning score stand what a reader has to
know of its judge: swap consistency, how often the first position won, how often the longer answer won.

What is not scored is counted: `unparsed` questions, `duplicate` reviews (the first of a question
stands), `unknown` questions where the set's file is at hand, `bad` rows, and `missing` questions where the
set is one of the five or its file is given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from pydantic import Field

from eval.interval import Interval
from eval.pairwise.five_sets import SETS, Fate, Matcher, plain
from eval.pairwise.reviews import Review, ReviewFile
from eval.pairwise.rules import first_position_rate, longer_wins, swap_consistency, tally, winning_score
from tacos.answering.faults import AnswerFaults, faults_of
from tacos.answering.orders import Judged, Rule, Unparsed
from tacos.errors import TacosError
from tacos.types import Question, Record

SHOWN = 5
"""Bad rows spelled out in the notes of a set; all are counted."""


class PairwiseScore(Record):
    """A is answer 1's model: `win` counts its wins, and a winning score above 1 is A's favour."""

    win: int
    tie: int
    lose: int
    unparsed: int
    """Questions with an order that could not be read; in no rate and not in `n`."""
    n: int
    """win + tie + lose."""
    winning_score: Interval | None
    """(win - lose) / n + 1, in [0, 2], with its 95% interval; None where nothing was parsed."""
    swap_consistency: Interval | None
    """Share of questions where both orders say the same."""
    first_position: Interval | None
    """Share of decided verdicts won by the answer shown first; 0.5 is no bias."""
    longer_wins: Interval | None
    """Share of decided questions won by the longer answer (characters)."""
    duplicate: int
    unknown: int
    bad: int
    """Rows that are no review."""
    empty: int
    """Reviews in which an answer is empty; they are scored."""
    expected: int | None
    """Questions of the set; None where that is not known."""
    missing: int | None
    """Expected questions without a review."""

    @property
    def whole(self) -> int:
        """Questions there should be: the expected, else those seen."""
        return self.expected if self.expected is not None else self.n + self.unparsed + self.bad

    @property
    def coverage(self) -> float:
        """Share of these that are scored, 0-1."""
        return min(1.0, self.n / self.whole) if self.whole else 0.0

    @property
    def complete(self) -> bool:
        """Every question is scored, and none that the set cannot hold."""
        return self.n == self.whole > 0

    def as_json(self) -> dict[str, Any]:
        """The winning score as a number, its interval as `ci`; the judge's rates with theirs."""
        flat = self.model_dump(exclude={"winning_score"})
        score = self.winning_score
        flat["winning_score"] = score and score.mean
        flat["ci"] = [score.low, score.high] if score else None
        return flat | {"coverage": self.coverage, "complete": self.complete}


class SetScore(PairwiseScore):
    """One question set's score, and what there is to say about its files."""

    name: str
    model_a: str | None = None
    model_b: str | None = None
    judge: str | None = None
    faults: dict[str, AnswerFaults] = Field(default_factory=dict)
    """What is wrong with both models' answers as answers."""
    notes: list[str]
    """Why rows were not scored, in words, with path and line."""


class PairwiseScores(Record):
    """All sets, by name, and all their questions pooled."""

    report: ClassVar[str] = "eval.pairwise.report:REVIEWS"

    rule: Rule
    unparsed_as: Unparsed
    sets: dict[str, SetScore]
    pooled: PairwiseScore

    @property
    def incomplete(self) -> list[str]:
        """Sets of which not every question is scored."""
        return [name for name, score in self.sets.items() if not score.complete]

    def as_json(self) -> dict[str, Any]:
        """{rule, unparsed_as, sets: {NAME: {...}}, pooled: {...}}"""
        sets = {name: score.as_json() for name, score in self.sets.items()}
        settings = {"rule": self.rule, "unparsed_as": self.unparsed_as}
        return settings | {"sets": sets, "pooled": self.pooled.as_json()}


class _Kept(Record):
    """A set's reviews after joining, one per question, and the counts of the others."""

    judged: list[Judged]
    duplicate: int
    other_answers: int
    """Duplicates with answers unlike the first's: another comparison in the same file."""
    unknown: int
    empty: int
    same: int
    faults: tuple[AnswerFaults, AnswerFaults]


def score_reviews(
    files: Sequence[ReviewFile],
    questions: Mapping[str, Sequence[Question]] | None = None,
    rule: Rule = "lenient",
    unparsed: Unparsed = "count",
) -> PairwiseScores:
    """Score review files, at most one comparison per set.

    questions: set -> its questions, to tell which are missing or unknown; of the five sets the number
    of questions is known without them.
    Raises: TacosError when two files review the same question of a set, or none of a set's questions.
    """
    if not files:
        raise TacosError("no review files given; name at least one")
    named: dict[str, list[ReviewFile]] = {}
    for file in files:
        named.setdefault(file.set_name, []).append(file)
    kept: dict[str, _Kept] = {}
    sets: dict[str, SetScore] = {}
    for name, parts in named.items():
        _refuse_two_comparisons(name, parts)
        asked = (questions or {}).get(name)
        kept[name] = _join(name, parts, asked, rule, unparsed)
        sets[name] = _set_score(name, parts, kept[name], len(asked) if asked else _size(name))
    return PairwiseScores(rule=rule, unparsed_as=unparsed, sets=sets, pooled=_pool(kept, sets))


def _refuse_two_comparisons(name: str, parts: Sequence[ReviewFile]) -> None:
    """Parts of one set's reviews are put together; two models' reviews of the same questions never."""
    seen: dict[str, str] = {}
    for part in parts:
        mine = {plain(review.question) for review in part.reviews}
        clash = next((question for question in mine if question in seen), None)
        if clash is not None:
            raise TacosError(
                f"{seen[clash]} and {part.source} both review questions of {name!r}, "
                "so they are two comparisons; score them one at a time"
            )
        seen |= dict.fromkeys(mine, part.source)


def _size(name: str) -> int | None:
    return SETS[name].questions if name in SETS else None


def _join(
    name: str,
    parts: Sequence[ReviewFile],
    asked: Sequence[Question] | None,
    rule: Rule,
    unparsed: Unparsed,
) -> _Kept:
    """The first review of each question."""
    reviews = [review for part in parts for review in part.reviews]
    fates = list(_fates(name, reviews, asked))
    counts = Counter(fates)
    first = [review for review, fate in zip(reviews, fates, strict=True) if fate == "found"]
    if not first:
        raise TacosError(
            f"none of the {len(reviews)} reviews in {parts[0].source} asks a question of {name!r}; "
            "give the set's right name or questions"
        )
    answers = {plain(r.question): {(r.answer_a, r.answer_b)} for r in first}
    again = (r for r, fate in zip(reviews, fates, strict=True) if fate == "duplicate")
    return _Kept(
        judged=[review.judged(rule, unparsed) for review in first],
        duplicate=counts["duplicate"],
        other_answers=sum(
            (r.answer_a, r.answer_b) not in answers.get(plain(r.question), set()) for r in again
        ),
        unknown=counts["unknown"],
        empty=sum(not r.answer_a.strip() or not r.answer_b.strip() for r in first),
        same=sum(r.answer_a == r.answer_b for r in first),
        faults=(faults_of([r.answer_a for r in first]), faults_of([r.answer_b for r in first])),
    )


def _fates(name: str, reviews: Sequence[Review], asked: Sequence[Question] | None) -> Iterator[Fate]:
    """What becomes of each review."""
    if asked:
        matcher = Matcher(asked)
        yield from (matcher.take(review.question_id, review.question).fate for review in reviews)
        return
    twice = SETS[name].questions - SETS[name].distinct if name in SETS else 0
    seen: dict[tuple[str, str | None], list[Review]] = {}
    for review in reviews:
        before = seen.setdefault((plain(review.question), review.question_id), [])
        # Without ids or the set's file, a text that comes back may be a question that the set asks twice.
        asked_twice = before and twice and review.question_id is None and review not in before
        twice -= bool(asked_twice)
        yield "duplicate" if before and not asked_twice else "found"
        before.append(review)


def _set_score(name: str, parts: Sequence[ReviewFile], kept: _Kept, expected: int | None) -> SetScore:
    first = parts[0]
    return SetScore(
        **_figures(kept.judged),
        duplicate=kept.duplicate,
        unknown=kept.unknown,
        bad=sum(len(part.bad) for part in parts),
        empty=kept.empty,
        expected=expected,
        missing=None if expected is None else max(0, expected - len(kept.judged)),
        name=name,
        model_a=first.model_a,
        model_b=first.model_b,
        judge=first.judge,
        faults=dict(
            zip((first.model_a or "answer 1", first.model_b or "answer 2"), kept.faults, strict=True)
        ),
        notes=list(_notes(parts, kept, expected)),
    )


def _figures(judged: Sequence[Judged]) -> dict[str, Any]:
    return tally(judged).model_dump() | {
        "winning_score": winning_score(judged),
        "swap_consistency": swap_consistency(judged),
        "first_position": first_position_rate(judged),
        "longer_wins": longer_wins(judged),
    }


def _pool(kept: Mapping[str, _Kept], sets: Mapping[str, SetScore]) -> PairwiseScore:
    """Every question of every set weighs the same. By name, so that the order of files decides nothing."""
    scores = list(sets.values())
    expected = [score.expected for score in scores if score.expected is not None]
    missing = [score.missing for score in scores if score.missing is not None]
    known = len(expected) == len(scores)
    return PairwiseScore(
        **_figures([row for _, part in sorted(kept.items()) for row in part.judged]),
        duplicate=sum(score.duplicate for score in scores),
        unknown=sum(score.unknown for score in scores),
        bad=sum(score.bad for score in scores),
        empty=sum(score.empty for score in scores),
        expected=sum(expected) if known else None,
        missing=sum(missing) if known else None,
    )


def _notes(parts: Sequence[ReviewFile], kept: _Kept, expected: int | None) -> Iterator[str]:
    if expected is not None and len(kept.judged) > expected:
        yield f"{len(kept.judged)} different questions, where the set has {expected}: give its questions, or its name"
    for part in parts:
        for row in part.bad[:SHOWN]:
            yield f"{part.source} line {row.line}: {row.reason}"
        if len(part.bad) > SHOWN:
            yield f"{part.source}: {len(part.bad) - SHOWN} more rows are not reviews"
    if kept.same == len(kept.judged):
        yield "every question has the same answer from both: a model against itself?"
    if kept.unknown:
        yield f"{kept.unknown} reviews ask no question of the set and are left out"
    if kept.duplicate:
        yield f"{kept.duplicate} reviews repeat a question and are left out; the first stands"
    if kept.other_answers:
        yield f"{kept.other_answers} of these hold other answers: two comparisons may be mixed in one file"
    reasons = Counter(v.error for row in kept.judged for v in (row.order_1, row.order_2) if v.error)
    for reason, count in reasons.most_common(SHOWN):
        yield f"{count} orders unparsed: {reason}"
