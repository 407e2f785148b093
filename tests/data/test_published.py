"""Whole rows of JSON files that may be cut off: lists, lists under `data`, and lines."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tacos.data.published import published_rows, read_text, whole_rows
from tacos.errors import TacosError


def values(text: str) -> list[object]:
    return [row.value for row in whole_rows(text) if row.error is None]


@pytest.mark.parametrize(
    "text",
    [
        '[{"a": 1}, {"a": 2}]',
        '{"Meta_Info": {"n": 2}, "data": [{"a": 1},\n {"a": 2}]}',
        '{"a": 1}\n\n{"a": 2}\n',
        '\n [\n{"a": 1},\n{"a": 2}\n]\n',
        '[{"a": 1}]\n\ufeff[{"a": 2}]\n',
        '{"a": 1}\n\ufeff{"a": 2}\n',
    ],
)
def test_every_form_gives_the_same_rows(text: str) -> None:
    assert values(text) == [{"a": 1}, {"a": 2}]


def test_a_list_that_breaks_off_keeps_what_came_before() -> None:
    rows = list(whole_rows('{"data": [\n{"a": 1},\n{"a": 2},\n{"a'))
    assert [row.line for row in rows] == [2, 3, 4]
    assert rows[2].value is None and str(rows[2].error).startswith("broken or cut off: ")


def test_lines_may_hold_control_characters_as_lists_may() -> None:
    assert values('{"a": "b\tc"}\n[1]') == values('[{"a": "b\tc"}, [1]]') == [{"a": "b\tc"}, [1]]


def test_a_broken_line_takes_no_other_with_it() -> None:
    rows = list(whole_rows('{"a": 1}\n{"a"\n{"a": 3}'))
    assert [(row.line, row.error is None) for row in rows] == [(1, True), (2, False), (3, True)]


def test_a_row_with_a_list_called_data_is_a_row() -> None:
    assert values('{"id": 1, "text": "\\"data\\": [5]"}\n{"id": 2}') == [
        {"id": 1, "text": '"data": [5]'},
        {"id": 2},
    ]


def test_separators_of_lines_inside_a_text_end_no_row() -> None:
    assert values('{"a": "one\u2028two"}\n{"a": "three"}') == [{"a": "one\u2028two"}, {"a": "three"}]


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TacosError, match=r"cannot read .*absent\.json: No such file"):
        read_text(tmp_path / "absent.json")


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("head", [b"", b"\xef\xbb\xbf"])
def test_a_file_is_told_by_its_first_bytes(
    tmp_path: Path, pack: Callable[[bytes], bytes], head: bytes
) -> None:
    path = tmp_path / "rows.json"
    path.write_bytes(pack(head + b'{"a": 1}\n{"a": 2}\n'))
    assert [(row.line, row.value) for row in published_rows(path)] == [(1, {"a": 1}), (2, {"a": 2})]


def test_other_encodings_and_tables(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    for encoding in ("utf-16", "utf-32"):
        path.write_bytes('[{"a": "é"}]'.encode(encoding))
        assert [row.value for row in published_rows(path)] == [{"a": "é"}]
    path.write_bytes(b'[{"a": "\xe9"}]')
    assert [row.value for row in published_rows(path)] == [{"a": "\ufffd"}]
    pq.write_table(pa.table({"a": [1, 2]}), path)
    assert [row.value for row in published_rows(path)] == [{"a": 1}, {"a": 2}]


def test_half_an_emoji_becomes_a_character_that_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('[{"a": "Nice \\ud83d", "b": ["\\uD83D\\uDE00"], "\\ud83d": 1}]')
    assert [row.value for row in published_rows(path)] == [
        {"a": "Nice \ufffd", "b": ["\U0001f600"], "\ufffd": 1}
    ]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_torn_archive_is_named(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "rows.json.gz"
    path.write_bytes(pack(b'{"a": 1}' * 100)[:20])
    with pytest.raises(TacosError, match=r"cannot read .*rows\.json\.gz"):
        list(published_rows(path))
