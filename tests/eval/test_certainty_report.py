"""The table of how sure selections are, and the plot of their standard errors."""

from __future__ import annotations

from eval.report.certainty import calibration_plot, certainty_tables
from eval.report.experiment import write_report
from eval.results import Results
from tacos.selection import Calibration, Certainty, QuotaGap
from tests.eval.fixtures import make_results


def told(shared: float = 0.6, group_sd: float = 0.4) -> Results:
    """The runs of `tacos` know how sure they are."""
    made = make_results()
    sure = {
        "certainty": Certainty(std_error=6.5, score_sd=14.0, within_noise=0.37, expected_above=0.81),
        "quota_gap": QuotaGap(shared=shared, largest_group=0.12, group_sd=group_sd),
        "calibration": Calibration(n=412, coverage={"0.5": 0.52, "0.8": 0.79, "0.95": 0.94}, z_sd=1.03),
    }
    runs = [run.model_copy(update=sure if run.arm == "tacos" else {}) for run in made.runs]
    return made.model_copy(update={"runs": runs})


def test_a_selection_that_can_tell_has_a_row() -> None:
    (table,) = certainty_tables(told())
    (row,) = table.rows
    cells = [cell.text for cell in row.cells]
    assert cells[0] == "tacos" and cells[3:6] == ["37.0%", "81.0%", "60.0%"]
    assert (
        "tacos: quotas and one cut share 60.0% of rows, since the groups' scores are of different height"
        in table.note
    )
    assert "not spread evenly" in certainty_tables(told(group_sd=0.05))[0].note
    assert "share" not in certainty_tables(told(shared=0.97))[0].note.split("all scores.")[1]
    assert certainty_tables(make_results()) == [] and calibration_plot(make_results()) is None


def test_the_report_shows_them(tmp_path) -> None:  # type: ignore[no-untyped-def]
    paths = write_report(told(), tmp_path)
    assert "How sure the selections are" in paths.html.read_text()
    assert "calibration" in paths.plots and paths.plots["calibration"].stat().st_size > 5000
    assert "37.0%" in paths.markdown.read_text()


def test_the_legend_of_the_plot_lies_beside_its_lines() -> None:
    plot = calibration_plot(told())
    assert plot is not None
    plot.figure.draw_without_rendering()
    (axis,), (legend,) = plot.figure.axes, plot.figure.legends
    assert axis.get_legend() is None
    assert not legend.get_window_extent().overlaps(axis.get_window_extent())
