"""Two arms beside each other: by hand, and over finished runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import tacos
from eval.compared.compare import SelectedRow, Side, compared, flat
from eval.compared.report import headline, problems, tables
from eval.exact_match import BENCHMARK as EXACT
from eval.measures import Measure
from eval.results import Results
from tacos.cli.app import app
from tacos.errors import ConfigError
from tacos.viewing.sides import compare
from tests.eval.test_collect import run
from tests.pipeline.helpers import write_pool

MATCH = EXACT.measures[0]
LOSS = Measure(name="loss", title="loss", heading="runs", unit="nats", better="lower", items="runs")


def side(name: str, values: dict[str, float], rows: dict[str, SelectedRow], **settings: object) -> Side:
    return Side(
        name, settings, rows, {m.name: m for m in (MATCH, LOSS)}, {MATCH.name: {0: values}, "loss": {0: 1.5}}
    )


def rows(*ids: str, group: str = "g", words: int = 5) -> dict[str, SelectedRow]:
    return {id_: SelectedRow(group, "", words) for id_ in ids}


def test_measures_rows_and_settings_by_hand() -> None:
    a = side(
        "a",
        {f"q{i}": float(i < 8) for i in range(10)},
        {**rows("1", "2"), **rows("3", group="h", words=50)},
        k=1,
    )
    b = side("b", {f"q{i}": float(i < 2) for i in range(12)}, rows("2", "4"), k=2, new=True)
    found = compared(a, b)
    match, loss = found.gaps
    assert (
        match.difference is not None
        and match.difference.mean == pytest.approx(0.6)
        and match.difference.n == 10
    )
    assert match.p_value is not None and match.p_holm == match.p_value < 0.05  # one measure could be paired
    assert loss.difference is None and problems(found) == [
        "no difference of loss: that takes at least 2 questions, rows or seeds which both have"
    ]
    assert found.rows is not None
    assert (found.rows.a, found.rows.b, found.rows.shared, found.rows.jaccard) == (3, 2, 1, 0.25)
    parts = {(p.what, p.label): (p.a, p.b, p.shared) for p in found.rows.parts}
    assert parts[("group", "h")] == (1, 0, 0) and parts[("length", "40-159 words")] == (1, 0, 0)
    assert [(c.path, c.a, c.b) for c in found.settings] == [("k", 1, 2), ("new", None, True)]
    assert headline(found).startswith("a against b: ") and "+60.0 (better)" in headline(found)
    assert [table.name for table in tables(found)] == ["compared", "rows_compared", "settings_compared"]


def test_equal_sides_differ_in_nothing() -> None:
    one = side("a", {"q1": 1.0, "q2": 0.0}, rows("1"), k=1)
    found = compared(one, one)
    assert found.settings == [] and found.rows is not None and found.rows.jaccard == 1.0
    assert "No difference between a and a can be claimed" in headline(found)


def test_sides_without_measures_are_told_so() -> None:
    one = Side("a", {}, rows("1", "2"), {}, {})
    assert headline(compared(one, one)).startswith("a beside a. 2 rows are in both")


def test_nested_settings_are_paths() -> None:
    assert flat({"train": {"lr": 1e-5, "lora": None}, "seeds": [0]}) == {"train.lr": 1e-5, "seeds": [0]}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    root = tmp_path_factory.mktemp("compared")
    made = run(
        root,
        pool={"source": "builtin", "builtin": {"size": 260, "test_size": 20, "corpus_size": 100}},
        arms={name: {"method": name} for name in ("longest", "random")},
        budget=60,
        seeds=[0, 1],
        train=None,
    )
    return root / "runs/small", made


def test_arms_of_one_run(finished: tuple[Path, Results]) -> None:
    folder, results = finished
    (found,) = compare(f"{folder}:longest", f"{folder}:random")
    (gap,) = (gap for gap in found.gaps if gap.measure.name == "defect_rate")
    gain = next(s for s in results.summary if s.arm == "longest").gain("defect_rate")
    assert gap.difference is not None and gain is not None
    assert gap.difference.mean == pytest.approx(gain.mean)  # what the report says against the baseline
    assert found.rows is not None and found.rows.a == found.rows.b == 60
    assert {"arm.method", "arm.score.by"} <= {change.path for change in found.settings}
    (turned,) = compare(f"{folder}:random", f"{folder}:longest")
    assert turned.gaps[0].difference is not None
    assert turned.gaps[0].difference.mean == pytest.approx(-found.gaps[0].difference.mean)  # type: ignore[union-attr]


def test_two_runs_share_their_arms_and_the_command_writes_a_page(
    finished: tuple[Path, Results], tmp_path: Path
) -> None:
    folder, _ = finished
    both = compare(str(folder), str(folder))
    assert [found.a for found in both] == ["longest", "random"]
    asked = ["compare", f"{folder}:longest", f"{folder}:random"]
    result = CliRunner().invoke(app, [*asked, "--out", str(tmp_path / "out"), "--json"])
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout.splitlines()[-1] if result.stdout.count("\n{") else result.stdout)
    assert told["compared"][0]["a"] == "longest"
    assert "longest beside random" in (tmp_path / "out/report.html").read_text()
    with pytest.raises(ConfigError, match="has no arm 'longst': did you mean 'longest'"):
        compare(f"{folder}:longst", f"{folder}:random")


def test_two_selections_are_compared_by_rows_and_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_pool(tmp_path / "pool.jsonl")
    picked = [
        tacos.select("pool.jsonl", method, 6, out="out.jsonl", changes={"tracking.mode": "disabled"}).run_dir
        for method in ("longest", "random")
    ]
    (found,) = compare(*picked)
    assert (found.a, found.b) == tuple(Path(folder).name for folder in picked)
    assert found.gaps == [] and found.rows is not None and found.rows.a == found.rows.b == 6
    assert {change.path for change in found.settings} >= {"arm.method", "arm.score.by", "arm.allocate.by"}
    assert "can be claimed" not in headline(found)
    told = CliRunner().invoke(app, ["compare", *picked, "--out", "page"])
    assert told.exit_code == 0 and (tmp_path / "page/report.html").is_file(), told.output
