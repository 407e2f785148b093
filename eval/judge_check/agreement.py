"""How far people agree among themselves, and how far a judge agrees with them, measured the same way.

Each annotator of a pair is held against the majority of the others, a panel of one less; so is the judge. A panel
without a majority is in no figure. What an annotator reaches is the most that can be asked of a judge:

    annotators  judge   panels: annotator v majority of the others     judge v the same majorities
      1, 1, 1     1     1 v 1, 1 v 1, 1 v 1                            right, right, right
      1, 1, 2     2     1 v none, 1 v none, 2 v 1                      wrong
      2, 0, 0     tie   2 v 0, 0 v none, 0 v none                      right

Between people 3 + 1 + 1 of 9 pairs of labels are the same; of the 5 panels with a majority the annotators are right on
3 and the judge on 4. A tie is a label like the others, so there are no halves here. Panels of one instruction are one
item. Cohen's kappa (1960) is the same agreement over what chance alone would give; 0 is chance, 1 is perfect.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from eval.interval import Interval
from eval.judge_check.labelled_pairs import WINNER, LabelledPair, majority
from eval.rates import rate
from eval.stats import against
from tacos.answering.orders import Judged
from tacos.types import Record


class Agreement(Record):
    """A judge beside the people who labelled, on the pairs that two or more of them did."""

    pairs: int
    """With labels of two annotators or more."""
    panels: int
    """Labels held against a majority of the other annotators."""
    no_majority: int
    """Labels whose other annotators have no majority; in no figure."""
    pairwise: Interval | None
    """Share of two annotators' labels of one pair that are the same."""
    annotators: Interval | None
    """Share of panels on which the annotator says what most others say: the ceiling of a judge."""
    each: tuple[Interval | None, ...]
    """The same of each annotator, in the order of the file; None where there is no panel."""
    judge: Interval | None
    """Share of the same panels on which the judge does over both orders, of those it could be read on."""
    gain: Interval | None
    """The judge's share minus that of annotators, paired by panel."""
    kappa_annotators: float | None
    """-1 to 1; None where all labels are the same."""
    kappa_judge: float | None


class Panel(NamedTuple):
    """One annotator of one pair. others: the majority of the other annotators, `judge` None where it is unparsed."""

    instruction: str
    annotator: int
    label: int
    others: int
    judge: int | None


def agreement(pairs: Sequence[LabelledPair], judged: Sequence[Judged]) -> Agreement | None:
    """judged: the verdicts on `pairs`, in order. None where no pair has two annotators."""
    several = [(pair, row) for pair, row in zip(pairs, judged, strict=True) if len(_given(pair)) > 1]
    if not several:
        return None
    panels = [panel for pair, row in several for panel in _panels(pair, row)]
    read = [panel for panel in panels if panel.judge is not None]
    gaps = [float(p.judge == p.others) - float(p.label == p.others) for p in read]
    drawn = [panel.instruction for panel in read]
    return Agreement(
        pairs=len(several),
        panels=len(panels),
        no_majority=sum(len(_given(pair)) for pair, _ in several) - len(panels),
        pairwise=rate(
            (pair.instruction, a == b) for pair, _ in several for a, b in combinations(_given(pair), 2)
        ),
        annotators=_right(panels),
        each=tuple(
            _right([panel for panel in panels if panel.annotator == number])
            for number in range(max(len(pair.annotators) for pair, _ in several))
        ),
        judge=rate((panel.instruction, panel.judge == panel.others) for panel in read),
        gain=against([gaps], 0.0, drawn, (-1.0, 1.0)).interval if gaps else None,
        kappa_annotators=_kappa([(panel.label, panel.others) for panel in panels]),
        kappa_judge=_kappa([(panel.judge, panel.others) for panel in read if panel.judge is not None]),
    )


def _given(pair: LabelledPair) -> list[int]:
    return [label for label in pair.annotators if label is not None]


def _panels(pair: LabelledPair, judged: Judged) -> Iterator[Panel]:
    for number, label in enumerate(pair.annotators):
        others = majority([*pair.annotators[:number], *pair.annotators[number + 1 :]])
        if label is not None and others is not None:
            yield Panel(pair.instruction, number, label, others, WINNER[judged.result])


def _right(panels: Sequence[Panel]) -> Interval | None:
    return rate((panel.instruction, panel.label == panel.others) for panel in panels)


def _kappa(labels: Sequence[tuple[int, int]]) -> float | None:
    """Cohen's kappa of two raters. scikit-learn is imported here, since few files have several annotators."""
    if len({label for both in labels for label in both}) < 2:
        return None
    from sklearn.metrics import cohen_kappa_score

    return float(cohen_kappa_score(*zip(*labels, strict=True)))
