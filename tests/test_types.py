"""The records that travel between stages: what a table keeps of a sample."""

from tacos.types import Message, Pool, Sample, content_id

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
