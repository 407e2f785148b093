"""What the columns of a file hold: given, recognised by name, wrapped, carried along, or named as not read."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from tacos.data.read import ReadResult, ReadSettings, read_pool
from tacos.errors import PoolError
from tacos.types import Pool

CHAT = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]


def read(folder: Path, rows: object, name: str = "pool.json", **settings: object) -> ReadResult:
    path = folder / name
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text(rows if isinstance(rows, str) else json.dumps(rows), encoding="utf-8")
    return read_pool(str(path), ReadSettings.model_validate(settings))


def turns(result: ReadResult, i: int = 0) -> list[tuple[str, str]]:
    return [(m.role, m.content) for m in result.pool[i].messages]


@pytest.mark.parametrize(
    ("row", "taken", "prompt"),
    [
        ({"query": "Hi", "response": "Hello"}, "prompt=query", "Hi"),
        ({"question": "Hi", "answer": "Hello"}, "prompt=question, response=answer", "Hi"),
        ({"prompt": "Hi", "chosen": "Hello", "rejected": "No"}, "response=chosen", "Hi"),
        ({"prompt": "Hi", "response": "Hello"}, "", "Hi"),
        ({"instruction": "Hi", "context": "There", "response": "Hello"}, "input=context", "Hi\n\nThere"),
        ({"system_prompt": "Be.", "question": "Hi", "response": "Hello"}, "system=system_prompt", "Hi"),
        ({"input": "Hi", "output": "Hello"}, "prompt=input, response=output", "Hi"),
        ({"problem": "Hi", "solution": "Hello"}, "prompt=problem", "Hi"),
        ({"conversation": CHAT}, "messages=conversation", "Hi"),
        ({"dialogue": json.dumps(CHAT)}, "messages=dialogue", "Hi"),
        ({"Question": "Hi", "Answer": "Hello", "question": 1}, "prompt=Question, response=Answer", "Hi"),
        ({"Instruction": "Hi", "Input": "There", "Output": "Hello"}, "input=Input", "Hi\n\nThere"),
        ({"instruction": "Hi", "output": "Hello", "ID": 7, "System": "Be."}, "system=System, id=ID", "Hi"),
    ],
)
def test_usual_names_are_recognised_with_a_note(tmp_path, row, taken, prompt):
    result = read(tmp_path, [row, row])
    assert result.pool[0].prompt == prompt and result.pool[0].response == "Hello"
    note = next((note for note in result.notes if note.startswith("columns were recognised")), "")
    assert taken in note and ("pool.read.columns" in note) == bool(taken or note)


def test_the_whole_conversation_may_stand_under_chosen(tmp_path):
    row = {"prompt": "Hi", "chosen": CHAT, "rejected": CHAT}
    result = read(tmp_path, [row])
    assert turns(result) == [("user", "Hi"), ("assistant", "Hello")]
    assert "not supported and left out: rejected (1 of 1 rows)" in result.notes


@pytest.mark.parametrize("name", ["pool.json", "pool.parquet"])
def test_given_columns_win_over_recognised_ones(tmp_path, name):
    row = {"instruction": "no", "output": "no", "q": "Hi", "a": "Hello", "c": "There", "s": "Be.", "nr": 7}
    columns = {"prompt": "q", "response": "a", "input": "c", "system": "s", "id": "nr"}
    result = read(tmp_path, [row], name, columns=columns)
    assert turns(result) == [("system", "Be."), ("user", "Hi\n\nThere"), ("assistant", "Hello")]
    assert (result.pool.ids, result.pool[0].input, result.format) == (["7"], "There", "columns")
    assert result.notes == (
        "not read: instruction (1 of 1 rows), output (1 of 1 rows); "
        "pool.read.columns.input=NAME puts one into the prompt (id and source alike), "
        "keep_columns carries it along",
    )


def test_a_column_may_say_where_rows_are_from(tmp_path):
    rows = [{**ROWS[0], "team": "sales", "source": "x"}, {**ROWS[1], "team": 7}, {**ROWS[1], "team": None}]
    result = read(tmp_path, rows, columns={"source": "team"})
    assert result.pool.table.column("source").to_pylist() == ["sales", "7", "pool"]
    assert any(note.startswith("not read: source (1 of 3 rows)") for note in result.notes)
    assert read(tmp_path, rows[:1]).pool[0].source == "x"


def test_one_given_column_changes_that_one_only(tmp_path):
    row = {"instruction": "Hi", "input": "no", "ctx": "There", "output": "Hello"}
    assert read(tmp_path, [row], columns={"input": "ctx"}).pool[0].prompt == "Hi\n\nThere"
    talk = {"talk": CHAT, "prompt": "no", "completion": "no"}
    assert turns(read(tmp_path, [talk], columns={"messages": "talk"})) == [
        ("user", "Hi"),
        ("assistant", "Hello"),
    ]
    half = {"q": "Hi", "answer": "Hello"}
    assert turns(read(tmp_path, [half], columns={"prompt": "q"})) == [("user", "Hi"), ("assistant", "Hello")]


def test_a_given_column_that_no_row_has_is_named(tmp_path):
    with pytest.raises(
        PoolError, match=r"pool\.read\.columns\.prompt: no row of .* has 'qury': did you mean 'query'"
    ):
        read(tmp_path, [{"query": "Hi", "response": "Hello"}], columns={"prompt": "qury"})
    with pytest.raises(PoolError, match=r"unknown format.*x, y.*pool\.read\.columns says which"):
        read(tmp_path, [{"x": "Hi", "y": "Hello"}])


def test_csv_columns(tmp_path):
    text = 'query,response,input,id\n"Hi, you","  Hello\n",,3\nA?,B,C,\n'
    result = read(tmp_path, text, "pool.csv")
    assert turns(result) == [("user", "Hi, you"), ("assistant", "  Hello\n")]
    assert (
        result.pool[1].prompt == "A?\n\nC" and result.pool.ids[0] == "3" and result.lines.tolist() == [2, 4]
    )
    cell = json.dumps(CHAT).replace('"', '""')
    assert turns(read(tmp_path, f'messages\n"{cell}"\n', "pool.csv")) == [
        ("user", "Hi"),
        ("assistant", "Hello"),
    ]


ROWS = [{"id": str(i), "instruction": f"Question {i}", "output": f"Answer {i}"} for i in range(3)]


@pytest.mark.parametrize(
    ("whole", "note"),
    [
        ({"version": 1, "data": ROWS}, "its rows were read from 'data'; not read, beside them: 'version'"),
        ({"data": {"train": ROWS}, "version": 2}, "its rows were read from 'train' (inside 'data')"),
        ({"rows": ROWS, "info": {"by": "me"}}, "its rows were read from 'rows'"),
        (
            {"test": ROWS[:1], "train": ROWS},
            "its rows were read from 'train'; not read: 'test' (1 rows), which pool.read.split chooses",
        ),
        ({row["id"]: row for row in ROWS}, "its rows stand under their ids"),
        ({name: {str(i): row[name] for i, row in enumerate(ROWS)} for name in ROWS[0]}, "column by column"),
        ({name: [row[name] for row in ROWS] for name in ROWS[0]}, "column by column"),
        (
            {"columns": list(ROWS[0]), "index": [0, 1, 2], "data": [list(row.values()) for row in ROWS]},
            "in a table",
        ),
    ],
)
@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("name", ["pool.json", "pool.jsonl"])
def test_an_object_that_holds_the_rows_is_unwrapped_with_a_note(tmp_path, whole, note, indent, name):
    result = read(tmp_path, json.dumps(whole, indent=indent), name)
    assert result.pool.ids == ["0", "1", "2"] and result.lines.tolist() == [1, 2, 3]
    assert note in result.notes[0]


def test_a_broken_row_in_a_wrapper_is_counted(tmp_path):
    result = read(tmp_path, {"data": [*ROWS, None]})
    assert len(result.pool) == 3 and result.reasons == {"not_an_object": 1}


def test_a_file_of_a_single_row_is_a_row(tmp_path):
    tools = {"messages": CHAT, "tools": [{"name": "f"}]}
    for row in (ROWS[0], tools, {"q": "Hi", "a": "Hello", "notes": [{"by": "me"}]}):
        columns = {"prompt": "q", "response": "a"} if "q" in row else {}
        assert len(read(tmp_path, json.dumps(row, indent=1), columns=columns).pool) == 1
    split = read(tmp_path, {"test": ROWS[:1], "train": ROWS}, split="test")
    assert split.pool.ids == ["0"] and "not read: 'train' (3 rows)" in split.notes[0]


@pytest.mark.parametrize(
    "row",
    [
        {"instruction": "Hi", "output": "Hello"},
        {"prompt": "Hi", "completion": "Hello"},
        {"messages": CHAT},
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
        {"query": "Hi", "response": "Hello"},
    ],
)
def test_what_means_something_and_is_not_supported_is_counted_in_every_format(tmp_path, row):
    with_tools = {**row, "tools": [{"name": "f"}], "images": ["a.png"], "category": "x"}
    result = read(tmp_path, [with_tools, {**with_tools, "images": []}, {**row, "tools": None}])
    assert "not supported and left out: tools (2 of 3 rows), images (1 of 3 rows)" in result.notes
    assert any(note.startswith("not read: category (2 of 3 rows)") for note in result.notes)
    assert result.unread["tools"] == 2 and len(result.pool) == 3


def test_fields_of_turns_are_counted(tmp_path):
    said = {"role": "assistant", "content": "Hello", "tool_calls": [{"id": 1}], "weight": 0.5, "mood": "glad"}
    result = read(tmp_path, [{"messages": [CHAT[0], said, CHAT[0], CHAT[1]]}, {"messages": CHAT}])
    assert "messages[].tool_calls (1 of 2 rows)" in result.notes[0] and "messages[].weight" in result.notes[0]
    assert result.notes[1] == "not read: messages[].mood (1 of 2 rows)"
    assert [m.weight for m in result.pool[0].messages] == [1, 1, 1, 1]


def test_marks_of_what_is_learned_are_read_or_named_as_not_supported(tmp_path):
    left_out = {**CHAT[1], "training": False}
    result = read(tmp_path, [{"messages": [CHAT[0], left_out, CHAT[0], {**CHAT[1], "mask": True}]}])
    assert [m.weight for m in result.pool[0].messages] == [1, 0, 1, 1]
    assert result.notes == ("not supported and left out: messages[].mask (1 of 1 rows)",)
    row = {
        "instruction": "Hi",
        "output": "Hello",
        "mask": 1,
        "loss": 0,
        "history": [CHAT[0], {**CHAT[1], "tool_calls": [1]}],
    }
    notes = read(tmp_path, [row]).notes
    assert notes == (
        "not supported and left out: mask (1 of 1 rows), loss (1 of 1 rows), history[].tool_calls (1 of 1 rows)",
    )


def test_our_own_selections_are_read_without_a_word(tmp_path):
    row = {"id": "a", "source": "s", "input": "", "messages": CHAT, "selection": {"rank": 1}}
    assert read(tmp_path, [row]).notes == ()


def test_kept_columns_go_with_the_row(tmp_path):
    rows = [{**ROWS[0], "topic": "tea", "meta": {"n": [1, None]}}, {**ROWS[1], "topic": None, "other": 1}]
    result = read(tmp_path, rows, keep_columns=["topic", "meta"])
    result.pool.write(tmp_path / "pool.parquet")
    pool = Pool.read(tmp_path / "pool.parquet")
    assert [sample.extra for sample in pool] == [{"topic": "tea", "meta": {"n": [1, None]}}, {"topic": None}]
    assert result.notes == (
        "not read: other (1 of 2 rows); pool.read.columns.input=NAME puts one into the prompt (id and source alike), "
        "keep_columns carries it along",
    )
    everything = read(tmp_path, rows, keep_columns=["*"])
    assert everything.pool[1].extra == {"topic": None, "other": 1} and not everything.notes


def test_a_column_that_cannot_be_kept_is_named(tmp_path):
    with pytest.raises(PoolError, match=r"keep_columns: no row of .* has 'topik': did you mean 'topic'"):
        read(tmp_path, [{**ROWS[0], "topic": "tea"}], keep_columns=["topik"])
    with pytest.raises(ValidationError, match="a selected row has a field of this name"):
        ReadSettings(keep_columns=("messages",))
