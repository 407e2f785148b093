"""Judges of labelled pairs that say what they are told to."""

from __future__ import annotations

from collections.abc import Sequence

from eval.judge_check.labelled_pairs import LabelledPair, LabelledPairs
from tacos.answering.judge import Comparison, Verdict

Grades = tuple[float, float] | None


def pair(
    number: int,
    label: int | None,
    output_1: str = "short",
    output_2: str = "much longer",
    annotators: tuple[int | None, ...] = (),
) -> LabelledPair:
    return LabelledPair(
        id=f"p{number}",
        instruction=f"q{number}",
        output_1=output_1,
        output_2=output_2,
        label=label,
        annotators=annotators,
    )


def labelled(*pairs: LabelledPair) -> LabelledPairs:
    return LabelledPairs(source="test", pairs=list(pairs))


class Orders:
    """Gives the verdicts it was made with: all first orders, then all second ones."""

    embedded = True

    def __init__(self, *scores: Grades, name: str = "orders"):
        self.name = name
        self.verdicts = [
            Verdict(score_1=s[0], score_2=s[1]) if s else Verdict(error="refused") for s in scores
        ]

    def judge(self, items: Sequence[Comparison]) -> list[Verdict]:
        assert len(items) == len(self.verdicts)
        return self.verdicts


def saying(*winners: int | None, name: str = "orders") -> Orders:
    """Says the same in both orders: 1 or 2 for the better output, 0 for a tie, None for nothing that can be read."""
    grades: dict[int | None, Grades] = {1: (9, 1), 2: (1, 9), 0: (5, 5), None: None}
    shown = [grades[winner] for winner in winners]
    return Orders(*shown, *(g and (g[1], g[0]) for g in shown), name=name)
