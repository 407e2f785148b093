"""Scorers' short cards in reports: a line after a run, a table beside the arms, figures for Weights & Biases."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from eval.interval import Interval
from eval.report import format as fmt
from eval.report.arms import Arm, arm_table, ordered_arms
from eval.report.score_report import with_ends
from eval.report.table import NOTHING, Cell, Column, Spec, Table, over_seeds
from eval.results import Results
from eval.scorer_card import ScorerCard, ScoringCost


def card_lines(results: Results) -> Iterator[str]:
    """One for each scorer that arms used, of the first seed."""
    found: dict[str, list[str]] = {}
    for run in results.runs:
        if run.scorer and run.seed == results.runs[0].seed:
            found.setdefault(card_line(run.scorer), []).append(run.arm)
    for line, arms in found.items():
        yield f"scorer of {fmt.listing(arms)}: {line}"


def card_line(card: ScorerCard) -> str:
    """ "length on 240 rows: 0.0% without a score, length correlation 1.00 [1.00, 1.00]"; the unknown is left out."""
    said = [f"{fmt.percent(card.unread.mean)} without a score"] if card.unread else []
    said += ["all scores are the same"] if card.constant else []
    if found := card.length.interval:
        said.append(f"length correlation {fmt.score(found.mean)} {fmt.bracket(found, fmt.score)}".rstrip())
    if found := card.first_position.interval:
        said.append(
            f"the one shown first wins {fmt.percent(found.mean)} {fmt.bracket(found, fmt.percent_number)}".rstrip()
        )
    if found := card.split_half.interval:
        said.append(f"split halves {fmt.score(found.mean)} {fmt.bracket(found, fmt.score)}".rstrip())
    if card.reliability is not None:
        guessed = "" if card.told_apart else " (guessed: no row was scored twice)"
        said.append(f"reliability of one score {fmt.score(card.reliability)}{guessed}")
    said.append(cost_words(card.cost))
    return f"{card.scorer} on {card.n:,} rows: {', '.join(said)}"


def cost_words(cost: ScoringCost) -> str:
    """What a sample costs: "0.5 calls, 420 tokens, $0.0003 and 0.012 s a sample"."""
    said = []
    if cost.calls:
        price = fmt.paid([cost.usd], cost.unpriced, "price unknown")
        said += [f"{cost.calls:.3g} calls", f"{cost.tokens:,.0f} tokens", price]
    if cost.forward_tokens:
        said.append(f"{cost.forward_tokens:,.0f} tokens read here")
    return f"{fmt.listing([*said, fmt.duration(cost.seconds)])} a sample"


def card_figures(card: ScorerCard) -> dict[str, float | None]:
    """Under `scorer/`, with the ends of their intervals."""
    found: dict[str, float | None] = {
        "scorer/n": card.n,
        "scorer/constant": float(card.constant),
        "scorer/reliability": card.reliability,
        "scorer/calls_per_sample": card.cost.calls,
        "scorer/usd_per_sample": None if card.cost.unpriced else card.cost.usd,
        "scorer/seconds_per_sample": card.cost.seconds,
    }
    for name, interval in _intervals(card).items():
        found |= with_ends(f"scorer/{name}", interval)
    return found


def _intervals(card: ScorerCard) -> dict[str, Interval | None]:
    return {
        "unread": card.unread,
        "length_correlation": card.length.interval,
        "first_position": card.first_position.interval,
        "split_half": card.split_half.interval,
    }


def scorers_tables(results: Results) -> list[Table]:
    """The table of scorers beside the arms that chose by them; none where no arm scores."""
    arms = [arm for arm in ordered_arms(results) if _cards(arm)]
    if not arms:
        return []
    specs: list[Spec[Arm]] = [
        (Column("scorer", numeric=False), _named),
        (Column("unread"), _of(lambda card: card.unread.mean if card.unread else None, fmt.percent)),
        (Column("length"), _of(lambda card: card.length.mean, fmt.score)),
        (Column("first position"), _of(lambda card: card.first_position.mean, fmt.percent)),
        (Column("split halves"), _of(lambda card: card.split_half.mean, fmt.score)),
        (Column("reliability"), _of(_reliability, fmt.score)),
        (Column("calls a sample"), _of(lambda card: card.cost.calls or None, fmt.score)),
        (Column("seconds a sample"), _of(lambda card: card.cost.seconds, fmt.seconds)),
    ]
    note = (
        "Of the whole pool, one value or the range over seeds. Unread: rows without a score. Length: rank correlation"
        " with the length of the answer. First position: how often the sample shown first scores higher. Split halves:"
        " reliability of a row's mean score, where rows have several. Reliability: share of the variance of one score"
        " that is the sample's, where it was measured. `tacos audit` asks a scorer more."
    )
    return [arm_table(results, "scorers", "Scorers", note, specs, arms)]


def _cards(arm: Arm) -> list[ScorerCard]:
    return [run.scorer for run in arm.runs if run.scorer]


def _named(arm: Arm) -> Cell:
    names = fmt.listing(dict.fromkeys(card.scorer for card in _cards(arm)))
    return Cell(names, raw=names) if names else NOTHING


def _reliability(card: ScorerCard) -> float | None:
    return card.reliability if card.told_apart else None


def _of(get: Callable[[ScorerCard], float | None], form: fmt.Format) -> Callable[[Arm], Cell]:
    return lambda arm: over_seeds([get(card) for card in _cards(arm)], form)
