"""AlpacaEval scoring: figures by hand, published figures from the real files, and files gone wrong."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.alpaca_eval.files import (
    Reference,
    known_reference,
    load_reference,
    read_annotations,
    read_outputs,
    read_preference,
)
from eval.alpaca_eval.length_control import GRID, Rows, fit, length_term, nearest_regularisation
from eval.alpaca_eval.report import headline
from eval.alpaca_eval.score import PUBLISHED_C, AlpacaEvalScore, score_files
from eval.report.comparisons import led
from eval.stats import lead
from tacos.assets import Assets
from tacos.errors import ConfigError, TacosError

PUBLISHED = {
    "alpaca-7b": (2.591450540223603, 0.4870855382635108, 2.298136645962733, 5.875487163278986),
    "claude-2": (17.188240356708075, 1.17482825615589, 16.335403726708076, 28.155196141629148),
    "FuseChat-Gemma-2-9B-Instruct": (70.4971, 1.3426, None, 70.1811),
}
"""The leaderboard's win_rate, standard_error, discrete_win_rate and length-controlled win rate; four digits where
it was not at hand in full."""


@pytest.fixture(scope="session")
def assets(shared: Path) -> Path:
    folder = shared / "assets" / "alpaca_eval"
    if not folder.is_dir():
        pytest.skip("no AlpacaEval assets")
    return folder


@pytest.fixture(scope="session")
def published(assets: Path) -> Reference:
    return load_reference(
        assets / "gpt4_1106_preview_outputs.json",
        assets / "instruction_difficulty.csv",
        assets / "df_gamed.csv",
    )


def row(number: int, preference: Any = 1.5, **changes: Any) -> dict[str, Any]:
    return {
        "instruction": f"Question {number}?",
        "output_1": "b" * 20,
        "generator_1": "base",
        "output_2": "m" * (5 + 3 * number),
        "generator_2": "ours",
        "annotator": "a",
        "preference": preference,
    } | changes


def write(path: Path, value: Any) -> Path:
    path.write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8")
    return path


@pytest.fixture
def small(tmp_path: Path) -> Reference:
    """Ten questions; the gamed rows pull w_d towards 1."""
    outputs = [{"instruction": f"Question {i}?", "output": "b" * 20, "generator": "base"} for i in range(10)]
    difficulty = "index,instruction_difficulty\n" + "".join(f"{i},{(i - 4.5) / 3}\n" for i in range(10))
    gamed = "model,preference,index,std_delta_len,instruction_difficulty,not_gamed_baseline\n"
    gamed += "".join(f"base_long,0.{3 + i // 3},{i},-1.0,{(i - 4.5) / 3},False\n" for i in range(10))
    return load_reference(
        write(tmp_path / "base.json", outputs),
        write(tmp_path / "difficulty.csv", difficulty),
        write(tmp_path / "gamed.csv", gamed),
    )


def scored(path: Path, reference: Reference, value: Any, **settings: Any) -> AlpacaEvalScore:
    result = score_files([write(path / "ours.json", value)], reference, **settings)
    return result.models["ours"]


# Published figures.


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_leaderboards_figures(assets: Path, published: Reference, name: str) -> None:
    rate, error, discrete, controlled = PUBLISHED[name]
    path = assets / "annotations" / f"{name}.json"
    ours = score_files([path], published, c="published").models[name]
    digits = 1e-9 if discrete is not None else 5e-5
    assert ours.win_rate == pytest.approx(rate, abs=digits)
    assert ours.standard_error == pytest.approx(error, abs=digits)
    assert discrete is None or ours.discrete_win_rate == pytest.approx(discrete, abs=1e-9)
    assert ours.length_controlled_winrate == pytest.approx(controlled, abs=1e-3)
    assert (ours.n, ours.expected, ours.missing, ours.unparsed) == (805, 805, 0, 0)
    chosen = score_files([path], published).models[name]
    assert chosen.length_controlled_winrate == pytest.approx(controlled, abs=0.2)
    assert chosen.regularisation == PUBLISHED_C[name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_c_is_the_grids_nearest(assets: Path, published: Reference, name: str) -> None:
    items = json.loads((assets / "annotations" / f"{name}.json").read_text(encoding="utf-8"))
    first, second = (np.array([float(len(r[key])) for r in items]) for key in ("output_1", "output_2"))
    own = np.column_stack([length_term(first, second), published.difficulty, np.ones(805)])
    y = np.array([r["preference"] for r in items]) - 1
    gamed = published.gamed
    rows = Rows(
        np.vstack([gamed.features, own]),
        np.concatenate([gamed.y, y]),
        np.concatenate([gamed.weight, np.ones(805)]),
    )
    c, rate = nearest_regularisation(rows, published.difficulty, PUBLISHED[name][3] or 0.0)
    assert c == PUBLISHED_C[name] and rate == pytest.approx(PUBLISHED[name][3], abs=1e-3)


def test_a_published_file_with_missing_rows_in_both_joins(
    assets: Path, published: Reference, tmp_path: Path
) -> None:
    items = json.loads((assets / "annotations" / "claude-2.json").read_text(encoding="utf-8"))
    part = write(tmp_path / "part.json", items[:200] + items[210:])
    joined = score_files([part], published).models["claude-2"]
    misaligned = score_files([part], published, join="position").models["claude-2"]
    assert (joined.n, joined.missing) == (misaligned.n, misaligned.missing) == (795, 10)
    assert joined.win_rate == misaligned.win_rate
    assert joined.length_controlled_winrate == pytest.approx(28.155, abs=1.0)
    assert joined.length_controlled_winrate != misaligned.length_controlled_winrate
    # Without gaps the two joins are one.
    whole = assets / "annotations" / "claude-2.json"
    by_place = score_files([whole], published, join="position").models["claude-2"]
    assert by_place == score_files([whole], published).models["claude-2"]


def test_the_order_of_rows_does_not_matter(assets: Path, published: Reference, tmp_path: Path) -> None:
    items = json.loads((assets / "annotations" / "claude-2.json").read_text(encoding="utf-8"))
    order = np.random.default_rng(0).permutation(805)
    shuffled = write(tmp_path / "shuffled.json", [items[i] for i in order])
    score = score_files([shuffled], published, c="published").models["claude-2"]
    assert score.length_controlled_winrate == pytest.approx(28.155196, abs=1e-3)


# By hand.


def test_win_rates_by_hand(tmp_path: Path, small: Reference) -> None:
    ours = scored(tmp_path, small, [row(0, 1), row(1, 1.25), row(2, 1.5), row(3, 2)])
    assert ours.win_rate == 43.75
    assert ours.standard_error == pytest.approx(100 * math.sqrt(0.546875 / 3) / 2)
    assert ours.discrete_win_rate == 37.5
    assert (ours.wins, ours.draws, ours.n, ours.missing, ours.coverage) == (1, 1, 4, 6, 0.4)


def test_length_control_is_the_mean_prediction(tmp_path: Path, small: Reference) -> None:
    preferences = [1.1, 1.2, 1.2, 1.3, 1.2, 1.4, 1.4, 1.3, 1.5, 1.6]
    ours = scored(tmp_path, small, [row(i, p) for i, p in enumerate(preferences)], c=10.0)
    lengths = np.array([5.0 + 3 * i for i in range(10)])
    features = np.column_stack([length_term(np.full(10, 20.0), lengths), small.difficulty, np.ones(10)])
    rows = Rows(
        np.vstack([small.gamed.features, features]),
        np.concatenate([small.gamed.y, np.array(preferences) - 1]),
        np.concatenate([small.gamed.weight, np.ones(10)]),
    )
    predicted = fit(rows, 10.0).predict(small.difficulty)
    assert ours.length_controlled_winrate == pytest.approx(100 * predicted.mean())
    assert ours.lc_standard_error == pytest.approx(100 * predicted.std(ddof=1) / math.sqrt(10))
    assert ours.regularisation == 10.0


def test_longer_wins_by_hand(tmp_path: Path, small: Reference) -> None:
    rows = [
        row(0, 2, output_2="m" * 30),  # won, longer
        row(1, 1, output_2="m" * 30),  # lost, longer
        row(2, 1, output_2="m" * 10),  # lost, shorter: the longer one won
        row(3, 2, output_2="m" * 20),  # as long: says nothing
        row(4, 1.5, output_2="m" * 30),  # a draw: says nothing
    ]
    assert scored(tmp_path, small, rows).longer_wins.mean == pytest.approx(2 / 3)


def test_the_baseline_against_itself_is_one_half(tmp_path: Path, small: Reference) -> None:
    rows = [row(i, 1.5, generator_2="base", output_2="b" * 20) for i in range(10)]
    found = score_files([write(tmp_path / "b.json", rows)], small).models["base"]
    assert (found.win_rate, found.length_controlled_winrate) == (50.0, 50.0)
    assert (found.lc_standard_error, found.regularisation) == (0.0, None)


# What goes wrong in files.


@pytest.mark.parametrize(
    ("value", "preference"),
    [(1, 1.0), (2.0, 2.0), ("1.25", 1.25), (" 1.5 ", 1.5), (0, 1.5), (0.0, 1.5), ("0", 1.5)],
)
def test_readable_preferences(value: Any, preference: float) -> None:
    assert read_preference(value) == (preference, "")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "no preference"),
        (math.nan, "NaN"),
        ("nan", "NaN"),
        (2.5, "outside 1..2"),
        (0.5, "outside 1..2"),
        (-1, "outside 1..2"),
        (math.inf, "outside 1..2"),
        ("M", "not a number"),
        ("", "not a number"),
        (True, "not a number"),
        ([1], "not a number"),
        ({}, "not a number"),
        (10**400, "not a number"),
    ],
)
def test_unreadable_preferences_say_why(value: Any, reason: str) -> None:
    assert read_preference(value) == (None, reason)


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers())))
def test_a_preference_is_in_range_or_has_a_reason(value: Any) -> None:
    preference, reason = read_preference(value)
    assert (preference is None) == bool(reason)
    assert preference is None or 1 <= preference <= 2


def test_unparsed_rows_are_counted_and_no_draws(tmp_path: Path, small: Reference) -> None:
    rows = [row(0, 2), row(1, 2), row(2, None), row(3, math.nan), row(4, "M"), row(5, 3)]
    del rows[2]["preference"]
    ours = scored(tmp_path, small, rows)
    assert (ours.n, ours.unparsed, ours.missing) == (2, 4, 4)
    assert ours.win_rate == 100.0
    assert ours.reasons == {"no preference": 1, "NaN": 1, "not a number": 1, "outside 1..2": 1}


def test_an_unparsed_row_leaves_the_fit_but_keeps_its_prediction(tmp_path: Path, small: Reference) -> None:
    rows = [row(i, 1.2 + i / 20) for i in range(10)]
    whole = scored(tmp_path, small, rows, c=10.0)
    holed = scored(tmp_path, small, [*rows[:9], row(9, None)], c=10.0)
    absent = scored(tmp_path, small, rows[:9], c=10.0)
    assert holed.n == absent.n == 9
    assert holed.length_controlled_winrate is not None and absent.length_controlled_winrate is not None
    assert holed.length_controlled_winrate != absent.length_controlled_winrate
    assert holed.length_controlled_winrate == pytest.approx(whole.length_controlled_winrate, abs=5)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("preference", "rate"), [(1, 0.0), (2, 100.0), (0, 50.0)])
def test_a_model_that_always_wins_or_loses(
    assets: Path, published: Reference, tmp_path: Path, preference: int, rate: float
) -> None:
    items = json.loads((assets / "annotations" / "alpaca-7b.json").read_text(encoding="utf-8"))
    path = write(tmp_path / "f.json", [item | {"preference": preference} for item in items])
    ours = score_files([path], published).models["alpaca-7b"]
    assert ours.win_rate == rate
    assert ours.length_controlled_winrate == pytest.approx(rate, abs=1 if rate != 50 else 45)


def test_nothing_readable_gives_no_figure(tmp_path: Path, small: Reference) -> None:
    ours = scored(tmp_path, small, [row(0, None), row(1, "refused")])
    assert (ours.n, ours.unparsed) == (0, 2)
    assert ours.win_rate is None and ours.length_controlled_winrate is None and ours.standard_error is None


def test_a_single_row_has_a_win_rate_and_no_error(tmp_path: Path, small: Reference) -> None:
    ours = scored(tmp_path, small, [row(0, 2)])
    assert (ours.win_rate, ours.standard_error, ours.length_controlled_winrate) == (100.0, None, None)


def test_duplicates_and_unknown_questions_are_left_out(tmp_path: Path, small: Reference) -> None:
    rows = [row(0, None), row(0, 2), row(0, 1), row(1, 1), row(1, 2), row(77, 2), row(78, 2)]
    ours = scored(tmp_path, small, rows)
    assert (ours.n, ours.duplicate, ours.unknown, ours.missing) == (2, 3, 2, 8)
    assert ours.win_rate == 50.0  # question 0 by its first readable row, question 1 by its first


def test_an_instruction_that_the_evaluation_set_repeats(tmp_path: Path, small: Reference) -> None:
    places = {key: places for key, places in small.places.items() if key != "Question 1?"}
    twice = Reference(
        small.name, places | {"Question 0?": (0, 1)}, small.lengths, small.difficulty, small.gamed
    )
    ours = scored(tmp_path, twice, [row(0, 2), row(0, 1), row(0, 1)])
    assert (ours.n, ours.duplicate, ours.missing, ours.win_rate) == (2, 1, 8, 50.0)


def test_white_space_does_not_part_instructions(tmp_path: Path, small: Reference) -> None:
    ours = scored(tmp_path, small, [row(0, 2, instruction=" Question\r\n 0?\n"), row(1, 1)])
    assert (ours.n, ours.unknown) == (2, 0)


def test_positions_ignore_the_instruction(tmp_path: Path, small: Reference) -> None:
    rows = [row(99, 2) for _ in range(12)]
    ours = scored(tmp_path, small, rows, join="position")
    assert (ours.n, ours.unknown, ours.missing, ours.duplicate) == (10, 2, 0, 0)


def test_several_models_in_one_file_and_one_in_several(tmp_path: Path, small: Reference) -> None:
    mixed = [row(i, 2) for i in range(4)] + [row(i, 1, generator_2="theirs") for i in range(10)]
    files = [
        write(tmp_path / "1.json", mixed),
        write(tmp_path / "2.json", [row(i, 2) for i in range(4, 10)]),
    ]
    found = score_files(files, small).models
    assert list(found) == ["ours", "theirs"]
    assert [(s.n, s.duplicate, s.win_rate) for s in found.values()] == [(10, 0, 100.0), (10, 0, 0.0)]


def test_other_key_sets(tmp_path: Path, small: Reference) -> None:
    bare = [{"instruction": f"Question {i}?", "preference": "1.75", "output_2": "m" * i} for i in range(10)]
    found = score_files([write(tmp_path / "bare.json", bare)], small).models["bare"]
    assert (found.n, found.win_rate, found.empty, found.no_output) == (10, 75.0, 1, 0)
    assert found.length_controlled_winrate is not None  # the baseline's lengths come from the reference
    mute = [{k: v for k, v in r.items() if k != "output_2"} | {"extra": [1]} for r in bare]
    found = score_files([write(tmp_path / "mute.json", mute)], small).models["mute"]
    assert (found.n, found.win_rate, found.no_output, found.length_controlled_winrate) == (10, 75.0, 10, None)


def test_one_object_per_line_and_an_object_with_data(tmp_path: Path, small: Reference) -> None:
    rows = [row(i, 2) for i in range(3)]
    lines = "".join(json.dumps(r) + "\n" for r in rows)
    assert scored(tmp_path, small, lines).n == 3
    assert scored(tmp_path, small, lines.splitlines()[0]).n == 1
    assert scored(tmp_path, small, {"data": rows}).n == 3


@pytest.mark.parametrize("lines", [False, True])
def test_a_file_cut_off_in_a_row_keeps_its_whole_rows(tmp_path: Path, small: Reference, lines: bool) -> None:
    rows = [row(i, 2) for i in range(4)]
    text = "\n".join(map(json.dumps, rows)) if lines else json.dumps(rows, indent=2)
    result = score_files([write(tmp_path / "cut.json", text[:-40])], small)
    assert (result.models["ours"].n, result.models["ours"].missing) == (3, 7)
    (problem,) = result.problems
    assert "cut.json" in problem and ("line 4" if lines else "after row 3") in problem


def test_rows_that_are_none_are_named(tmp_path: Path, small: Reference) -> None:
    path = write(tmp_path / "ours.json", [row(0, 2), 7, {"preference": 2}, row(1, 2)])
    result = score_files([path], small)
    assert result.models["ours"].n == 2
    assert [p.split(": ")[1] for p in result.problems] == [
        "row 2 has no instruction; it is left out",
        "row 3 has no instruction; it is left out",
    ]


@pytest.mark.parametrize("content", ["", "[]", "{}", "not json", "3", '"x"', "[1, 2]", "[{", "[" * 9999])
def test_a_file_without_annotations_is_refused_by_name(tmp_path: Path, content: str) -> None:
    with pytest.raises(TacosError, match=r"ours\.json"):
        read_annotations(write(tmp_path / "ours.json", content))


def test_an_absent_file(tmp_path: Path) -> None:
    with pytest.raises(TacosError, match=r"cannot read .*gone\.json"):
        read_annotations(tmp_path / "gone.json")


@given(text=st.text(max_size=60))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(TacosError):
        read_annotations(path)


def test_another_baseline_and_several_annotators_are_noted(tmp_path: Path, small: Reference) -> None:
    ours = scored(tmp_path, small, [row(0, 2, generator_1="other"), row(1, 2, annotator="b")])
    assert ours.notes == ("not compared with base but with other (1 rows)", "several annotators: a, b")
    assert (ours.baseline, ours.annotator) == ("other, base", "a, b")


@pytest.mark.parametrize("c", [0.0, -1.0, math.nan, math.inf, "best"])
def test_a_regularisation_that_cannot_be(tmp_path: Path, small: Reference, c: Any) -> None:
    with pytest.raises(ConfigError, match="neither"):
        scored(tmp_path, small, [row(0, 2)], c=c)


def test_an_unpublished_model_has_no_published_regularisation(tmp_path: Path, small: Reference) -> None:
    with pytest.raises(ConfigError, match="no published regularisation of 'ours'"):
        scored(tmp_path, small, [row(0, 2)], c="published")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("base.json", '[{"instruction": "a"}]', "row 1 needs"),
        ("base.json", '[{"instruction": "a", "output"', "not a complete outputs file"),
        ("difficulty.csv", "index,instruction_difficulty\n0,0.5\n1,", "line 3 lacks a number"),
        ("difficulty.csv", "index,instruction_difficulty\n0,0.5\n", "no difficulty of question 1"),
        ("difficulty.csv", "index,other\n0,0.5\n", "line 2 lacks .*instruction_difficulty"),
        ("gamed.csv", "preference,std_delta_len\n", "is empty"),
        ("gamed.csv", "preference,std_delta_len,instruction_difficulty\n0.5,nan,1\n", "is not a number"),
    ],
)
def test_a_damaged_reference_is_refused(
    tmp_path: Path, small: Reference, name: str, content: str, message: str
) -> None:
    write(tmp_path / name, content)
    with pytest.raises(TacosError, match=message):
        load_reference(tmp_path / "base.json", tmp_path / "difficulty.csv", tmp_path / "gamed.csv")


def test_outputs_may_lack_an_answer_where_it_is_allowed(tmp_path: Path) -> None:
    path = write(tmp_path / "o.json", [{"instruction": "a", "output": None}])
    with pytest.raises(TacosError, match="row 1"):
        read_outputs(path)
    assert len(read_outputs(path, missing_ok=True)) == 1


def test_the_grid_is_the_references() -> None:
    assert len(GRID) == 10 and GRID[0] == 1e-4 and GRID[-1] == 1e4


@pytest.mark.parametrize(
    ("name", "published", "error"),
    [("FuseChat-Gemma-2-9B-Instruct", 0.594, 1.39), ("claude-2", 0.878, 1.75), ("alpaca-7b", 0.375, 0.96)],
)
def test_the_length_controlled_error_holds_that_of_the_fit(
    shared: Path, name: str, published: float, error: float
) -> None:
    """About twice the published one, as a bootstrap with a fit for each draw gives it (1.43, 1.73, 0.98)."""
    assets = shared / "assets"
    (path,) = [p for p in (assets / "alpaca_eval/annotations").iterdir() if name in p.name]
    reference = known_reference(Assets(assets, shared))
    found = score_files([path], reference, "position", "published").models[name]
    assert found.lc_standard_error == pytest.approx(published, abs=0.001)
    assert found.lc_error == pytest.approx(error, abs=0.01)
    assert np.mean(list(found.controlled.values())) == pytest.approx(found.length_controlled_winrate)


def test_two_models_are_compared_at_equal_length_and_no_leader_is_named_without_a_gap(shared: Path) -> None:
    assets = shared / "assets"
    reference = known_reference(Assets(assets, shared))
    files = sorted((assets / "alpaca_eval/annotations").iterdir())
    found = score_files(files, reference, "position", "published", against="claude-2")
    gap = found.lc_comparisons["FuseChat-Gemma-2-9B-Instruct"].difference
    assert gap.mean == pytest.approx(70.181 - 28.155, abs=0.01) and 0 < gap.low < gap.mean
    assert found.lead is not None and (found.lead.first, found.lead.second) == (
        "FuseChat-Gemma-2-9B-Instruct",
        "claude-2",
    )
    assert "It leads the second, claude-2, by +42.0 [" in headline(found)
    alike = {
        "a": {str(i): float(i % 2) for i in range(40)},
        "b": {str(i): float(i % 3 == 0) for i in range(40)},
    }
    told = lead(alike)
    assert told is not None and "No leader can be named" in led(told, "{:+.2f}".format, "points")
