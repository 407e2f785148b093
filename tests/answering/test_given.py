"""Answer files that a user gives: whose answers they are, and what is said about them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tacos.answering.given import read_given
from tacos.errors import TacosError


def row(question: int, text: str, model: str = "m1") -> dict[str, Any]:
    return {"question_id": question, "model_id": model, "choices": [{"index": 0, "turns": [text, text]}]}


def written(path: Path, *rows: Any) -> Path:
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows))
    return path


def test_models_stand_in_order_with_their_faults(tmp_path: Path) -> None:
    a = written(tmp_path / "a.jsonl", row(81, "yes"), row(82, ""))
    b = written(tmp_path / "b.jsonl", row(81, "no", "m2"))
    given = read_given([a, b])
    assert [(name, list(own)) for name, own in given.models.items()] == [("m1", ["81", "82"]), ("m2", ["81"])]
    assert given.notes == []
    assert [(f.turns, f.empty) for f in given.faults.values()] == [(4, 2), (2, 0)]


def test_two_models_of_one_name_are_refused(tmp_path: Path) -> None:
    a, b = written(tmp_path / "a.jsonl", row(81, "yes")), written(tmp_path / "b.jsonl", row(81, "no"))
    with pytest.raises(
        TacosError, match=r"a\.jsonl and .*b\.jsonl both hold answers of 'm1', and to question 81"
    ):
        read_given([a, b])


def test_parts_of_one_model_are_put_together_and_what_comes_twice_is_counted(tmp_path: Path) -> None:
    a = written(tmp_path / "a.jsonl", row(81, "yes"), row(81, "again"), "{broken")
    b = written(tmp_path / "b.jsonl", row(81, "yes"), row(82, "no"))
    given = read_given([a, b])
    assert [answer.turns[0] for answer in given.models["m1"].values()] == ["yes", "no"]
    (bad, twice, both) = given.notes
    assert bad[0] == a and "line 3" in bad[1] and bad[1].endswith("it is left out")
    assert twice == (a, "1 second answers to a question; the first counts")
    assert both == (b, f"1 answers stand in {a} too")


def test_no_answer_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TacosError, match="no answer in"):
        read_given([written(tmp_path / "a.jsonl", "{}")])
