"""Files of rows: every container and compression, nothing passed over, and errors that say what the file is."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tacos.data import json_text
from tacos.data.read import read_pool
from tacos.data.rows import Row, read_rows
from tacos.errors import PoolError

ROWS = [{"instruction": f"Question {i}?", "output": f"R\u00e9ponse {i}."} for i in range(4)]
LINES = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)
ARRAY = json.dumps(ROWS, ensure_ascii=False, indent=1)
CSV = "instruction,output\n" + "".join(f"{r['instruction']},{r['output']}\n" for r in ROWS)


def file(folder: Path, content: str | bytes, name: str = "pool.jsonl") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def values(path: Path) -> list:
    rows = list(read_rows(path))
    assert all(row.error is None for row in rows)
    return [row.value for row in rows]


def packed(content: bytes, how: str, folder: Path) -> bytes:
    if how in ("zstd", "lz4"):
        path = folder / "packed"
        with pa.CompressedOutputStream(str(path), how) as stream:
            stream.write(content)
        return path.read_bytes()
    return {"gzip": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress}[how](content)


@pytest.mark.parametrize("how", ["gzip", "bz2", "xz", "zstd", "lz4"])
@pytest.mark.parametrize("content", [LINES, ARRAY])
def test_every_compression_whatever_the_name(tmp_path, how, content):
    assert values(file(tmp_path, packed(content.encode(), how, tmp_path), "pool.json")) == ROWS


@pytest.mark.parametrize("how", ["gzip", "zstd"])
def test_compressed_tables(tmp_path, how):
    assert values(file(tmp_path, packed(CSV.encode(), how, tmp_path), "pool.csv.gz")) == ROWS
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "p.parquet")
    content = packed((tmp_path / "p.parquet").read_bytes(), how, tmp_path)
    assert values(file(tmp_path, content, "p.parquet.zst")) == ROWS


def test_several_packed_parts_are_all_read(tmp_path):
    old, head = lzma.compress(LINES.encode(), lzma.FORMAT_ALONE), b"\x50\x2a\x4d\x18\x02\0\0\0ab"
    for content in (old, head + packed(LINES.encode(), "zstd", tmp_path)):
        assert values(file(tmp_path, content)) == ROWS
    both = [packed(f"{LINES}\n".encode(), how, tmp_path) * 2 for how in ("gzip", "bz2", "xz", "zstd")]
    assert [values(file(tmp_path, content)) for content in both] == [ROWS * 2] * 4


@pytest.mark.parametrize("name", ["pool.jsonl", "pool.ndjson", "pool.json", "pool"])
@pytest.mark.parametrize("content", [ARRAY, json.dumps(ROWS), "\n\n" + ARRAY + "\n\n", "\ufeff" + ARRAY])
def test_an_array_is_an_array_whatever_its_name(tmp_path, name, content):
    assert values(file(tmp_path, content, name)) == ROWS


def test_everything_after_an_array_is_read_or_named(tmp_path):
    for rest in (ARRAY, json.dumps(ROWS), LINES, "\n".join(json.dumps(row, indent=1) for row in ROWS)):
        assert values(file(tmp_path, f"{ARRAY}\n{rest}")) == ROWS * 2
    with pytest.raises(PoolError, match=r"at line 19: data after the closing bracket: '\"more\"'"):
        list(read_rows(file(tmp_path, f'{ARRAY}\n"more"')))
    with pytest.raises(PoolError, match="data after the closing bracket: ']'"):
        list(read_rows(file(tmp_path, f"{ARRAY}]")))


def test_objects_laid_out_over_several_lines_are_rows(tmp_path):
    rows = list(read_rows(file(tmp_path, "\n".join(json.dumps(row, indent=1) for row in ROWS))))
    assert [row.value for row in rows] == ROWS and [row.line for row in rows] == [1, 5, 9, 13]


def test_a_torn_first_line_costs_its_row_only(tmp_path):
    rows = list(read_rows(file(tmp_path, '{"instruction": "x", \n' + LINES)))
    assert [row.value for row in rows[1:]] == ROWS
    assert rows[0].line == 1 and rows[0].error


@pytest.mark.parametrize("content", [LINES, ARRAY, CSV])
@pytest.mark.parametrize("encoding", ["latin-1", "gbk", "shift_jis"])
def test_a_wrong_encoding_is_named_in_every_form(tmp_path, content, encoding):
    raw = content.replace("\u00e9", {"latin-1": "\u00e9"}.get(encoding, "\u65e5")).encode(encoding)
    rows = list(read_rows(file(tmp_path, raw, "pool.csv" if content is CSV else "pool.json")))
    assert [row.error for row in rows] == ["CSV: not UTF-8" if content is CSV else "not UTF-8"] * 4
    with pytest.raises(PoolError, match="not UTF-8"):
        read_pool(str(file(tmp_path, raw, "pool.csv" if content is CSV else "pool.json")))


def test_only_the_row_with_the_wrong_bytes_is_lost(tmp_path):
    for content, name in ((LINES, "p.jsonl"), (ARRAY, "p.json"), (CSV, "p.csv")):
        raw = content.encode().replace("R\u00e9ponse 2".encode(), b"R\xe9ponse 2")
        rows = list(read_rows(file(tmp_path, raw, name)))
        assert [row.error is None for row in rows] == [True, True, False, True]
        assert rows[2].error is not None and rows[2].error.endswith("not UTF-8")


def test_parquet_with_bytes_that_are_not_utf8_costs_its_row(tmp_path):
    texts = pa.array([b"a", b"\xff", b"b"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"output": texts}), tmp_path / "p.parquet")
    rows = list(read_rows(tmp_path / "p.parquet"))
    assert [row.error for row in rows] == [None, "Parquet: not UTF-8", None] and rows[2].value == {
        "output": "b"
    }


@pytest.mark.parametrize("content", [LINES, ARRAY, CSV])
def test_utf_16_and_32_are_read_by_their_mark_and_else_named(tmp_path, content):
    name = "p.csv" if content is CSV else "p.json"
    for bits in (16, 32):
        assert values(file(tmp_path, content.encode(f"utf-{bits}"), name)) == ROWS
        for order in ("le", "be"):
            with pytest.raises(PoolError, match="seems to be UTF-16 or no text at all: save it as UTF-8"):
                list(read_rows(file(tmp_path, content.encode(f"utf-{bits}-{order}"), name)))


@pytest.mark.parametrize("content", [LINES, ARRAY, CSV])
def test_torn_utf_16_and_32_are_named(tmp_path, content):
    name = "p.csv" if content is CSV else "p.json"
    for bits in (16, 32):
        with pytest.raises(PoolError, match=f"begins as UTF-{bits} but is not, from byte .* copy it again"):
            list(read_rows(file(tmp_path, content.encode(f"utf-{bits}")[:-1], name)))


def test_csv_and_its_kin(tmp_path):
    quoted = 'instruction,output\n"A, b?","line\nline ""x"""\n\nc,d\n'
    assert list(read_rows(file(tmp_path, quoted, "p.csv"))) == [
        Row(2, {"instruction": "A, b?", "output": 'line\nline "x"'}),
        Row(5, {"instruction": "c", "output": "d"}),
    ]
    assert values(file(tmp_path, "a;b\n1,5;2\n", "p.CSV")) == [{"a": "1,5", "b": "2"}]
    assert values(file(tmp_path, "a\tb\n1,5\t2 ; 3\n", "p.tsv")) == [{"a": "1,5", "b": "2 ; 3"}]
    assert values(file(tmp_path, LINES, "p.csv")) == ROWS


def test_a_broken_row_of_a_table_is_counted_as_such(tmp_path):
    (dropped,) = read_pool(str(file(tmp_path, f"{CSV}lonely\n", "p.csv"))).dropped
    assert (dropped.line, dropped.reason) == (6, "broken_row")


def test_broken_csv_is_named(tmp_path):
    rows = list(read_rows(file(tmp_path, 'a,b\n1\n"x"y,2\n3,4\n', "p.csv")))
    assert [(row.line, row.error) for row in rows[:1]] == [(2, "CSV: 1 cells where the header has 2")]
    assert rows[1].line == 3 and rows[1].error.startswith("CSV: ") and rows[2].value == {"a": "3", "b": "4"}
    with pytest.raises(PoolError, match="the quote opened at line 3 is never closed"):
        list(read_rows(file(tmp_path, 'a,b\n1,2\n3,"x\n4,5\n', "p.csv")))
    with pytest.raises(PoolError, match=r"two columns are named ''"):
        list(read_rows(file(tmp_path, ",,a\n1,2,3\n", "p.csv")))
    with pytest.raises(PoolError, match=r"two columns are named 'a'"):
        list(read_rows(file(tmp_path, "a,a\n1,2\n", "p.csv")))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"PK\x03\x04xx", "zip archive"),
        (b"ARROW1\0\0", "Arrow file"),
        (gzip.compress(gzip.compress(b"{}", mtime=0), mtime=0), "compressed twice"),
        (b"\x80\x04\x95", "Python pickle"),
        (b"x" * 257 + b"ustar\0", "tar archive"),
    ],
)
def test_what_is_no_file_of_rows_is_named(tmp_path, content, what):
    with pytest.raises(PoolError, match=what):
        list(read_rows(file(tmp_path, content)))


@pytest.mark.parametrize("how", ["gzip", "bz2", "zstd"])
def test_what_stands_after_a_packed_part_is_not_passed_over(tmp_path, how):
    with pytest.raises(PoolError, match="check that the file is complete"):
        list(read_rows(file(tmp_path, packed(LINES.encode(), how, tmp_path) + b"more")))


@pytest.mark.parametrize("how", ["gzip", "bz2", "xz", "zstd"])
def test_a_torn_archive_is_named(tmp_path, how):
    content = packed((LINES * 200).encode(), how, tmp_path)
    with pytest.raises(PoolError, match=r"cannot read .*pool\.jsonl"):
        list(read_rows(file(tmp_path, content[:-20])))


@pytest.mark.parametrize("blank", [b" ", b"\n", b"\t \n"])
@pytest.mark.parametrize("start", [b"", b"[", b'[{"instruction": "a", "output": "b"},'])
def test_endless_white_space_in_a_small_archive_is_refused(tmp_path, blank, start):
    path = file(tmp_path, gzip.compress(start + blank * (3_000_000 // len(blank)), 1))
    with pytest.raises(PoolError, match=r"more than 1 MB of white space .* pool.read.max_row_mb"):
        list(read_rows(path, 1_000_000))


def test_endless_white_space_between_lines_is_refused(tmp_path):
    with pytest.raises(PoolError, match="more than 1 MB of white space"):
        list(read_rows(file(tmp_path, f"{LINES}\n" + "\n" * 2_000_000 + LINES), 1_000_000))


def test_a_line_that_is_too_long_costs_its_row_only(tmp_path):
    long = json.dumps({"instruction": "x" * 2_000_000})
    rows = list(read_rows(file(tmp_path, f"{LINES}\n{long}\n{LINES}"), 1_000_000))
    assert [row.value for row in rows if row.error is None] == ROWS * 2
    assert [(row.line, row.error) for row in rows if row.error] == [
        (len(ROWS) + 1, "longer than 1 MB (pool.read.max_row_mb)")
    ]
    assert rows[-1].line == 2 * len(ROWS) + 1


def test_an_item_or_a_cell_that_is_too_long_is_refused(tmp_path):
    long = json.dumps([*ROWS, {"instruction": "x" * 3_000_000}])
    with pytest.raises(PoolError, match=r"the value at line 1 is longer than 1 MB: set pool.read.max_row_mb"):
        list(read_rows(file(tmp_path, long), 1_000_000))
    with pytest.raises(PoolError, match="a line is longer than 1 MB"):
        list(read_rows(file(tmp_path, f"a,b\n1,{'x' * 2_000_000}\n", "p.csv"), 1_000_000))


@pytest.mark.parametrize("layout", [None, 1])
def test_a_long_array_is_read_in_pieces(tmp_path, layout):
    """Items, characters and escapes lie across the pieces; lines are counted through all of them."""
    many = [{"instruction": f"{i} é\u65e5 " + "\\ud83d\\ude00 \n" * (i % 700)} for i in range(4000)]
    rows = list(
        read_rows(file(tmp_path, "\n\n" + json.dumps(many, indent=layout, ensure_ascii=False)), 100_000)
    )
    assert [row.value for row in rows] == many
    assert [row.line for row in rows[:3]] == ([3, 3, 3] if layout is None else [4, 7, 10])
    assert rows[-1].line == (3 if layout is None else 4 + 3 * 3999)


def test_a_first_line_that_is_too_long_costs_its_row_only(tmp_path):
    long = json.dumps({"instruction": "x" * 2_000_000})
    rows = list(read_rows(file(tmp_path, f"{long}\n{LINES}"), 1_000_000))
    assert rows[0].error == "longer than 1 MB (pool.read.max_row_mb)"
    assert [row.value for row in rows[1:]] == ROWS


def test_a_byte_order_mark_before_an_empty_line_is_no_row(tmp_path):
    assert values(file(tmp_path, "\ufeff\n" + LINES)) == ROWS


def test_values_that_lie_across_pieces_are_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(json_text, "CHUNK", 5)
    many = [{"a": [1.5, 100000.0, -2]}, 1.25, 12345, "é\u65e5\U0001f600\n", [1, [2.5]], None, True]
    for layout in (None, 2):
        text = json.dumps(many, indent=layout).replace("100000.0", "1e+5")
        assert [row.value for row in read_rows(file(tmp_path, text))] == many
