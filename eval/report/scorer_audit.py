"""A scorer's reliability card in a report: a table of measures, what altered answers score, and a plot of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from eval.interval import Interval
from eval.report import format as fmt
from eval.report.score_report import Figures, ScoreReport, with_ends
from eval.report.scorers import card_figures, cost_words
from eval.report.table import NOTHING, Cell, Column, Entry, Spec, Table, build, counts, mean, texts
from eval.scorer_audit import ScorerAudit, not_noticed, warnings
from eval.scorer_card import Measurement, ScorerCard

if TYPE_CHECKING:
    from eval.graded import Grade
    from eval.report.style import Plot
    from tacos.scoring.iqs.measure import Accuracy, PairReport

NOTE = (
    "In brackets: 95% intervals. Changes are in standard deviations of the scorer over the rows as they are. A measure"
    " that does not apply has no value, and the reason beside it."
)


class _Line(NamedTuple):
    """A measure: its value as written, over how many, and what it means or why it is missing."""

    value: Cell
    n: int | None
    says: str


def measures_table(audit: ScorerAudit) -> Table:
    """Every measure in a line."""
    entries = [Entry(name, line) for name, line in _lines(audit)]
    specs: list[Spec[_Line]] = [
        (Column("value"), lambda line: line.value),
        (Column("n"), counts(lambda line: line.n)),
        (Column("what it is", numeric=False), texts(lambda line: line.says)),
    ]
    title = f"{audit.card.scorer} on {audit.card.n:,} rows of {audit.pool}"
    return build("scorer", title, NOTE, "measure", entries, specs)


def _lines(audit: ScorerAudit) -> Iterator[tuple[str, _Line]]:
    card = audit.card
    unread = Measurement.of(card.unread, "no row")
    yield "unread", _share(unread, "rows without a score")
    yield "test-retest", _rank(audit.retest, "rank correlation of two scorings of the same rows")
    if audit.retest_difference.interval:
        yield (
            "  difference",
            _rank(audit.retest_difference, "mean absolute difference, on the scorer's scale"),
        )
    yield "swap consistency", _share(audit.swap_consistency, f"both orders say the same; {audit.swapped}")
    yield (
        "first position",
        _share(card.first_position, "the sample shown first scores higher; 50% is no bias"),
    )
    yield "split halves", _rank(card.split_half, "reliability of the mean of a row's scores, from two halves")
    yield from _mixed_model(card)
    yield from _pairs(audit.pairs, audit.pairs_missing)
    for found in audit.worsened:
        tau = Measurement.of(found.tau, "no altered row has all scores")
        yield f"{found.kind}: tau", _rank(tau, "of grade and score; -1 is a fall at every step, 0 is chance")
    yield from _padding(audit)
    yield "length", _rank(card.length, "rank correlation with the length of the answer")
    yield (
        "  given the prompt",
        _rank(card.length_given_prompt, "the same without what the prompt's length says"),
    )
    yield "agreement", _rank(audit.agreement, f"rank correlation with {audit.second}")
    yield "cost of a sample", _Line(Cell(fmt.seconds(card.cost.seconds) + " s"), None, cost_words(card.cost))


def _mixed_model(card: ScorerCard) -> Iterator[tuple[str, _Line]]:
    """What `readout.json` says of one score; nothing of a scorer without one."""
    if card.reliability is None:
        return
    parts = ", ".join(f"{name} {fmt.score(getattr(card, name))}" for name in ("sample", "drift", "noise"))
    how = "" if card.told_apart else "; guessed, since no row was scored twice"
    says = f"share of a score's variance that is the sample's ({parts}){how}"
    yield "reliability", _Line(Cell(fmt.score(card.reliability), raw=card.reliability), None, says)


def _pairs(pairs: PairReport | None, missing: str | None) -> Iterator[tuple[str, _Line]]:
    if pairs is None:
        yield "pair accuracy", _Line(NOTHING, None, missing or "")
        return
    every = pairs.pair_accuracy, pairs.ci, pairs.n, pairs.baselines.longer_wins
    close: Accuracy = pairs.length_matched
    matched = close.pair_accuracy, close.ci, close.n, close.longer_wins
    for name, (value, ci, n, longer) in (("pair accuracy", every), ("  length-matched", matched)):
        interval = Interval(mean=value, low=ci[0], high=ci[1], n=n) if value is not None and ci else None
        found = Measurement.of(interval, "no such pair has two scores")
        beside = f"the better side scores higher; the longer is better in {fmt.percent(longer)}"
        yield name, _share(found, beside)


def _padding(audit: ScorerAudit) -> Iterator[tuple[str, _Line]]:
    missing = audit.altered_missing or "no padded row has both scores"
    grade = audit.padded.grades[-1] if audit.padded else None
    raised = Measurement.of(grade.rises if grade else None, missing)
    yield "padding raises", _share(raised, "answers that score higher with words that say nothing new")
    change = Measurement.of(grade.change if grade else None, missing)
    yield "  by", _rank(change, "mean change, in sd of the scorer")


def _share(found: Measurement, says: str) -> _Line:
    return _line(found, says, fmt.percent, fmt.percent_number)


def _rank(found: Measurement, says: str) -> _Line:
    return _line(found, says, fmt.score, fmt.score)


def _line(found: Measurement, says: str, form: fmt.Format, inside: fmt.Format) -> _Line:
    if found.interval is None:
        return _Line(NOTHING, None, found.missing or "")
    return _Line(mean(found.interval, form, inside), found.interval.n, says)


def altered_table(audit: ScorerAudit) -> Table:
    """A row for each grade of each kind."""
    entries = [
        Entry(f"{found.kind}: {grade.name}", (found.n, grade))
        for found in audit.altered
        for grade in found.grades
    ]
    specs: list[Spec[tuple[int, Grade]]] = [
        (Column("rows"), counts(lambda item: item[0])),
        (Column("score, sd"), lambda item: Cell(fmt.score(item[1].score), raw=item[1].score)),
        (Column("change, sd"), lambda item: mean(item[1].change, fmt.score_difference)),
        (Column("falls"), lambda item: mean(item[1].falls, fmt.percent, fmt.percent_number)),
        (Column("rises", brief=False), lambda item: mean(item[1].rises, fmt.percent, fmt.percent_number)),
    ]
    note = (
        "Truncate: percent cut off the end. Swap: the answer to the nearest other prompt, a less near one, any. Errors:"
        " numbers or words exchanged. Pad: the beginning again, and a closing. Falls and rises are against the grade"
        " before, changes against the answer as it is; scores are in sd from the mean of the rows as they are."
    )
    return build("altered", "Answers altered by known steps", note, "answer", entries, specs)


def tables(audit: ScorerAudit) -> list[Table]:
    """The card, and what altered answers score where there are any."""
    return [measures_table(audit), *([altered_table(audit)] if any(f.n for f in audit.altered) else [])]


def headline(audit: ScorerAudit) -> str:
    """The warnings in full, since a page should open with them, and what was not shown."""
    missing = not_noticed(audit)
    said = warnings(audit) or ([] if missing else ["No measure speaks against it."])
    about = f"{audit.card.scorer} on {audit.card.n:,} rows of {audit.pool}."
    return " ".join(filter(None, [about, *said, missing]))


def figures(audit: ScorerAudit) -> Figures:
    """Under `scorer/`, with the ends of their intervals."""
    intervals = {
        "retest": audit.retest.interval,
        "swap_consistency": audit.swap_consistency.interval,
        "agreement": audit.agreement.interval,
        **{f"{found.kind}_tau": found.tau for found in audit.worsened},
        "padding_raises": audit.padded.grades[-1].rises if audit.padded else None,
    }
    found = card_figures(audit.card) | {"scorer/warnings": len(warnings(audit))}
    for name, interval in intervals.items():
        found |= with_ends(f"scorer/{name}", interval)
    if audit.pairs:
        found["scorer/pair_accuracy"] = audit.pairs.pair_accuracy
        found["scorer/pair_accuracy_length_matched"] = audit.pairs.length_matched.pair_accuracy
    return {audit.card.scorer: found}


def plots(audit: ScorerAudit) -> list[Plot]:
    """The mean change of the score by grade, a line for each kind."""
    from eval.report import style as look

    kinds = [found for found in audit.altered if found.n and found.grades[-1].change]
    if not kinds:
        return []
    with look.styled():
        figure, (axis,) = look.new_figure(1, 1, 2.9)
        for number, found in enumerate(kinds):
            ends = [(g.change.mean, g.change.low, g.change.high) for g in found.grades if g.change]
            means = [0.0, *(m for m, _, _ in ends)]
            colour, at = look.ARM_COLOURS[number], range(len(means))
            axis.plot(at, means, "o-", color=colour, ms=5, label=f"{found.kind}: {_steps(found.grades)}")
            axis.vlines(at[1:], [low for _, low, _ in ends], [high for _, _, high in ends], color=colour)
        axis.axhline(0, color=look.BASELINE_COLOUR, lw=1, ls=(0, (4, 3)))
        axis.set_xticks(range(4), ["as it is", "step 1", "step 2", "step 3"])
        axis.set_ylabel("change, sd of the scorer")
        axis.grid(axis="y")
        figure.legend(loc="outside lower center", ncols=2, handlelength=1.4)
    caption = "Mean change of the score over the altered rows; whiskers are 95% intervals."
    return [look.Plot("altered", "scorer", "What altered answers score", caption, figure)]


def _steps(grades: list[Grade]) -> str:
    return ", ".join(grade.name for grade in grades[1:])


AUDIT: ScoreReport[ScorerAudit] = replace(
    ScoreReport("scorer_audit", tables, warnings, headline, figures), plots=plots
)
