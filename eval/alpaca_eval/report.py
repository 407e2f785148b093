"""AlpacaEval 2 in a report: models by their length-controlled win rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eval.report import format as fmt
from eval.report.comparisons import comparison_tables, led
from eval.report.coverage import Coverage, with_faults
from eval.report.score_report import Figures, ScoreReport, best_first
from eval.report.table import Column, Entry, Spec, Table, build, counts, mean, numbers, texts, with_error

if TYPE_CHECKING:
    from eval.alpaca_eval.score import AlpacaEvalResult, AlpacaEvalScore
    from eval.report.style import Plot


def _main_rate(score: AlpacaEvalScore) -> float | None:
    """The figure that models are ranked by: the raw win rate where there is no length-controlled one."""
    controlled = score.length_controlled_winrate
    return score.win_rate if controlled is None else controlled


def ranked(result: AlpacaEvalResult) -> list[Entry[AlpacaEvalScore]]:
    """Models as rows, the best first."""

    def covered(name: str, s: AlpacaEvalScore) -> Coverage:
        counted = (s.n, s.expected, s.unparsed, s.missing, s.duplicate, s.unknown)
        return Coverage("AlpacaEval 2", name, "questions", *counted, faulty=s.faults.faulty)

    entries = [Entry(name, s, covered(name, s)) for name, s in result.models.items()]
    return best_first(entries, _main_rate)


def model_table(result: AlpacaEvalResult) -> Table:
    """One row per model."""
    rate = "win rate, %"
    specs: list[Spec[AlpacaEvalScore]] = [
        (
            Column("length controlled", rate),
            lambda s: with_error(s.length_controlled_winrate, s.lc_error),
        ),
        (Column("raw", rate), lambda s: with_error(s.win_rate, s.standard_error)),
        (Column("discrete", rate, brief=False), numbers(fmt.score, lambda s: s.discrete_win_rate)),
        (Column("longer wins", "answers"), lambda s: mean(s.longer_wins, fmt.percent, fmt.percent_number)),
        (Column("mean length", "answers", brief=False), counts(lambda s: s.mean_length)),
        (Column("empty", "answers", brief=False), counts(lambda s: s.empty or None)),
        (Column("no answer", "answers", brief=False), counts(lambda s: s.no_output or None)),
        (Column("C", "judging", brief=False), numbers(_short, lambda s: s.regularisation)),
        (Column("annotator", "judging", numeric=False, brief=False), texts(lambda s: s.annotator)),
    ]
    return build("alpaca_eval", "AlpacaEval 2", _note(result), "model", ranked(result), specs)


def _short(value: float | None) -> str:
    return f"{value:.3g}" if fmt.known(value) else fmt.UNKNOWN


def _note(result: AlpacaEvalResult) -> str:
    bases = fmt.listing(sorted({s.baseline for s in result.models.values() if s.baseline}))
    return (
        f"Win rate against {bases or 'the baseline'}, ± one standard error, that of the length-controlled fit in it."
        " Longer wins: share of decided"
        " questions that went to the longer answer; mean length in characters; C: regularisation of the"
        " length-controlled fit."
    )


def tables(result: AlpacaEvalResult) -> list[Table]:
    measure, controlled = "Mean preference, in percentage points", "Length-controlled win rate, in points"
    return [
        model_table(result),
        *comparison_tables("alpaca_eval", measure, fmt.points_of_100, result.against, result.comparisons),
        *comparison_tables(
            "alpaca_eval_lc", controlled, fmt.points_of_100, result.against, result.lc_comparisons
        ),
    ]


def problems(result: AlpacaEvalResult) -> list[str]:
    of_models = [f"{name}: {line}" for name, s in result.models.items() for line in _lines(s)]
    return [*result.problems, *of_models]


def _lines(score: AlpacaEvalScore) -> list[str]:
    told = (
        (score.missing, "question", "without a row"),
        (score.duplicate, "further row", "of a question, left out; the first with a preference counts"),
        (score.unknown, "row", "of no question of the evaluation set, left out"),
        (score.empty, "empty answer", "scored as judged"),
        (score.same, "answer", "that equals the baseline's own: a draw without a call"),
        (score.no_output, "row", "without the model's answer, outside the length control"),
    )
    unread = [f"{fmt.plural(n, 'row')} unparsed: {reason}" for reason, n in score.reasons.items()]
    faults = [score.faults.describe()] if score.faults.faulty > score.empty else []
    if score.faults.reasoned:
        faults.append(f"{fmt.plural(score.faults.reasoned, 'answer')} lost a reasoning block")
    return [*score.notes, *faults, *unread, *(f"{fmt.plural(n, what)} {then}" for n, what, then in told if n)]


def headline(result: AlpacaEvalResult) -> str:
    return with_faults(_verdict(result), {name: score.faults for name, score in result.models.items()})


def _verdict(result: AlpacaEvalResult) -> str:
    rated = [entry for entry in ranked(result) if _main_rate(entry.item) is not None]
    if not rated:
        return "No preference could be read, so there is no AlpacaEval win rate."
    first, best = rated[0].name, rated[0].item
    controlled = best.length_controlled_winrate is not None
    said = f"{'length-controlled' if controlled else 'raw'} win rate of {_main_rate(best):.1f}%"
    if len(rated) == 1:
        return f"{first} has a {said} against {best.baseline or 'the baseline'} on AlpacaEval 2."
    highest = f"{first} has the highest {said} of {len(rated)} models on AlpacaEval 2."
    known = result.lead is not None and result.lead.first == first
    return highest + (led(result.lead, fmt.points_of_100, "points") if known else "")


def figures(result: AlpacaEvalResult) -> Figures:
    keys = ("win_rate", "standard_error", "n", "expected", "unparsed")
    return {
        name: {"alpaca_eval/lc": s.length_controlled_winrate, "alpaca_eval/lc_error": s.lc_error}
        | {f"alpaca_eval/{key}": getattr(s, key) for key in keys}
        for name, s in result.models.items()
    }


def plots(result: AlpacaEvalResult) -> list[Plot]:
    from eval.alpaca_eval.plot import length_controlled  # matplotlib, which a terminal's table does without

    plot = length_controlled(ranked(result))
    return [plot] if plot else []


ALPACA_EVAL: ScoreReport[AlpacaEvalResult] = ScoreReport(
    "alpaca_eval", tables, problems, headline, figures, plots
)
