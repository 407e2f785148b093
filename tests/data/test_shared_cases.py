"""Small inputs that people of the field reported, from the shared folder: what is expected of each."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from eval.questions import read_questions
from tacos.data.prepare import Prepared, prepare
from tacos.data.read import ReadResult, read_pool
from tacos.errors import PoolError
from tacos.types import Sample


@pytest.fixture
def cases(shared: Path) -> Path:
    folder = shared / "cases" / "data"
    if not folder.is_dir():
        pytest.skip("no cases in the shared folder")
    return folder


def read(path: Path) -> ReadResult:
    return read_pool(str(path))


def prepared(path: Path) -> Prepared:
    return prepare(read(path))


def roles(sample: Sample) -> str:
    return "".join(message.role[0] for message in sample.messages)


def test_system_and_history_are_read(cases: Path) -> None:
    history = read(cases / "alpaca_system_history/history.json")
    assert {roles(sample) for sample in history.pool} == {"suauaua"} and not history.notes
    assert history.pool[1].messages[3].content == "Tell me about list 1."
    alone = read(cases / "alpaca_system_history/system_only.json").pool
    assert alone[2].messages[0].content == "You are pirate number 2." and roles(alone[2]) == "sua"


def test_both_of_two_arrays_are_read(cases: Path) -> None:
    assert len(read(cases / "concat_arrays/cat.json").pool) == 12


def test_an_array_in_a_file_named_jsonl_is_read(cases: Path) -> None:
    assert [len(read(cases / f"jsonl_named_array/{n}.jsonl").pool) for n in ("array", "array1")] == [12, 12]


def test_a_wrong_encoding_is_named_in_an_array_as_in_lines(cases: Path) -> None:
    for name in ("latin1.json", "latin1.jsonl"):
        with pytest.raises(PoolError, match="not UTF-8"):
            read(cases / "latin1_array" / name)


def test_ids_that_pandas_made_float_are_ids(cases: Path) -> None:
    for name in ("pandas.parquet", "pandas.jsonl", "floatid.jsonl"):
        result = read(cases / "float_ids" / name)
        assert len(result.pool) == 12 and not result.dropped
        assert {"1", "3"} <= set(result.pool.ids)


def test_indentation_stays(cases: Path) -> None:
    sample = read(cases / "leading_indent/indent_completion.jsonl").pool[0]
    assert sample.response == "    total = a + b + 0\n    return total\n"


@pytest.mark.parametrize(
    "name",
    [
        *(f"dedup_meaning/dup_{kind}" for kind in ("case", "indent", "punct", "system")),
        "dedup_shared_passage/dup_passage",
    ],
)
def test_rows_that_mean_different_things_stay(cases: Path, name: str) -> None:
    assert prepared(cases / f"{name}.jsonl").dropped == []


@pytest.mark.parametrize("name", ["zh_nd", "en_nd"])
def test_near_duplicates_go_in_chinese_as_in_english(cases: Path, name: str) -> None:
    found = prepared(cases / f"zh_near_dup/{name}.jsonl")
    assert found.reasons == {"near_duplicate": 19} and len(found.pool) == 1


def test_vowel_signs_and_tone_marks_tell_questions_apart(cases: Path) -> None:
    folder = cases / "contaminated_marks"
    found = prepare(read(folder / "hi_pool.jsonl"), questions=read_questions(folder / "hi_q.jsonl"))
    assert [(d.id, d.line, d.reason) for d in found.dropped] == [("hi-same", 4, "contaminated")]


def test_lines_are_those_of_the_file(cases: Path) -> None:
    result = read(cases / "emoji_path/pool.jsonl")
    lines = (cases / "emoji_path/pool.jsonl").read_text(encoding="utf-8").splitlines()
    np.testing.assert_array_equal(result.lines, np.arange(1, 13))
    assert result.pool[6].prompt == json.loads(lines[6])["instruction"]
