"""The Alpaca preamble inside user turns, as the authors of TACOS trained and asked."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tacos.models.wrapping import ALONE, WITH_INPUT, alpaca, wrap_messages, wrap_pool
from tacos.types import Message, Pool, make_sample

RELEASED = (
    Path(os.environ.get("TACOS_ASSETS", "../shared/assets")) / "tacos_data/filtered_alpaca_1k_opencs.json"
)


def test_an_instruction_is_wrapped_alone_or_with_its_input() -> None:
    assert alpaca("Sort these.") == f"{ALONE} ### Instruction: Sort these."
    assert (
        alpaca("Sort these.\n\nb, a", "b, a") == f"{WITH_INPUT} ### Instruction: Sort these. ### Input: b, a"
    )


def test_what_is_wrapped_stays_as_it_is() -> None:
    once = alpaca("Sort these.")
    assert alpaca(once) == once


def test_every_user_turn_is_wrapped_and_nothing_else() -> None:
    talk = [
        ("system", "Be brief."),
        ("user", "Hi"),
        ("assistant", "Hello"),
        ("user", "Sort:\n\nb"),
        ("assistant", "b"),
    ]
    messages = [Message(role=role, content=text) for role, text in talk]  # type: ignore[arg-type]
    wrapped = [m.content for m in wrap_messages(messages, "alpaca", input="b")]
    assert wrapped == ["Be brief.", alpaca("Hi"), "Hello", alpaca("Sort:\n\nb", "b"), "b"]
    assert wrap_messages(messages, "none") == messages


def test_a_pool_keeps_its_ids_and_inputs() -> None:
    pool = Pool.from_samples([make_sample("Sort these.", "a, b", id="x", input="b, a")])
    (sample,) = wrap_pool(pool, "alpaca")
    assert sample.id == "x" and sample.messages[0].content == alpaca("Sort these.\n\nb, a", "b, a")
    assert wrap_pool(pool, "none") is pool


@pytest.mark.skipif(not RELEASED.is_file(), reason="the authors' set is not here")
def test_the_released_rows_are_wrapped_in_the_same_letters() -> None:
    for row in json.loads(RELEASED.read_text(encoding="utf-8")):
        released = row["conversations"][0]["value"]
        instruction, _, input = released.partition(" ### Instruction: ")[2].partition(" ### Input: ")
        whole = f"{instruction}\n\n{input}" if input else instruction
        assert alpaca(whole, input) == released.rstrip() or instruction != instruction.rstrip()
        assert alpaca(released) == released
