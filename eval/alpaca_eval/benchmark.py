"""AlpacaEval 2 in an experiment: how often a judge prefers an arm's answers to GPT-4's, in per cent.

    preferences 1.25, 2, 1.5, unread  ->  win rates 25, 100, 50, one unread

The length-controlled win rate is a prediction for the whole set (`length_control.py`); each question's value is its
part in that rate and its error, so that arms are paired by question. Both rates are the figures of `tacos eval
alpaca-eval` on the run's `annotations.json`.
"""

from __future__ import annotations

from eval.alpaca_eval.files import read_annotations
from eval.alpaca_eval.judging import PreferenceSettings
from eval.measures import Benchmark, Finished, Measure, RunValues, Values, Wording
from tacos.answering.candidate import GenerateSettings
from tacos.store.files import read_json

QUESTIONS = 805


class AlpacaEvalSettings(PreferenceSettings):
    """`benchmarks.alpaca_eval` of an experiment."""

    judge: str = "judge"
    """Which of the configured `llms` is asked; an `annotator` names its model where the settings do not."""
    generate: GenerateSettings | None = None
    """How instructions are answered; None is temperature 0.7 and at most 2,048 tokens."""


WIN_RATE = Measure(
    name="alpaca_eval_win_rate",
    metric="alpaca_eval/win_rate",
    title="AlpacaEval win rate",
    phrase="the AlpacaEval win rate",
    counted="preference for the answer over GPT-4's",
    note="Against the answers of GPT-4, not against another arm's.",
    heading="AlpacaEval 2",
    asked="alpaca_eval",
    unit="percent",
    scale=(0.0, 100.0),
    difference=True,
    reasons="annotations.json of its alpaca_eval folder",
    wording=Wording(
        better="the judge prefers {arm}'s answers to GPT-4's more often than {baseline}'s",
        worse="the judge prefers {arm}'s answers to GPT-4's less often than {baseline}'s",
    ),
)
LENGTH_CONTROLLED = Measure(
    name="alpaca_eval_length_controlled",
    metric="alpaca_eval/lc",
    title="AlpacaEval, length controlled",
    phrase="the length-controlled win rate",
    counted="win rate at the length of GPT-4's answers",
    heading="AlpacaEval 2",
    asked="alpaca_eval",
    unit="percent",
    scale=(0.0, 100.0),
    difference=True,
    wording=Wording(
        better="at equal length the judge prefers {arm}'s answers to GPT-4's more often than {baseline}'s",
        worse="at equal length the judge prefers {arm}'s answers to GPT-4's less often than {baseline}'s",
    ),
)
CONTROLLED = "controlled.json"
"""In the stage's folder: question's index -> value, 0-100, whose mean is the length-controlled win rate."""


def read(finished: Finished) -> RunValues:
    """Per instruction, by its place in the set, the preference from 0 to 100, and its part in the length-controlled
    win rate (`length_control.controlled_values`)."""
    rows = read_annotations(finished.folders["alpaca_eval"] / "annotations.json").rows
    rates = {
        f"alpaca_eval/{i}": 100 * (row.preference - 1)
        for i, row in enumerate(rows)
        if row.preference is not None
    }
    figures = finished.metrics["alpaca_eval"]
    controlled = read_json(finished.folders["alpaca_eval"] / CONTROLLED)
    values: Values = {WIN_RATE.name: rates}
    if controlled:
        by_question = {f"alpaca_eval/{index}": value for index, value in controlled.items()}
        values = {**values, LENGTH_CONTROLLED.name: by_question}
    beside = {key: figures.get(key) for key in ("discrete_win_rate", "longer_wins")}
    return RunValues(values, {WIN_RATE.name: len(rows) - len(rates)}, {WIN_RATE.name: beside})


BENCHMARK = Benchmark("alpaca_eval", stage="alpaca_eval", measures=(WIN_RATE, LENGTH_CONTROLLED), read=read)
