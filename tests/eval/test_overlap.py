"""Rows that selections share: worked by hand, and in every place that shows them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from eval.overlap import jaccard, overlaps, row_names
from eval.report.arm_tables import write_tables
from eval.report.overlap import overlap_plot, overlap_table
from eval.results import Overlap, Results
from tests.eval.fixtures import ARMS, make_results
from tests.eval.test_collect import run
from tests.pipeline.helpers import write_pool

A, B, C = (row_names([f"{i:016x}" for i in ids]) for ids in ((1, 2, 3), (2, 3, 4), (9, 9)))
NONE = row_names([])


def test_rows_in_both_over_rows_in_either() -> None:
    assert [jaccard(A, B), jaccard(A, A), jaccard(A, C), jaccard(A, NONE)] == [0.5, 1.0, 0.0, 0.0]
    assert jaccard(NONE, NONE) == 1.0 and len(C) == 1  # a row that stands twice is one
    assert jaccard(row_names(["f" * 16]), row_names(["f" * 15 + "e"])) == 0.0  # all 64 bits count


def test_by_seed_and_their_mean() -> None:
    found = overlaps({"x": {0: A, 1: B}, "y": {0: B, 1: C}})
    assert found == Overlap(
        arms=["x", "y"],
        seeds=[0, 1],
        by_seed=[[[1.0, 0.5], [0.5, 1.0]], [[1.0, 0.0], [0.0, 1.0]]],
        mean=[[1.0, 0.25], [0.25, 1.0]],
        across_seeds=[0.5, 0.0],
    )
    one = overlaps({"x": {0: A}, "y": {0: B}})
    assert one is not None and one.across_seeds == [None, None]
    assert overlaps({"x": {0: A}}) is None


@pytest.fixture
def results() -> Results:
    arms = tuple(arm for arm in ARMS if arm.name in ("tacos", "random", "zero-shot"))
    shared = overlaps({"tacos": {0: A, 1: B}, "random": {0: B, 1: C}})
    return make_results(arms=arms, seeds=2).model_copy(update={"overlap": shared})


def test_the_table_has_a_row_per_pair(results: Results, tmp_path: Path) -> None:
    assert tmp_path / "overlap.csv" in write_tables(results, tmp_path)
    with (tmp_path / "overlap.csv").open() as handle:
        assert list(csv.reader(handle)) == [
            ["arm", "other", "mean", "seed 0", "seed 1"],
            ["tacos", "tacos", "0.5", "", ""],
            ["tacos", "random", "0.25", "0.5", "0.0"],
            ["random", "random", "0.0", "", ""],
        ]


def test_the_heat_map_says_what_chance_would_share(results: Results) -> None:
    plot = overlap_plot(results)
    assert plot is not None and plot.group == "overlap"
    assert [text.get_text() for text in plot.figure.axes[0].texts] == [
        *("0.50", "0.25", "0.25", "0.00"),
        *("tacos", "random"),
    ]
    assert plot.caption.endswith("Two random draws of 300 of 2,871 rows have about 0.06.")
    assert "mean over seeds; in bold, an arm with itself across seeds" in plot.caption


def test_nothing_to_compare_is_no_plot_and_no_table() -> None:
    assert overlap_plot(make_results()) is None and overlap_table(make_results()) is None


def test_a_run_compares_selections_and_given_sets(tmp_path: Path) -> None:
    """The given set is the pool's first 10 rows, whose ids are its own."""
    write_pool(tmp_path / "pool.jsonl", 40)
    write_pool(tmp_path / "given.jsonl", 10)
    found = run(
        tmp_path,
        pool={"source": str(tmp_path / "pool.jsonl"), "dedup": {"exact": False, "near": False}},
        arms={
            "random": {"method": "random"},
            "full": {"method": "full"},
            "given": {"data": str(tmp_path / "given.jsonl")},
        },
        budget=10,
        seeds=[0, 1],
        train=None,
    ).overlap
    assert found is not None and found.arms == ["random", "full", "given"]
    assert found.mean[0][1] == found.mean[1][2] == 0.25 and found.mean[1][0] == 0.25
    assert found.across_seeds[1:] == [1.0, 1.0] and (found.across_seeds[0] or 0) < 1
    report = (tmp_path / "runs" / "small" / "report.html").read_text()
    assert "Rows that selections share" in report and 'id="overlap"' in report
