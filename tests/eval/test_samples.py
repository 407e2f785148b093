"""samples.parquet: sorted, the same bytes each time, nothing in place of what was not read."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from eval import samples
from eval.exact_match import EXACT_MATCH
from eval.measures import Measure
from eval.question_sets import of_set
from eval.results import SCHEMA, SELECTION, load_results
from eval.samples import SAMPLES_SCHEMA, MeasuredRun, write_samples
from tacos.errors import TacosError
from tacos.store.files import read_json, write_json
from tacos.types import Question
from tests.eval.fixtures import make_results

DEFECTS = Measure(name="defect_rate", title="defects", heading="selection", unit="share", items="rows")
QUESTIONS = {
    "q1": Question(id="q1", turns=("a",), set="vicuna", category="writing"),
    "q2": Question(id="q2", turns=("b",)),
}
RUNS = [
    MeasuredRun("tacos", "tacos", False, 1, EXACT_MATCH, {"q2": 1.0}),  # q1 could not be read
    MeasuredRun("tacos", "tacos", False, 0, EXACT_MATCH, {"q2": 0.0, "q1": 1.0}),
    MeasuredRun("tacos", "tacos", False, 0, of_set(EXACT_MATCH, "vicuna"), {"q1": 1.0}),
    MeasuredRun("random", "random", True, 0, DEFECTS, {"b17": 1.0, "b2": 0.0}),
    MeasuredRun("random", "random", True, 0, EXACT_MATCH, {}),
]


def test_a_row_per_value_sorted_with_the_set_and_the_category(tmp_path: Path) -> None:
    path = tmp_path / "samples.parquet"
    assert write_samples(path, RUNS, QUESTIONS) == 5
    table = pq.read_table(path)
    assert table.schema == SAMPLES_SCHEMA and [p.name for p in tmp_path.iterdir()] == ["samples.parquet"]
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        ("random", "random", True, 0, "defect_rate", "row", "b17", None, None, 1.0),
        ("random", "random", True, 0, "defect_rate", "row", "b2", None, None, 0.0),
        ("tacos", "tacos", False, 0, "exact_match", "question", "q1", "vicuna", "writing", 1.0),
        ("tacos", "tacos", False, 0, "exact_match", "question", "q2", None, None, 0.0),
        ("tacos", "tacos", False, 1, "exact_match", "question", "q2", None, None, 1.0),
    ]


def test_order_of_work_and_size_of_row_groups_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two, small = (tmp_path / name for name in ("one", "two", "small"))
    write_samples(one, RUNS, QUESTIONS)
    write_samples(two, reversed(RUNS), QUESTIONS)
    assert one.read_bytes() == two.read_bytes()
    monkeypatch.setattr(samples, "ROW_GROUP", 1)
    write_samples(small, RUNS, QUESTIONS)
    assert pq.ParquetFile(small).num_row_groups == 3 and pq.read_table(small) == pq.read_table(one)


def test_nothing_measured_is_an_empty_table(tmp_path: Path) -> None:
    assert write_samples(tmp_path / "s", [], {}) == 0
    assert pq.read_table(tmp_path / "s").schema == SAMPLES_SCHEMA


def test_a_folder_that_takes_no_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TacosError, match=r"cannot write .*samples"):
        write_samples(tmp_path / "none" / "samples.parquet", RUNS, QUESTIONS)


def test_results_carry_their_schema(tmp_path: Path) -> None:
    results, path = make_results(training=False), tmp_path / "results.json"
    write_json(path, results)
    data = read_json(path)
    assert next(iter(data)) == "schema" and data["schema"] == SCHEMA and load_results(path) == results
    for found, said in (
        ({k: v for k, v in data.items() if k != "schema"}, "has no schema number.* reads schema 1: run the"),
        (data | {"schema": SCHEMA + 1}, "has schema 2, and this one reads schema 1"),
        (data | {"surprise": 1}, "is damaged: run the experiment again"),
        ([], "has no schema number"),
    ):
        write_json(path, found)
        with pytest.raises(TacosError, match=said):
            load_results(path)
    path.write_text('{"schema": 1,')
    with pytest.raises(TacosError, match="is damaged"):
        load_results(path)
    with pytest.raises(TacosError, match="give the folder of a finished run"):
        load_results(tmp_path / "none.json")
    write_json(tmp_path / SELECTION, {})
    with pytest.raises(TacosError, match="a selection has none; make it an arm of an experiment"):
        load_results(tmp_path / "none.json")
