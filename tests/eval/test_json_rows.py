"""Whole rows of JSON files that may be cut off: lists, lists under `data`, and lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.json_rows import read_text, whole_rows
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
    ],
)
def test_every_form_gives_the_same_rows(text: str) -> None:
    assert values(text) == [{"a": 1}, {"a": 2}]


def test_a_list_that_breaks_off_keeps_what_came_before() -> None:
    rows = list(whole_rows('{"data": [\n{"a": 1},\n{"a": 2},\n{"a'))
    assert [row.line for row in rows] == [2, 3, 4]
    assert rows[2].value is None and str(rows[2].error).startswith("broken or cut off: ")


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
