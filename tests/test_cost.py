"""Costs per sample: added up over parts, and in the same words for all."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from tacos.cli.app import app
from tacos.cost import FREE, Cost
from tacos.methods import METHODS


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        (FREE, "nothing"),
        (Cost(calls=1), "1 call per sample"),
        (Cost(calls=0.5, note="with llm"), "0.5 calls per sample (with llm)"),
        (Cost(passes=2, embeddings=1), "2 forward passes, 1 embedding per sample"),
        (Cost(gradients=1, trainings=3), "1 gradient per sample, 3 trainings"),
        (Cost(trainings=1), "1 training"),
        (Cost.of("none"), "nothing"),
        (Cost.of("a coffee per sample"), "a coffee per sample"),
        (Cost.of(Cost(calls=2)), "2 calls per sample"),
    ],
)
def test_a_cost_in_words(cost: Cost, words: str) -> None:
    assert cost.describe() == words


def test_parts_add_up_and_share_what_is_embedded() -> None:
    both = Cost(embeddings=1, note="a") + Cost(calls=1, passes=2, embeddings=2, trainings=1, note="b")
    assert both == Cost(calls=1, passes=2, embeddings=2, trainings=1, note="a; b")
    assert FREE + FREE == FREE


def test_a_method_costs_what_its_parts_cost() -> None:
    assert METHODS.get("superfiltering").cost == Cost(passes=2)
    assert (METHODS.get("ifd").cost.passes, METHODS.get("ifd").cost.trainings) == (4, 1)
    assert METHODS.get("less").cost == Cost(gradients=4, trainings=1)
    assert METHODS.get("random").cost == FREE
    assert METHODS.get("tacos").cost.calls == 0.5 and METHODS.get("iterselecttune").cost.trainings == 3
    assert METHODS.get("longest-refined").cost.describe() == "2 calls per selected sample"


def test_methods_and_parts_tell_costs_in_words_and_numbers() -> None:
    def listed(what: str) -> dict[str, dict[str, object]]:
        result = CliRunner().invoke(app, [what, "--json"])
        rows = json.loads(result.stdout.splitlines()[-1])[what]
        return {row.get("by") or row["name"]: row for row in rows}

    assert listed("parts")["rating"]["cost"] == "1 call per sample"
    assert listed("parts")["ifd"]["per_sample"] == Cost(passes=2).model_dump()
    methods = listed("methods")
    assert methods["deita"]["cost"] == "2 forward passes, 1 embedding per sample (passes for each turn)"
    assert methods["recipe"]["per_sample"] is None
    assert all(row["cost"] for row in methods.values())
