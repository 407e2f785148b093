"""How much of a benchmark was judged, for every row of its tables.

MT-Bench, m: 159 of 160 turns judged (1 unparsed)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from eval.report import format as fmt
from tacos.answering.faults import AnswerFaults


@dataclass(frozen=True)
class Coverage:
    """How much of a benchmark one row of a table rests on.

    of: the benchmark; name: the model or set; unit: what is counted; expected, missing, duplicate, unknown: None
    where that is not known or not counted; bad: rows of a file that are no answer at all; faulty: answers that are
    empty, failed, repeated or cut off (`tacos.answering.faults`).
    """

    of: str
    name: str
    unit: str
    judged: int
    expected: int | None
    unparsed: int
    missing: int | None
    duplicate: int | None
    unknown: int | None = None
    bad: int = 0
    faulty: int = 0

    @property
    def share(self) -> float | None:
        return self.judged / self.expected if self.expected else None

    @property
    def complete(self) -> bool:
        """False, too, where it is not known how many there should be, and where there are too many."""
        return self.judged == self.expected and self.judged > 0

    @property
    def words(self) -> str:
        """MT-Bench, m: 159 of 160 turns judged (1 unparsed)."""
        parts = [("unparsed", self.unparsed), ("missing", self.missing), ("bad rows", self.bad)]
        why = ", ".join(f"{fmt.count(number)} {word}" for word, number in parts if number)
        why = f" ({why})" if why else ""
        if self.expected is None:
            return (
                f"{self.of}, {self.name}: {fmt.count(self.judged)} {self.unit} judged{why}; how many there should"
                " be is not known, so nothing can be said of missing ones"
            )
        counts = f"{fmt.count(self.judged)} of {fmt.count(self.expected)} {self.unit} judged"
        return f"{self.of}, {self.name}: {counts}{why}"


def coverage_counts(found: Sequence[Coverage]) -> list[tuple[str, Callable[[Coverage], float | None]]]:
    """Headings and counts of what was not judged; the last two only where the kind of score has them."""
    gets: list[tuple[str, Callable[[Coverage], float | None]]] = [
        ("unparsed", lambda c: c.unparsed),
        ("missing", lambda c: c.missing),
        ("duplicate", lambda c: c.duplicate),
    ]
    if any(c.unknown is not None for c in found):
        gets.append(("unknown", lambda c: c.unknown))
    if any(c.bad for c in found):
        gets.append(("bad rows", lambda c: c.bad))
    if any(c.faulty for c in found):
        gets.append(("faulty answers", lambda c: c.faulty))
    return gets


def faults_told(faults: Mapping[str, AnswerFaults]) -> list[str]:
    """A line per model whose answers have faults, and one where reasoning was taken out.

    m1: of 160 answers 73 empty
    """
    told = [f"{name}: {said}" for name, one in faults.items() if (said := one.describe())]
    lost = "of {:,} answers {:,} lost a reasoning block"
    return told + [f"{name}: {lost.format(f.turns, f.reasoned)}" for name, f in faults.items() if f.reasoned]


def with_faults(verdict: str, faults: Mapping[str, AnswerFaults]) -> str:
    """The verdict with what puts it in doubt: models of whose answers more than 5% are faulty."""
    broken = {name: one for name, one in faults.items() if one.worth_saying}
    if not broken:
        return verdict
    said = "; ".join(f"{name}: {one.describe()}" for name, one in broken.items())
    return f"{verdict} Read with care: {said}."
