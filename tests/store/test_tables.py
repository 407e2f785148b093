"""Tables of stages, and the forms in which a selection is handed out."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tacos.errors import TacosError
from tacos.selection import Pick
from tacos.store.tables import SELECTION, export_rows, selection_rows, write_selection
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


@pytest.mark.parametrize("name", ["x.jsonl", "x.json", "x.parquet", "x.txt"])
def test_the_ending_says_the_form(name: str, tmp_path: Path) -> None:
    write_selection(tmp_path, POOL, PICKS)
    export_rows(tmp_path / SELECTION, tmp_path / "new" / name)
    out = tmp_path / "new" / name
    if name.endswith(".parquet"):
        rows = pq.read_table(out).to_pylist()
    elif name.endswith(".json"):
        rows = json.loads(out.read_text())
    else:
        rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [row["id"] for row in rows] == ["b", "a"]
    assert rows[0]["messages"][0] == {"role": "user", "content": "Hi"}


def test_what_parquet_cannot_hold_is_said(tmp_path: Path) -> None:
    mixed = [{"id": "a", "x": 1}, {"id": "b", "x": "one"}]
    (tmp_path / "r.jsonl").write_text("".join(json.dumps(row) + "\n" for row in mixed))
    with pytest.raises(TacosError, match=r"write \.jsonl"):
        export_rows(tmp_path / "r.jsonl", tmp_path / "r.parquet")
