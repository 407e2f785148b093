"""Scorers' short cards beside arms: the line after a run, the table of the report, the figures of a run."""

from __future__ import annotations

import numpy as np
import pytest

from eval.report.scorers import card_figures, card_line, card_lines, scorers_tables
from eval.report.track import run_figures
from eval.results import Results
from eval.scorer_card import ScorerCard, scorer_card
from tacos.scoring.calls import Calls, CallScores
from tacos.types import Pool, make_sample
from tacos.usage import Usage
from tests.eval.fixtures import make_results

POOL = Pool.from_samples(make_sample(f"p{i}", "w " * (i + 1), id=str(i)) for i in range(6))


def card(name: str = "comparative (LLM m)", told_apart: bool = True) -> ScorerCard:
    calls = Calls.of([[0, 1], [2, 3], [4, 5]])
    answers = CallScores(np.array([[9, 5], [7, 3], [2, 8.0]]))
    values = np.array([9, 5, 7, 3, 2, np.nan])
    used = Usage(calls=3, prompt_tokens=300, cost_usd=0.6, seconds=6)
    return scorer_card(
        name, POOL, values, used, (calls, answers), {"reliability": 0.6, "told_apart": told_apart}
    )


def with_cards() -> Results:
    results = make_results()
    runs = [run.model_copy(update={"scorer": card() if run.audit.rows else None}) for run in results.runs]
    return results.model_copy(update={"runs": runs})


def test_a_line_says_what_is_known() -> None:
    line = card_line(card())
    assert line.startswith("comparative (LLM m) on 6 rows: 16.7% without a score, length correlation -0.90")
    assert (
        "the one shown first wins 66.7%" in line
        and "reliability of one score 0.60" in line
        and "split halves" not in line
    )
    assert line.endswith("0.5 calls, 50 tokens, $0.10 and 1.00 s a sample")
    assert "(guessed: no row was scored twice)" in card_line(card(told_apart=False))


def test_a_price_that_is_not_known_is_said_and_is_no_number() -> None:
    known = card()
    some = known.model_copy(update={"cost": known.cost.model_copy(update={"unpriced": True})})
    none = known.model_copy(update={"cost": some.cost.model_copy(update={"usd": 0.0})})
    assert "$0.10 + unpriced and 1.00 s a sample" in card_line(some)
    assert "price unknown and 1.00 s a sample" in card_line(none)
    found = [card_figures(one)["scorer/usd_per_sample"] for one in (known, some, none)]
    assert found == [pytest.approx(0.1), None, None]


def test_arms_of_one_scorer_share_a_line() -> None:
    (line,) = card_lines(with_cards())
    assert line.startswith("scorer of ") and " and " in line.split(":")[0]
    assert list(card_lines(make_results())) == []


def test_the_table_stands_beside_the_arms_and_is_left_out_without_scores() -> None:
    (table,) = scorers_tables(with_cards())
    heads = [column.label for column in table.columns]
    assert (
        heads[:5] == ["arm", "scorer", "unread", "length", "first position"] and "split halves" not in heads
    )
    assert table.rows[0].cells[1].text == "comparative (LLM m)" and table.rows[0].cells[2].text == "16.7%"
    assert scorers_tables(make_results()) == []


def test_a_run_has_the_figures_of_its_scorer() -> None:
    run = next(run for run in with_cards().runs if run.scorer)
    found = run_figures([], run)
    assert found["scorer/length_correlation"] == pytest.approx(-0.9) and found["scorer/reliability"] == 0.6
    assert found["scorer/first_position"] == pytest.approx(2 / 3) and found["scorer/split_half"] is None
    assert card_figures(card())["scorer/unread_low"] == pytest.approx(0.03005, abs=1e-4)
