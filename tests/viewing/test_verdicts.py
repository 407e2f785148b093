"""What the page shows of answers, from files as stages leave them."""

from __future__ import annotations

from pathlib import Path

from tacos.store.files import write_json
from tacos.types import Question
from tacos.viewing.verdicts import answers_of


def test_an_answer_that_failed_is_left_out(tmp_path: Path) -> None:
    """`outputs.json` has null for it."""
    asked = {"0": Question(id="0", turns=("Why?",)), "1": Question(id="1", turns=("How?",))}
    rows = [{"instruction": "Why?", "output": None}, {"instruction": "How?", "output": "So."}]
    write_json(tmp_path / "outputs.json", rows)
    found = answers_of("alpaca_eval", "tacos", 0, {"answer_alpaca_eval": tmp_path}, asked)
    assert {id_: answer.turns for id_, answer in found.items()} == {"1": ["So."]}
