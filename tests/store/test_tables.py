"""Tables of stages, and the forms in which a selection is handed out."""

from __future__ import annotations

from tacos.selection import Pick
from tacos.store.tables import selection_rows
from tacos.types import Message, Pool, Sample, make_sample

TURNS = (Message(role="user", content="Hi"), Message(role="assistant", content="Hello.", weight=1))
POOL = Pool.from_samples(
    [
        make_sample("Sum up.", "Short.", id="a", source="dolly", input="A long text."),
        Sample(id="b", messages=TURNS, extra={"lang": "en", "n": 3}),
    ]
)
PICKS = [Pick(index=1, group="g", reason="top score", score=2.00004), Pick(index=0, reason="uniform draw")]


def test_a_selected_row_keeps_source_input_and_what_was_asked_for() -> None:
    first, second = selection_rows(POOL, PICKS)
    assert first["selection"] == {
        "rank": 1,
        "score": 2.0,
        "group": "g",
        "place": None,
        "reason": "top score",
    }
    assert (first["lang"], first["n"], "source" in first) == ("en", 3, False)
    assert (second["source"], second["input"]) == ("dolly", "A long text.")
    assert second["selection"]["score"] is None and second["selection"]["rank"] == 2


def test_a_small_score_keeps_its_digits() -> None:
    picks = [Pick(index=0, score=3.14159e-6), Pick(index=1, score=-2.71828)]
    assert [row["selection"]["score"] for row in selection_rows(POOL, picks)] == [3.142e-06, -2.7183]
