"""What a user gives in place of having it made fits the pool, or the message says where it does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tacos.errors import ConfigError, PoolError
from tacos.given import named, read_given_groups, read_given_scores, read_given_vectors
from tacos.store import tables
from tacos.types import Pool, make_sample

POOL = Pool.from_samples(make_sample(f"Ask {i}", f"Say {i}", id=f"r{i}") for i in range(4))


def lines(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_scores_by_id_in_any_order_with_reasons_for_what_is_missing(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "s.jsonl",
        {"id": "r2", "value": 7},
        {"id": "r0", "value": -1.5},
        {"id": "r3", "value": None, "error": "unreadable"},
        {"id": "stranger", "value": 1},
    )
    scores = read_given_scores(path, POOL)
    assert np.array_equal(scores.values, [-1.5, np.nan, 7, np.nan], equal_nan=True)
    assert scores.errors == {1: "not in s.jsonl", 3: "unreadable"} and scores.failed == 1


def test_a_number_that_pandas_left_out_is_missing(tmp_path: Path) -> None:
    table = {"id": ["r0", "r1"], "value": pa.array([1.0, float("nan")])}
    pq.write_table(pa.table(table), tmp_path / "s.parquet")
    scores = read_given_scores(tmp_path / "s.parquet", POOL)
    assert scores.scored == 1 and "no value" in scores.errors[1]


def test_standard_errors_count_where_every_score_has_one(tmp_path: Path) -> None:
    rows = [
        {"id": "r0", "value": 5, "std_error": 1.5},
        {"id": "r1", "value": 4, "std_error": 0},
        {"id": "r2", "value": None},
    ]
    scores = read_given_scores(lines(tmp_path / "s.jsonl", *rows), POOL)
    assert scores.std_errors is not None
    assert np.array_equal(scores.std_errors, [1.5, 0, np.nan, np.nan], equal_nan=True)
    tables.write_scores(tmp_path, POOL, scores)  # every scorer's table is such a file
    again = read_given_scores(tmp_path / tables.SCORES, POOL)
    assert again.std_errors is not None and again.std_errors[0] == 1.5
    partly = lines(tmp_path / "p.jsonl", *rows, {"id": "r3", "value": 3})
    assert read_given_scores(partly, POOL).std_errors is None


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": "r0", "value": 1}, {"id": "r0", "value": 2}], r"line 2: id 'r0' occurs twice"),
        ([{"id": "r0", "value": "high"}], r"line 1: value 'high' is not a finite number"),
        ([{"id": "r0", "value": True}], r"value True is not a finite number"),
        ([{"id": "r0", "value": 10**400}], r"line 1: value 1000+ is not a finite number"),
        ([{"id": "r0", "value": 1, "std_error": -1}], r"line 1: std_error -1 is not a finite number of 0"),
        ([{"id": "r0", "points": 1}], r"line 1: a row needs `id` and `value`"),
        ([{"id": "x", "value": 1}], r"names none of the pool's 4 ids, such as 'r0'"),
    ],
)
def test_scores_that_do_not_fit(rows: list[dict[str, Any]], message: str, tmp_path: Path) -> None:
    with pytest.raises(PoolError, match=message):
        read_given_scores(lines(tmp_path / "s.jsonl", *rows), POOL)


def test_groups_by_id_a_row_in_several_or_none(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "g.jsonl",
        {"id": "r2", "group": "b"},
        {"id": "r0", "group": ["a", "b"]},
        {"id": "r3", "group": 7},
    )
    groups = read_given_groups(path, POOL)
    assert dict(zip(groups.labels, [m.tolist() for m in groups.members], strict=True)) == {
        "b": [0, 2],
        "a": [0],
        "7": [3],
    }


def test_a_row_without_a_group_is_in_none(tmp_path: Path) -> None:
    rows = [
        {"id": "r0", "group": None},
        {"id": "r1", "group": ["a", None]},
        {"id": "r2", "group": float("nan")},
    ]
    groups = read_given_groups(lines(tmp_path / "g.jsonl", *rows), POOL)
    assert groups.labels == ("a",) and groups.covered.tolist() == [1]


def test_whole_numbers_that_pandas_made_floats_are_the_numbers_again(tmp_path: Path) -> None:
    pool = Pool.from_samples(make_sample("Ask", "Say", id=id_) for id_ in ("7", "8"))
    path = lines(tmp_path / "g.jsonl", {"id": 7.0, "group": 3.0, "value": 1, "error": float("nan")})
    assert read_given_scores(path, pool).scored == 1
    assert read_given_groups(path, pool).labels == ("3",)


def test_vectors_by_position_or_by_id(tmp_path: Path) -> None:
    vectors = np.arange(8, dtype=np.float32).reshape(4, 2)
    np.save(tmp_path / "v.npy", vectors)
    order = [2, 0, 3, 1]
    table = {"id": [POOL.ids[i] for i in order], "vector": [vectors[i].tolist() for i in order]}
    pq.write_table(pa.table(table), tmp_path / "v.parquet")
    for name in ("v.npy", "v.parquet"):
        assert np.array_equal(read_given_vectors(tmp_path / name, POOL), vectors)


def test_vectors_that_do_not_fit(tmp_path: Path) -> None:
    np.save(tmp_path / "short.npy", np.zeros((3, 2)))
    with pytest.raises(PoolError, match=r"3 vectors, and the clean pool has 4 rows"):
        read_given_vectors(tmp_path / "short.npy", POOL)
    np.save(tmp_path / "flat.npy", np.zeros(4))
    with pytest.raises(PoolError, match=r"shape \(4,\)"):
        read_given_vectors(tmp_path / "flat.npy", POOL)
    np.save(tmp_path / "nan.npy", np.full((4, 2), np.nan))
    with pytest.raises(PoolError, match="vector 0 holds a value that is not a finite number"):
        read_given_vectors(tmp_path / "nan.npy", POOL)
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}] * 4, dtype=object), allow_pickle=True)
    with pytest.raises(PoolError, match=r"is not a \.npy file of numbers"):
        read_given_vectors(tmp_path / "objects.npy", POOL)
    (tmp_path / "torn.npy").write_bytes(b"")
    with pytest.raises(PoolError, match=r"is not a \.npy file of numbers \(No data left"):
        read_given_vectors(tmp_path / "torn.npy", POOL)
    np.save(tmp_path / "large.npy", np.full((4, 2), 1e300))
    with pytest.raises(PoolError, match="not a finite number of 32 bits"):
        read_given_vectors(tmp_path / "large.npy", POOL)
    np.save(tmp_path / "complex.npy", np.full((4, 2), 1 + 2j))
    with pytest.raises(PoolError, match="holds complex128"):
        read_given_vectors(tmp_path / "complex.npy", POOL)
    np.save(tmp_path / "empty.npy", np.zeros((4, 0)))
    with pytest.raises(PoolError, match="vectors of no numbers"):
        read_given_vectors(tmp_path / "empty.npy", POOL)
    pq.write_table(pa.table({"id": ["r0"], "vector": [[1.0]]}), tmp_path / "one.parquet")
    with pytest.raises(PoolError, match=r"lacks 3 of 4 rows, the first 'r1'"):
        read_given_vectors(tmp_path / "one.parquet", POOL)


@pytest.mark.parametrize("vector", [None, 3, "33", ["a"], [[1]], {"x": 1}])
def test_what_is_no_vector_is_told_with_its_line(vector: Any, tmp_path: Path) -> None:
    rows = [{"id": "r0", "vector": [1.0]}, {"id": "r1", "vector": vector}]
    with pytest.raises(PoolError, match=r"v\.jsonl line 2: vector .* is not a list of numbers"):
        read_given_vectors(lines(tmp_path / "v.jsonl", *rows), POOL)


def test_a_file_is_named_by_its_content_and_must_be_there(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("same")
    assert named(str(tmp_path / "a"), "score.path") == named(str(tmp_path / "b"), "score.path")
    with pytest.raises(ConfigError, match=r"score\.path: there is no file"):
        named(str(tmp_path / "none"), "score.path")


def test_released_scores_and_clusters_are_read_under_their_own_names(tmp_path: Path) -> None:
    rows = ({"id": "r2", "score": 1.09, "cluster": "34"}, {"id": "r0", "score": 0.9, "cluster": "57"})
    path = lines(tmp_path / "selected.jsonl", *rows)
    scores = read_given_scores(path, POOL)
    assert np.array_equal(scores.values, [0.9, np.nan, 1.09, np.nan], equal_nan=True)
    assert read_given_groups(path, POOL).labels == ("34", "57")


def test_the_released_selection_is_a_file_of_scores_and_groups(shared: Path) -> None:
    path = shared / "data/car_selected.jsonl"
    ids = [json.loads(line)["id"] for line in path.read_text().splitlines()]
    pool = Pool.from_samples(make_sample("Ask", "Say", id=id_) for id_ in [*ids, "another"])
    scores, groups = read_given_scores(path, pool), read_given_groups(path, pool)
    assert (scores.scored, len(groups.labels)) == (1013, 161) and np.isnan(scores.values[-1])
    assert sum(len(rows) for rows in groups.members) == 1013
