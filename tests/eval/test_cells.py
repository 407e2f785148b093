"""Over the cells of a matrix: curves, what a selection is worth in random rows, whether the order of arms holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from eval.report.cells.cell import DoneCell
from eval.report.cells.curves import curves, numeric_dimensions
from eval.report.cells.page import write_cells
from eval.report.cells.recipes import agreement, recipe_tables, tuned
from eval.report.cells.scope import scope
from eval.report.cells.worth import Worth, worth, worth_tables
from eval.report.layout import records
from eval.report.table import Table
from eval.results import ArmRun
from tests.eval.fixtures import ARMS, BUDGET, make_results

NAMED = {arm.name: arm for arm in ARMS}


def cell(where: dict[str, str], half_width: float = 0.04, rows: int = BUDGET, **exact: float) -> DoneCell:
    """Arms with these shares of exact answers; rows: of its budget."""
    arms = tuple(replace(NAMED[name], exact_match=value) for name, value in exact.items())
    results = make_results(arms=arms, seeds=3, half_width=half_width)
    runs = [
        run.model_copy(update={"audit": run.audit.model_copy(update={"rows": rows})}) for run in results.runs
    ]
    results = results.model_copy(update={"budget": rows, "runs": runs, "focus": "tacos"})
    return DoneCell(", ".join(where.values()), where, Path("runs/x") / "-".join(where.values()), results)


def sizes() -> list[DoneCell]:
    shares = {500: (0.45, 0.40), 1000: (0.48, 0.50), 2000: (0.70, 0.55)}
    return [
        cell({"budgets": str(rows)}, rows=rows, tacos=tacos, random=random)
        for rows, (tacos, random) in shares.items()
    ]


def column(table: Table, name: str) -> list[str]:
    place = [c.label for c in table.columns].index(name)
    return [row.cells[place].text for row in table.rows]


def test_worth_is_where_the_curve_of_random_rows_reaches_the_value() -> None:
    assert worth([500, 1000], [0.4, 0.5], 0.45).rows == pytest.approx(500 * 2**0.5)
    assert worth([500, 1000], [0.4, 0.5], 0.5) == Worth(pytest.approx(1000.0))
    assert worth([500, 1000], [0.4, 0.5], 0.39) == Worth(None, "fewer")
    assert worth([500, 1000], [0.4, 0.5], 0.51) == Worth(None, "more")
    assert worth([500, 1000], [2.0, 1.0], 1.5, lower_is_better=True).rows == pytest.approx(500 * 2**0.5)
    assert worth([1, 2, 4], [0.4, 0.6, 0.5], 0.5).rows == pytest.approx(
        2**0.5
    )  # the first size that reaches it


def test_a_selection_is_worth_so_many_random_rows() -> None:
    (table,) = worth_tables(sizes())
    assert column(table, "rows") == ["500", "1,000", "2,000"]
    assert column(table, "random rows for it") == ["707", "871", "more than measured"]
    assert column(table, "times") == ["1.41", "0.87", "-"]
    assert "no more training" in table.note and "training FLOPs saved" not in [c.label for c in table.columns]


def grown(run: ArmRun) -> ArmRun:
    """Trained on so many tokens a row."""
    rows = run.audit.rows
    trained = run.trained and run.trained.model_copy(update={"flops": 1e9 * rows, "loss_tokens": 90 * rows})
    return run.model_copy(update={"trained": trained})


def test_where_training_grows_with_the_rows_the_saved_flops_are_told() -> None:
    done = []
    for each in sizes():
        runs = [grown(run) for run in each.results.runs]
        done.append(each._replace(results=each.results.model_copy(update={"runs": runs})))
    (table,) = worth_tables(done)
    assert column(table, "training FLOPs saved")[:2] == ["2.1e11", "-1.3e11"]


def test_without_random_draws_as_baseline_nothing_is_worth_anything() -> None:
    done = [each._replace(results=each.results.model_copy(update={"baseline": "tacos"})) for each in sizes()]
    assert worth_tables(done) == []


def test_curves_are_over_dimensions_that_are_numbers() -> None:
    assert numeric_dimensions(sizes()) == ["budgets"]
    named = [cell({"bases": name}, tacos=0.5, random=0.4) for name in ("a", "b")]
    assert numeric_dimensions(named) == [] and list(curves(named)) == []
    swept = [
        cell({"train.lr": lr, "bases": base}, tacos=0.5, random=0.4)
        for lr in ("1e-5", "2e-5")
        for base in "ab"
    ]
    assert numeric_dimensions(swept) == ["train.lr"]
    names = [plot.name for plot in curves(swept)]
    assert names[0] == "exact_match_by_train_lr" and len(names) == len(set(names))
    figure = next(curves(swept)).figure
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["a", "b"]
    assert [line.get_xdata().tolist() for line in figure.axes[0].lines] == [[1e-5, 2e-5]] * 2  # type: ignore[union-attr]


def without(done: DoneCell, arm: str) -> DoneCell:
    """The cell in which a stage of this arm failed."""
    results = done.results
    summary, runs = ([one for one in each if one.arm != arm] for each in (results.summary, results.runs))
    return done._replace(results=results.model_copy(update={"summary": summary, "runs": runs}))


def test_an_arm_that_failed_in_a_panel_keeps_its_colour_in_the_others() -> None:
    done = [
        cell({"budgets": rows, "bases": base}, rows=int(rows), tacos=0.5, car=0.45, random=0.4)
        for base in "ab"
        for rows in ("500", "1000")
    ]
    done = [without(each, "tacos") if each.where["bases"] == "a" else each for each in done]
    first, second = next(curves(done)).figure.axes
    assert [len(line.get_xdata()) for line in first.lines] == [2, 2, 0]  # type: ignore[arg-type]
    assert [line.get_color() for line in first.lines] == [line.get_color() for line in second.lines]


def test_panels_that_are_left_out_are_told() -> None:
    done = [
        cell({"budgets": rows, "bases": base}, rows=int(rows), tacos=0.5, random=0.4)
        for base in "abcde"
        for rows in ("500", "1000")
    ]
    plot = next(curves(done))
    assert len(plot.figure.axes) == 4 and "The first 4 of 5 panels are drawn" in plot.caption


def test_an_unknown_price_is_no_zero_in_the_table_of_what_a_selection_is_worth() -> None:
    def unpriced(run: ArmRun, calls: int) -> ArmRun:
        usage = run.selection_usage.model_copy(update={"calls": 9, "unpriced_calls": calls})
        return run.model_copy(update={"selection_usage": usage})

    done = [
        each._replace(
            results=each.results.model_copy(
                update={"runs": [unpriced(run, 9 if each.name == "500" else 0) for run in each.results.runs]}
            )
        )
        for each in sizes()
    ]
    (table,) = worth_tables(done)
    assert [record["money"] for record in records(table)] == [None, 0.0, 0.0]


def recipes() -> list[DoneCell]:
    orders = {"3": (0.6, 0.5, 0.4, 0.3), "15": (0.3, 0.4, 0.5, 0.35)}
    names = ("tacos", "car", "longest", "random")
    return [
        cell({"train.epochs": epochs}, **dict(zip(names, values, strict=True)))
        for epochs, values in orders.items()
    ]


def test_the_recipe_is_chosen_by_random_alone_and_the_orders_are_compared() -> None:
    done = recipes()
    measure = done[0].results.measures[0]
    chosen = tuned(done, measure)
    assert chosen and chosen.name == "15"  # random is best there, whatever the others are
    # 6 pairs of 4 arms: of (tacos, car, longest, random) the two orders agree on (longest, random) and (car, random)
    assert agreement(done[1], done[0], measure) == pytest.approx((2 - 4) / 6)
    (table,) = recipe_tables(done)
    assert column(table, "Kendall's tau") == ["-0.33", "chosen by it"]
    assert column(table, "arms, best first") == ["tacos, car, longest, random", "longest, car, random, tacos"]
    assert table.note.startswith("The order of arms depends on the recipe: tau is -0.33 for 3.")


def test_a_recipe_under_which_the_baseline_has_no_value_is_not_chosen() -> None:
    done = [without(cell({"train.epochs": "3"}, tacos=0.6, car=0.5, random=0.4), "random"), recipes()[1]]
    lower = done[0].results.measures[0].model_copy(update={"better": "lower"})
    chosen = tuned(done, lower)
    assert chosen and chosen.name == "15"
    assert tuned(done[:1], lower) is None
    assert recipe_tables([without(each, "random") for each in recipes()]) == []


def test_an_order_that_survives_is_said_to() -> None:
    done = [cell({"trains": name}, tacos=0.6, car=0.5, random=0.4) for name in ("samples", "tokens")]
    assert recipe_tables(done)[0].note.startswith("The order of arms survives: tau is at least 1.00.")
    assert recipe_tables([cell({"budgets": "5"}, tacos=0.6, random=0.4)]) == []


def test_a_claim_names_the_cells_that_it_holds_for() -> None:
    good = [cell({"budgets": n}, tacos=0.6, random=0.4) for n in ("500", "1000")]
    assert scope(good) == "By exact match, tacos is better than random in all 2 cells."
    mixed = [good[0], cell({"budgets": "1000"}, tacos=0.41, random=0.4)]
    assert scope(mixed).endswith(
        "better than random in 500; no difference can be claimed in 1000. One cell is no claim for the method."
    )
    none = [cell({"budgets": n}, tacos=0.41, random=0.4) for n in ("500", "1000")]
    assert (
        scope(none) == "No difference of tacos from random by exact match can be claimed in any of 2 cells."
    )
    lost = [each._replace(name=f"{each.name} lost") for each in (without(none[0], "tacos"), none[1])]
    assert scope([good[0], lost[0]]).startswith(
        "By exact match, tacos is better than random in 500; nothing is compared in 500 lost."
    )
    assert scope(lost).endswith("can be claimed in 1000 lost; nothing is compared in 500 lost.")
    assert scope(lost[:1]) == "By exact match, tacos is compared with random in no cell."


def test_the_page_holds_tables_and_curves(tmp_path: Path) -> None:
    done = [each._replace(run=tmp_path / each.name) for each in sizes()]
    page = write_cells("sizes", done, tmp_path)
    text = page.read_text(encoding="utf-8")
    assert (
        "What a selection is worth in random rows" in text and "by rows selected" in text and "<svg" in text
    )
    assert (tmp_path / "tables/worth_1.csv").is_file() and (
        tmp_path / "plots/exact_match_by_budgets.png"
    ).is_file()
    assert "[500](500/report.html)" in (tmp_path / "cells.md").read_text(encoding="utf-8")
