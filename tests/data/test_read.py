"""Reading pools: every container and format, bad rows, and the errors a user meets."""

from __future__ import annotations

import gzip
import json
import os
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tacos.data import hub
from tacos.data.read import ReadResult, ReadSettings, read_pool
from tacos.errors import PoolError
from tacos.selection import Pick
from tacos.store.tables import SELECTION, write_selection
from tacos.types import Pool, Sample

SHARED = Path(os.environ.get("TACOS_SHARED", Path(__file__).parents[3] / "shared"))
ALPACA = [
    {"instruction": "Add the numbers.", "input": "3 and 4", "output": "7"},
    {"instruction": "Name a colour.", "input": "", "output": "Red."},
]
CHAT = [("user", "Hi"), ("assistant", "Hello"), ("user", "Bye"), ("assistant", "See you")]
MESSAGES = [{"messages": [{"role": r, "content": c} for r, c in CHAT]}]
SHAREGPT = [
    {"conversations": [{"from": {"user": "human", "assistant": "gpt"}[r], "value": c} for r, c in CHAT]}
]
PROMPTS = [
    {"prompt": "Hi", "completion": "Hello"},
    {
        "prompt": [{"role": "user", "content": "Hi"}],
        "completion": [{"role": "assistant", "content": "Hello"}],
    },
]


def write(path: Path, rows: list, container: str = "jsonl") -> str:
    lines = "\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows)
    text = lines if container.startswith("jsonl") else json.dumps(rows, indent=1)
    path = path / f"pool.{container}"
    if container == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif container.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return str(path)


def turns(sample: Sample) -> list[tuple[str, str]]:
    return [(m.role, m.content) for m in sample.messages]


def whole(result: ReadResult) -> ReadResult:
    """The invariant of every read."""
    assert result.read == len(result.pool) + len(result.dropped)
    assert len(result.lines) == len(result.pool) == len(set(result.pool.ids))
    return result


@pytest.mark.parametrize("container", ["json", "jsonl", "json.gz", "jsonl.gz", "parquet"])
@pytest.mark.parametrize(
    ("rows", "format", "first"),
    [
        (ALPACA, "alpaca", [("user", "Add the numbers.\n\n3 and 4"), ("assistant", "7")]),
        (MESSAGES, "messages", CHAT),
        (SHAREGPT, "sharegpt", CHAT),
        (PROMPTS[:1], "prompt_completion", CHAT[:2]),
        (PROMPTS[1:], "prompt_completion", CHAT[:2]),
    ],
)
def test_formats_in_every_container(tmp_path, container, rows, format, first):
    result = whole(read_pool(write(tmp_path, rows, container)))
    assert result.format == format
    assert turns(result.pool[0]) == first
    assert not result.dropped


def test_alpaca_input_stands_at_the_end_and_apart(tmp_path):
    sample = read_pool(write(tmp_path, ALPACA)).pool[0]
    assert (sample.input, sample.instruction, sample.source) == ("3 and 4", "Add the numbers.", "pool")


def test_json_lines_in_a_file_named_json(tmp_path):
    path = tmp_path / "pool.json"
    path.write_text("\n".join(map(json.dumps, ALPACA)))
    assert len(read_pool(str(path)).pool) == 2


def test_byte_order_mark(tmp_path):
    for name, text in (("a.jsonl", json.dumps(ALPACA[0])), ("b.json", json.dumps(ALPACA))):
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
        assert not read_pool(str(tmp_path / name)).dropped


def test_ids_are_kept_or_named_by_content(tmp_path):
    rows = [{"id": 7, **ALPACA[0]}, ALPACA[1], {"id": "x", **ALPACA[1]}]
    result = read_pool(write(tmp_path, rows))
    again = read_pool(write(tmp_path, rows[1:2]))
    assert result.pool.ids[0] == "7" and result.pool.ids[2] == "x"
    assert result.pool.ids[1] == again.pool.ids[0] and len(again.pool.ids[0]) == 16


@pytest.mark.parametrize("id", [1.0, "1", 1])
def test_a_whole_number_that_became_a_float_is_the_id(tmp_path, id):
    assert read_pool(write(tmp_path, [{"id": id, **ALPACA[0]}])).pool.ids == ["1"]


@pytest.mark.parametrize("id", [1.5, True, [7], {"a": 1}, "\ud800", None, float("nan"), ""])
def test_an_id_that_can_be_none_is_replaced_and_counted(tmp_path, id):
    result = whole(read_pool(write(tmp_path, [{"id": id, **ALPACA[0]}, {"id": "x", **ALPACA[1]}])))
    assert result.pool.ids == [read_pool(write(tmp_path, ALPACA[:1])).pool.ids[0], "x"]
    assert result.replaced == 1
    assert result.notes == (
        "1 rows had an id that is missing, or neither text nor a whole number: named by content",
    )


def test_what_pandas_makes_of_missing_values_is_missing(tmp_path):
    rows = [{"id": float("nan"), **ALPACA[1], "input": float("nan")}, {"id": 3.0, **ALPACA[0]}]
    for container in ("jsonl", "json", "parquet"):
        if container == "parquet":  # which has NaN in numbers only
            rows[0]["input"] = None
        result = whole(read_pool(write(tmp_path, rows, container)))
        assert result.pool.ids[1] == "3" and not result.dropped and result.replaced == 1
        assert result.pool[0].prompt == "Name a colour."


def test_an_id_that_comes_back_gets_a_suffix_and_is_counted(tmp_path):
    rows = [{"id": id_, **ALPACA[0]} for id_ in ("x", "x", "x#2", "x")]
    result = whole(read_pool(write(tmp_path, rows)))
    assert result.pool.ids == ["x", "x#2", "x#2#2", "x#3"]
    assert result.renamed == 3


@pytest.mark.parametrize(("given", "told"), [({"id": "x"}, True), ({}, False)])
def test_a_suffix_is_told_where_the_file_has_ids(tmp_path, given, told):
    result = read_pool(write(tmp_path, [given | ALPACA[0]] * 2))
    assert result.renamed == 1
    assert any("had the id of an earlier row" in note for note in result.notes) == told


def test_the_same_id_many_times_is_not_slow(tmp_path):
    started = time.perf_counter()
    assert read_pool(write(tmp_path, [{"id": "x", **ALPACA[0]}] * 20_000)).renamed == 19_999
    assert time.perf_counter() - started < 5


def chat(*pairs: tuple[str, object]) -> dict:
    return {"messages": [{"role": r, "content": c} for r, c in pairs]}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('{"instruction": "x", "outp', "broken_json"),
        ("[" * 100_000, "broken_json"),
        ('{"id": ' + "9" * 5000 + "}", "broken_json"),
        ("[1, 2]", "not_an_object"),
        ({"instruction": "x"}, "missing_field"),
        ({"instruction": "x", "output": None}, "missing_field"),
        ({"instruction": "x", "output": 3}, "wrong_type"),
        ({"instruction": "x", "input": [], "output": "y"}, "wrong_type"),
        ({"instruction": " \n", "output": "y"}, "empty_prompt"),
        ({"instruction": "x", "output": " \t\n"}, "empty_response"),
        ('{"instruction": "x", "output": "\\ud800"}', "bad_unicode"),
    ],
)
def test_a_bad_alpaca_row_is_dropped_by_line_and_reason(tmp_path, row, reason):
    result = whole(read_pool(write(tmp_path, [ALPACA[0], row, ALPACA[1]])))
    assert [(d.line, d.reason) for d in result.dropped] == [(2, reason)]
    assert result.lines.tolist() == [1, 3]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (chat(), "no_assistant_turn"),
        (chat(("user", "x")), "no_assistant_turn"),
        (chat(("assistant", "x"), ("user", "y")), "bad_roles"),
        (chat(("user", "x"), ("user", "y"), ("assistant", "z")), "bad_roles"),
        (chat(("user", "x"), ("system", "y"), ("assistant", "z")), "bad_roles"),
        (chat(("user", "x"), ("tool", "y"), ("assistant", "z")), "bad_roles"),
        (chat(("user", "x"), ("assistant", "y"), ("user", "z")), "ends_with_user"),
        (chat(("user", ""), ("assistant", "y")), "empty_prompt"),
        (chat(("user", "x"), ("assistant", " ")), "empty_response"),
        (chat(("user", "x"), ("assistant", ["y"])), "wrong_type"),
        ({"messages": "hi"}, "wrong_type"),
        ({"messages": ["hi"]}, "wrong_type"),
        ({"messages": [{"role": "user"}]}, "missing_field"),
    ],
)
def test_a_bad_chat_row_is_dropped_by_line_and_reason(tmp_path, row, reason):
    result = whole(read_pool(write(tmp_path, [*MESSAGES, row])))
    assert [(d.line, d.reason) for d in result.dropped] == [(2, reason)]


@pytest.mark.parametrize(
    ("turn", "reason", "detail"),
    [
        (
            {"role": "assistant", "content": None, "tool_calls": [{"id": 1}]},
            "missing_field",
            "only tool_calls",
        ),
        ({"role": "tool", "content": "7"}, "bad_roles", "unknown role 'tool'"),
        ({"role": "assistant", "content": [{"type": "image_url"}]}, "not_text", "'image_url'"),
        ({"role": "assistant", "content": "y", "weight": 0}, "nothing_supervised", "weight 0"),
    ],
)
def test_what_is_not_supported_in_a_turn_is_named(tmp_path, turn, reason, detail):
    row = {"messages": [{"role": "user", "content": "x"}, turn]}
    (dropped,) = whole(read_pool(write(tmp_path, [*MESSAGES, row]))).dropped
    assert dropped.reason == reason and detail in dropped.detail


def test_content_in_text_parts_is_joined(tmp_path):
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]
    row = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": parts}]}
    assert turns(read_pool(write(tmp_path, [row])).pool[0]) == CHAT[:2]


@pytest.mark.parametrize("row", [ALPACA[0], PROMPTS[0], PROMPTS[1], MESSAGES[0], SHAREGPT[0]])
def test_system_and_history_stand_before_the_rest_in_every_format(tmp_path, row):
    without = turns(read_pool(write(tmp_path, [row])).pool[0])
    before = [
        ("system", "Be brief."),
        ("user", "One?"),
        ("assistant", "1."),
        ("user", "Two?"),
        ("assistant", "2."),
    ]
    pairs = [["One?", "1."], ["Two?", "2."]]
    messages = [{"role": role, "content": text} for role, text in before[1:]]
    for history in (pairs, messages, json.dumps(pairs)):
        full = {"system": "Be brief.", "history": history, **row}
        result = read_pool(write(tmp_path, [full]))
        assert turns(result.pool[0]) == before + without and not result.notes
    assert turns(read_pool(write(tmp_path, [{**row, "system": "", "history": []}])).pool[0]) == without
    assert turns(read_pool(write(tmp_path, [{**row, "system": None, "history": None}])).pool[0]) == without


def test_a_broken_history_costs_its_row_and_says_so(tmp_path):
    for history in ("One?", [["One?"]], [["One?", 3]]):
        (dropped,) = read_pool(write(tmp_path, [ALPACA[0], {**ALPACA[1], "history": history}])).dropped
        assert dropped.reason == "wrong_type" and dropped.detail.startswith("history")


def test_two_system_prompts_that_differ_are_none(tmp_path):
    row = chat(("system", "Be kind."), *CHAT[:2])
    pool = read_pool(write(tmp_path, [{**row, "system": "Be kind."}, row])).pool
    assert [turns(sample)[0] for sample in pool] == [("system", "Be kind.")] * 2 and len(
        pool[0].messages
    ) == 3
    (dropped,) = read_pool(write(tmp_path, [row, {**row, "system": "Be rude."}])).dropped
    assert dropped.detail == "2 system prompts that differ"


@pytest.mark.parametrize(
    "zero", [{"weight": 0}, {"weight": 0.0}, {"train": False}, {"loss": False}, {"loss_weight": 0}]
)
@pytest.mark.parametrize("keys", [("role", "content", "messages"), ("from", "value", "conversations")])
def test_turns_of_weight_0_are_context_only(tmp_path, zero, keys):
    role, content, name = keys
    rounds = [{role: r, content: c} for r, c in CHAT]
    rounds[1] |= zero
    rounds[3] |= dict.fromkeys(zero, 1)
    result = read_pool(write(tmp_path, [{name: rounds}]))
    assert [m.weight for m in result.pool[0].messages] == [1, 0, 1, 1] and not result.notes
    result.pool.write(tmp_path / "pool.parquet")
    assert [m.weight for m in Pool.read(tmp_path / "pool.parquet")[0].messages] == [1, 0, 1, 1]


def test_system_turns(tmp_path):
    rows = [
        chat(("system", "Be kind."), *CHAT[:2]),
        chat(("system", " "), *CHAT[:2]),
        {"system": "Be brief.", **MESSAGES[0]},
    ]
    pool = read_pool(write(tmp_path, rows)).pool
    assert turns(pool[0])[0] == ("system", "Be kind.")
    assert turns(pool[1]) == CHAT[:2]
    assert turns(pool[2]) == [("system", "Be brief."), *CHAT]


def test_training_text_is_not_edited(tmp_path):
    row = {"instruction": " cafe\u0301\r\nx ", "input": "<noinput>", "output": "    y\r\n\n"}
    sample = read_pool(write(tmp_path, [row])).pool[0]
    assert (sample.prompt, sample.input, sample.response) == (row["instruction"], "", row["output"])
    code = {"prompt": "def f():\n", "completion": "    return 1\n"}
    sample = read_pool(write(tmp_path, [code])).pool[0]
    assert turns(sample) == [("user", "def f():\n"), ("assistant", "    return 1\n")]
    spaced = {"instruction": "x\n", "input": "  y\n", "output": "z"}
    sample = read_pool(write(tmp_path, [spaced])).pool[0]
    assert (sample.prompt, sample.input, sample.instruction) == ("x\n\n\n  y\n", "  y\n", "x")


def test_bytes_that_are_not_utf8_cost_their_row_only(tmp_path):
    path = tmp_path / "pool.jsonl"
    good = json.dumps(ALPACA[0]).encode()
    path.write_bytes(good + b'\n{"instruction": "\xff", "output": "x"}\n' + good)
    result = whole(read_pool(str(path)))
    assert [(d.line, d.reason, d.detail) for d in result.dropped] == [(2, "broken_json", "not UTF-8")]
    assert result.notes == ("rows that are not UTF-8 and left out: 1; save the file as UTF-8",)


def test_too_many_bad_rows_stop_with_counts_and_first_lines(tmp_path):
    path = write(tmp_path, [ALPACA[0], "{", {"instruction": "x", "output": ""}])
    with pytest.raises(
        PoolError, match=r"2 of 3 rows .*max_bad_share 0.5: broken_json 1, empty_response 1.*line 2"
    ):
        read_pool(path)
    assert len(read_pool(path, ReadSettings(max_bad_share=0.7)).pool) == 1


def test_no_good_row_stops_whatever_the_share(tmp_path):
    for rows in ([{"instruction": "x", "output": ""}], []):
        with pytest.raises(PoolError, match=r"no good row|no row could be read"):
            read_pool(write(tmp_path, rows), ReadSettings(max_bad_share=1))


def test_an_unknown_format_names_keys_and_formats(tmp_path):
    path = write(tmp_path, [{"text": "x", "label": 1}])
    with pytest.raises(PoolError, match=r"text, label; known.*alpaca \(instruction, output\)"):
        read_pool(path)


def test_a_given_format_wins_over_the_keys(tmp_path):
    path = write(tmp_path, [{**MESSAGES[0], **PROMPTS[0]}])
    assert read_pool(path).format == "messages"
    assert turns(read_pool(path, ReadSettings(format="prompt_completion")).pool[0]) == CHAT[:2]


def test_a_missing_file_names_near_ones(tmp_path):
    write(tmp_path, ALPACA)
    with pytest.raises(PoolError, match=r"pol\.jsonl.*holds pool\.jsonl"):
        read_pool(str(tmp_path / "pol.jsonl"))
    with pytest.raises(PoolError, match=r"no file x+; "):
        read_pool("x" * 300)
    with pytest.raises(PoolError, match=r"is a folder.*pool.jsonl"):
        read_pool(str(tmp_path))
    with pytest.raises(PoolError, match="does not exist"):
        read_pool(str(tmp_path / "no" / "such.jsonl"))


@pytest.mark.parametrize("container", ["json.gz", "jsonl.gz", "parquet", "json"])
def test_a_torn_file_is_named(tmp_path, container):
    path = Path(write(tmp_path, ALPACA * 50, container))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(PoolError, match=r"cannot read .*pool"):
        read_pool(str(path))


def test_a_torn_array_says_on_which_line(tmp_path):
    path = tmp_path / "pool.json"
    path.write_text('[\n{"instruction": "x", "output": "y"},\n{"instruction": ')
    with pytest.raises(PoolError, match="at line 3"):
        read_pool(str(path))


def test_hub_rows(monkeypatch):
    asked = {}

    def load_dataset(name, **options):
        asked.update(name=name, **options)
        return ALPACA

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    result = read_pool("org/name:test", ReadSettings(revision="abc"))
    assert asked == {"name": "org/name", "split": "test", "revision": "abc"}
    assert result.pool[0].source == "org/name:test" and result.lines.tolist() == [1, 2]


def test_an_unreachable_hub_is_one_clear_error(monkeypatch):
    def load_dataset(*args, **options):
        raise ConnectionError("Couldn't reach the Hub")

    monkeypatch.setattr("datasets.load_dataset", load_dataset)
    with pytest.raises(PoolError, match=r"cannot load 'org/name'.*Couldn't reach"):
        read_pool("org/name")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("org/name", True),
        ("org/name:test[:10%]", True),
        ("data/pool.jsonl", False),
        ("name", False),
        ("a/b/c", False),
    ],
)
def test_what_reads_like_a_hub_id(source, expected):
    assert hub.is_hub_id(source) == expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "source", "system", "role", "from", "content", "value", "weight", "\ud800"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=6,
)
rows = st.dictionaries(
    st.sampled_from(
        [
            "id",
            "source",
            "system",
            "instruction",
            "input",
            "output",
            "messages",
            "conversations",
            "prompt",
            "completion",
            "history",
            "query",
            "chosen",
            "tools",
        ]
    ),
    json_values,
    max_size=5,
)
good = st.builds(
    lambda a, b: {"instruction": "q" + a, "output": b + "a"}, st.text(max_size=5), st.text(max_size=5)
)
lines = st.one_of(
    st.binary(max_size=40),
    rows.map(lambda r: json.dumps(r).encode()),
    good.map(lambda r: json.dumps(r).encode()),
)


def test_half_an_emoji_in_a_kept_column_leaves_a_selection_that_is_read_again(tmp_path):
    path = write(tmp_path, ['{"instruction": "x", "output": "y", "note": "Nice \\ud83d"}'])
    pool = read_pool(path, ReadSettings(keep_columns=("note",))).pool
    write_selection(tmp_path, pool, [Pick(index=0)])
    again = read_pool(str(tmp_path / SELECTION), ReadSettings(keep_columns=("note",))).pool
    assert again[0].extra == {"note": "Nice \ufffd"} and pool.ids == again.ids


@pytest.mark.parametrize("content", ["", "\n \n", "[]"])
def test_a_file_without_a_row_is_told_to_hold_none(tmp_path, content):
    path = tmp_path / "pool.jsonl"
    path.write_text(content)
    with pytest.raises(PoolError, match=r"no row could be read from .*pool\.jsonl: it holds none"):
        read_pool(str(path))


@settings(max_examples=300, deadline=None)
@given(
    data=st.lists(lines, max_size=8),
    name=st.sampled_from(["p.jsonl", "p.json", "p.csv"]),
    array=st.booleans(),
)
@example(data=[b"\xfe\xff", b""], name="p.jsonl", array=False)
def test_any_bytes_give_a_pool_or_a_pool_error(tmp_path_factory, data, name, array):
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(b"[" + b",".join(data) + b"]" if array else b"\n".join(data))
    try:
        result = whole(read_pool(str(path), ReadSettings(keep_columns=("*",))))
    except PoolError:
        return
    for sample in result.pool:
        assert sample.prompt.strip() and sample.response.strip()
    result.pool.write(path.with_suffix(".parquet"))
    assert Pool.read(path.with_suffix(".parquet")).ids == result.pool.ids


@settings(max_examples=50, deadline=None)
@given(
    st.binary(max_size=200), st.sampled_from([b"", b"PAR1", b"\x1f\x8b", gzip.compress(b"[", mtime=0)[:-4]])
)
def test_any_file_gives_a_pool_error_at_worst(tmp_path_factory, content, magic):
    path = tmp_path_factory.getbasetemp() / "any.bin"
    path.write_bytes(magic + content)
    with pytest.raises(PoolError):
        read_pool(str(path))


@pytest.mark.skipif(not (SHARED / "data/alpaca_52k.jsonl").exists(), reason="needs the shared Alpaca file")
def test_alpaca_52k():
    started = time.perf_counter()
    result = whole(read_pool(str(SHARED / "data/alpaca_52k.jsonl")))
    assert time.perf_counter() - started < 20
    assert (result.read, len(result.pool), result.reasons) == (52_002, 51_974, {"empty_response": 28})
    assert result.dropped[0].id == "alpaca-284" and result.dropped[0].line == 285


def test_the_input_of_a_selection_is_read_where_the_prompt_ends_with_it(tmp_path: Path) -> None:
    asked = [{"role": "user", "content": "Add.\n\n3 and 4"}, {"role": "assistant", "content": "7"}]
    rows = [
        {"messages": asked, "input": "3 and 4", "selection": {"rank": 1}},
        {"messages": asked, "input": "else"},
    ]
    read = read_pool(write(tmp_path, rows))
    assert [sample.input for sample in read.pool] == ["3 and 4", ""]
    assert read.unread == {"input": 1}
