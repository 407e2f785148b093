"""Plots of selections in rounds."""

from __future__ import annotations

from pathlib import Path

from eval.report.experiment import write_report
from eval.report.rounds import hard_shares, hardness
from eval.report.style import save_png
from eval.results import Round, RoundsReport
from tests.eval.fixtures import make_results


def test_rounds_are_drawn_with_their_counts(tmp_path: Path) -> None:
    plot = hard_shares([(6, 2), (8, 0), (0, 0)])
    axis = plot.figure.axes[0]
    assert [patch.get_height() for patch in axis.patches] == [0.75, 1.0, 0.0]  # type: ignore[attr-defined]
    assert [text.get_text() for text in axis.texts] == ["6 of 8", "8 of 8", "0 of 0"]
    assert save_png(plot, tmp_path).stat().st_size > 5000


def test_a_histogram_leaves_out_what_there_is_none_of(tmp_path: Path) -> None:
    plot = hardness({"judged hard": [0] * 23 + [1, 1], "judged easy": [0] * 25, "rest": [1] * 9 + [0] * 16})
    legend = plot.figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["judged hard (2)", "rest (9)"]
    assert save_png(plot, tmp_path).exists()


def test_rounds_stand_in_the_report_of_an_experiment(tmp_path: Path) -> None:
    counts = {
        "judged hard": [0] * 20 + [6, 0, 0, 0, 0],
        "judged easy": [2] + [0] * 24,
        "not judged": [40] * 25,
    }
    rounds = [
        Round(hard=6, easy=2, unread=0, judge_calls=8),
        Round(hard=3, easy=4, unread=1, judge_calls=8, auc=0.71),
    ]
    report = RoundsReport(arm="iter", rounds=rounds, hardness=counts)
    paths = write_report(make_results().model_copy(update={"rounds": [report]}), tmp_path)
    assert {"rounds_1_hard_shares", "rounds_1_hardness"} <= set(paths.plots)
    text = paths.markdown.read_text()
    assert "## Rounds of judging" in text and "0.71" in text
    assert "Rounds of judging" in paths.html.read_text()
