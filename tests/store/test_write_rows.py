"""Rows written by the ending of the file, and read again."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tacos.data.read import read_pool
from tacos.data.rows import read_rows
from tacos.errors import ConfigError
from tacos.store.rows import check_ending, write_rows

CHAT = [{"role": "user", "content": "Hi 日本"}, {"role": "assistant", "content": "  Hello\n"}]
ROWS = [
    {"id": "a", "messages": CHAT, "selection": {"rank": 1, "score": 0.5}},
    {
        "id": "b",
        "messages": [*CHAT, CHAT[0], {**CHAT[1], "weight": 0}],
        "selection": {"rank": 2, "score": None},
        "topic": "tea",
    },
]


@pytest.mark.parametrize("name", ["o.json", "o.jsonl", "o.JSON", "o.parquet", "o.txt", "o"])
def test_what_is_written_is_read_again(tmp_path: Path, name: str) -> None:
    write_rows(tmp_path / name, ROWS)
    values = [row.value for row in read_rows(tmp_path / name)]
    assert [v["id"] for v in values] == ["a", "b"] and values[1]["topic"] == "tea"
    pool = read_pool(str(tmp_path / name)).pool
    assert pool[0].response == "  Hello\n" and [m.weight for m in pool[1].messages] == [1, 1, 1, 0]


def test_the_ending_decides(tmp_path: Path) -> None:
    for name in ("o.json", "o.jsonl", "o.parquet"):
        write_rows(tmp_path / name, ROWS)
    assert json.loads((tmp_path / "o.json").read_text(encoding="utf-8")) == ROWS
    lines = (tmp_path / "o.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == ROWS and "日本" in lines[0]
    assert pq.read_table(tmp_path / "o.parquet").column("topic").to_pylist() == [None, "tea"]


def test_no_rows(tmp_path: Path) -> None:
    for name in ("o.json", "o.jsonl", "o.parquet"):
        write_rows(tmp_path / name, [])
        assert list(read_rows(tmp_path / name)) == []


def test_values_of_several_types_are_json_text_in_parquet(tmp_path: Path) -> None:
    write_rows(
        tmp_path / "o.parquet", [{"x": 1, "y": {}, "z": float("nan")}, {"x": "one", "y": {}, "z": 2.0}]
    )
    assert pq.read_table(tmp_path / "o.parquet").to_pylist() == [
        {"x": "1", "y": "{}", "z": None},
        {"x": '"one"', "y": "{}", "z": 2.0},
    ]
    write_rows(tmp_path / "big.parquet", [{"x": 2**70}, {"x": 1}])
    assert pq.read_table(tmp_path / "big.parquet").to_pylist() == [{"x": str(2**70)}, {"x": "1"}]
    write_rows(tmp_path / "o.jsonl", [{"z": float("inf")}])
    assert (tmp_path / "o.jsonl").read_text() == '{"z": null}\n'


@pytest.mark.parametrize("name", ["o.csv", "o.TSV", "o.jsonl.gz", "o.xlsx"])
def test_an_ending_that_is_not_written_is_refused_before_the_work(name: str) -> None:
    with pytest.raises(ConfigError, match=r"not written; end the name in \.jsonl, \.json or \.parquet"):
        check_ending(Path(name))
