"""MT-Bench's pairs of models in a report: wins, ties and losses, and by category."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eval.mt_bench.files import told
from eval.report import format as fmt
from eval.report.coverage import Coverage, faults_told, with_faults
from eval.report.score_report import BIAS_NOTE, Bias, Figures, ScoreReport, bias, with_ends
from eval.report.table import Column, Entry, Spec, Table, build, counts, numbers, texts, with_interval

if TYPE_CHECKING:
    from eval.mt_bench.pairs import CategoryPairs, ModelPairScore, ModelPairScores
    from eval.report.style import Plot


def pair_names(scores: ModelPairScores) -> list[str]:
    """A name for each pair; the judge is in it where a pair has several."""
    names = [f"{p.model_1} vs {p.model_2}" for p in scores.pairs]
    return [
        f"{name} [{p.judge}]" if names.count(name) > 1 else name
        for name, p in zip(names, scores.pairs, strict=True)
    ]


def _entries(scores: ModelPairScores) -> list[Entry[ModelPairScore]]:
    def covered(name: str, p: ModelPairScore) -> Coverage:
        counted = (p.n, p.expected, p.error, p.missing, p.duplicate, p.unknown)
        sides = [scores.faults[m] for m in {p.model_1, p.model_2} if m in scores.faults]
        return Coverage("MT-Bench pairs", name, "turns", *counted, faulty=sum(s.faulty for s in sides))

    named = zip(pair_names(scores), scores.pairs, strict=True)
    return [Entry(name, pair, covered(name, pair)) for name, pair in named]


def _bias(pair: ModelPairScore) -> Bias:
    return pair.longer_wins, pair.swap_consistency, pair.first_position_rate


def pair_table(scores: ModelPairScores) -> Table:
    """One row per pair of models."""
    votes = "turns"
    specs: list[Spec[ModelPairScore]] = [
        (Column("win", votes), counts(lambda p: p.win)),
        (Column("tie", votes), counts(lambda p: p.tie)),
        (Column("lose", votes), counts(lambda p: p.lose)),
        (
            Column("win rate"),
            lambda p: with_interval(p.win_rate_adjusted, p.ci, fmt.percent, fmt.percent_number),
        ),
        (Column("wins alone", brief=False), numbers(fmt.percent, lambda p: p.win_rate)),
        *bias(_bias),
        (Column("judge", numeric=False, brief=False), texts(lambda p: p.judge)),
    ]
    note = (
        "From the first model's side; each turn is judged in both orders, and a win needs both. Win rate: ties"
        " one half; 95% interval over questions. " + BIAS_NOTE
    )
    return build("mt_bench_pairs", "MT-Bench, pairs of models", note, "pair", _entries(scores), specs)


def category_table(scores: ModelPairScores) -> Table:
    """One row per pair and category; the pair is named where there are several."""
    entries = [
        Entry(category, (pair.name, counted))
        for pair in _entries(scores)
        for category, counted in pair.item.categories.items()
    ]
    several = len(scores.pairs) > 1

    def judged(item: tuple[str, CategoryPairs]) -> int:
        return item[1].win + item[1].tie + item[1].lose

    def rate(item: tuple[str, CategoryPairs]) -> float | None:
        n = judged(item)
        return (item[1].win + item[1].tie / 2) / n if n else None

    specs: list[Spec[tuple[str, CategoryPairs]]] = [
        (Column("pair", numeric=False), texts(lambda item: item[0] if several else None)),
        (Column("win"), counts(lambda item: item[1].win)),
        (Column("tie"), counts(lambda item: item[1].tie)),
        (Column("lose"), counts(lambda item: item[1].lose)),
        (Column("judged"), counts(judged)),
        (Column("win rate"), numbers(fmt.percent, rate)),
    ]
    whose = "" if several or not entries else f": {entries[0].item[0]}"
    note = f"From the first model's side{whose}. Win rate: ties one half. A category without a judged turn has no rate."
    return build("mt_bench_pairs_categories", "MT-Bench, pairs by category", note, "category", entries, specs)


def tables(scores: ModelPairScores) -> list[Table]:
    return [pair_table(scores), category_table(scores)]


def problems(scores: ModelPairScores) -> list[str]:
    named = zip(pair_names(scores), scores.pairs, strict=True)
    missing = [
        f"{name}: {fmt.plural(p.missing, 'turn')} without a judgment" for name, p in named if p.missing
    ]
    return [*faults_told(scores.faults), *missing, *told(scores.problems)]


def headline(scores: ModelPairScores) -> str:
    return with_faults(_verdict(scores), scores.faults)


def _verdict(scores: ModelPairScores) -> str:
    judged = [pair for pair in scores.pairs if pair.win_rate_adjusted is not None]
    if not judged:
        return "No pair of games could be read, so there is no win rate."
    if len(judged) > 1:
        return f"{len(judged)} pairs of models were compared on MT-Bench."
    pair = judged[0]
    low, high = (pair.ci.low, pair.ci.high) if pair.ci and pair.ci.n > 1 else (0.0, 1.0)
    said = f"{fmt.percent(pair.win_rate_adjusted)} {fmt.bracket(pair.ci, fmt.percent_number)}".strip()
    rate = f"win rate {said}, ties one half"
    if low <= 0.5 <= high:
        return f"No preference between {pair.model_1} and {pair.model_2} can be claimed on MT-Bench ({rate})."
    winner, loser = (pair.model_1, pair.model_2) if low > 0.5 else (pair.model_2, pair.model_1)
    whose = "" if low > 0.5 else f"{pair.model_1}'s "
    return f"The judge prefers {winner} to {loser} on MT-Bench ({whose}{rate})."


def figures(scores: ModelPairScores) -> Figures:
    keys = ("win", "tie", "lose", "n", "expected", "error")
    named = zip(pair_names(scores), scores.pairs, strict=True)
    return {
        name: with_ends("mt_bench_pairs/win_rate", pair.ci)
        | {f"mt_bench_pairs/{key}": getattr(pair, key) for key in keys}
        for name, pair in named
    }


def plots(scores: ModelPairScores) -> list[Plot]:
    """Win, tie and lose; pairs without a judged turn have no bar."""
    from eval.report.stacked import Bar, stacked_bars  # matplotlib, which a terminal's table does without
    from eval.report.style import Plot, abridge

    bars = []
    for name, p in zip(pair_names(scores), scores.pairs, strict=True):
        if p.n:
            lacks = "" if p.complete else f" ({p.n} of {p.expected})"
            rate = f"{fmt.percent(p.win_rate_adjusted)} {fmt.bracket(p.ci, fmt.percent_number)}".strip()
            votes = {"win": p.win, "tie": p.tie, "lose": p.lose}
            bars.append(Bar(abridge(name, 84 - len(lacks)) + lacks, votes, rate))
    if not bars:
        return []
    caption = (
        "Turns that the first model won, tied and lost; a win needs both orders. Win rate: ties one half; in"
        " brackets its 95% interval."
    )
    title, figure = "MT-Bench, win, tie and lose per pair", stacked_bars(bars, "win rate", "what was judged")
    return [Plot("mt_bench_pairs", "mt_bench_pairs", title, caption, figure)]


PAIRS: ScoreReport[ModelPairScores] = ScoreReport(
    "mt_bench_pairs", tables, problems, headline, figures, plots
)
