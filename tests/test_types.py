"""The records that travel between stages: what a table keeps of a sample."""

import pyarrow as pa
import pytest

from tacos.types import Message, Pool, Sample, content_id, make_sample

TURNS = (
    Message(role="user", content="Hi"),
    Message(role="assistant", content="Well.", weight=0),
    Message(role="user", content="And?"),
    Message(role="assistant", content="Hello."),
)


def test_weights_and_extra_columns_travel_through_a_table(tmp_path):
    kept = Sample(id="a", messages=TURNS, extra={"tools": [{"name": "f"}], "n": None})
    plain = Sample(id="b", messages=TURNS[2:])
    Pool.from_samples([kept, plain]).write(tmp_path / "pool.parquet")
    pool = Pool.read(tmp_path / "pool.parquet")
    assert list(pool) == [kept, plain]
    assert pool.take([1, 0])[1] == kept


def test_the_usual_weight_is_not_written():
    assert TURNS[0].model_dump() == {"role": "user", "content": "Hi"}
    assert Sample(id="a", messages=TURNS).model_dump(mode="json")["messages"][1] == {
        "role": "assistant",
        "content": "Well.",
        "weight": 0,
    }
    assert Message.model_validate(TURNS[1].model_dump()) == TURNS[1]


def test_a_weight_changes_the_content_id():
    assert content_id(TURNS) != content_id(t.model_copy(update={"weight": 1}) for t in TURNS)


def conversations() -> list[Sample]:
    """One round, several rounds, a system prompt, a separate input, and a side without a turn."""
    system = Message(role="system", content="Be brief.")
    return [
        make_sample("Hi", "Hello", id="a"),
        make_sample("Add. ", "7", id="b", input="3 and 4"),
        Sample(id="c", messages=(system, *TURNS), input="And?"),
        Sample(id="d", messages=(Message(role="user", content="Caf\u00e9?"),), input="other"),
        Sample(id="e", messages=()),
    ]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_columns_say_what_samples_say(size):
    samples = conversations()
    table = Pool.from_samples(samples).table.combine_chunks()
    parts = [table.slice(at, size) for at in range(0, len(samples), size)]
    pool = Pool(pa.concat_tables(parts))
    for rows in (range(5), [0, 1], [3, 1, 1, 4, 2], []):
        taken, wanted = pool.take(rows), [samples[row] for row in rows]
        assert list(taken) == wanted and taken.ids == [sample.id for sample in wanted]
        assert taken.prompts == [sample.prompt for sample in wanted]
        assert taken.instructions == [sample.instruction for sample in wanted]
        assert taken.responses == [sample.response for sample in wanted]
    assert pool.by_id("d") == samples[3] and pool[1:3].ids == ["b", "c"]


def test_a_text_column_is_a_sequence():
    ids = Pool.from_samples(conversations()).ids
    assert (ids[0], ids[-1], ids[1:3], ids[::-2], ids[4:2]) == ("a", "e", ["b", "c"], ["e", "c", "a"], [])
    assert "c" in ids and ids.index("c") == 2 and list(reversed(ids)) == ["e", "d", "c", "b", "a"]
    assert ids == ["a", "b", "c", "d", "e"] and ids != ["a"] and ids != ["a", "b", "c", "d", "x"]
    assert pa.table({"id": ids}).column("id").to_pylist() == list(ids)
    with pytest.raises(IndexError):
        ids[5]


def test_rows_that_are_not_there_are_not_made_up():
    pool = Pool.from_samples(conversations())
    with pytest.raises(IndexError):
        pool.take([0, 5])
    assert pool.rows_of(pa.chunked_array([["d", "a"], ["d"]])).tolist() == [3, 0, 3]
    with pytest.raises(KeyError, match="z"):
        pool.rows_of(pa.chunked_array([["a", "z"]]))
