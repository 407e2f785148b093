"""The table of where the spread of a comparison comes from."""

from __future__ import annotations

from eval.power import Variation
from eval.report.variation import variation_tables
from eval.results import ArmMeasure, Overlap, Results
from tests.eval.fixtures import make_results


def spread(seed: float | None, sd: float | None) -> ArmMeasure:
    return ArmMeasure(
        interval=None, variation=Variation(question=0.3, chance=0.4, seed=seed), seed_sd=sd, question_sd=0.5
    )


def run(seed: float | None = 0.02) -> Results:
    """Three arms of which one selects the same rows with every seed, and one selects nothing."""
    made = make_results()
    sds = {"tacos": 0.03, "longest": 0.01, "zero-shot": 0.5}
    one = made.summary[0]
    summary = [
        one.model_copy(update={"arm": arm, "measures": {"exact_match": spread(seed, sd)}})
        for arm, sd in sds.items()
    ]
    shared = Overlap(arms=["tacos", "longest"], seeds=[0, 1], by_seed=[], mean=[], across_seeds=[0.2, 1.0])
    return made.model_copy(update={"summary": summary, "overlap": shared})


def test_seeds_of_training_alone_stand_apart() -> None:
    (table,) = variation_tables(run())
    heads = [column.label for column in table.columns]
    assert heads == ["measure", "questions", "chance", "seeds", "training alone", "selection and training"]
    assert [cell.text for cell in table.rows[0].cells] == ["exact match, points", "30", "40", "2", "1", "3"]


def test_a_large_spread_is_written_out() -> None:
    made = run(seed=12.345)  # in points: 1,234.5
    (table,) = variation_tables(made)
    assert [cell.text for cell in table.rows[0].cells][3] == "1,234"


def test_one_seed_has_no_table() -> None:
    assert variation_tables(run(seed=None)) == []
