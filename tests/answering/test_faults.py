"""What is wrong with answers as answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.answering.faults import FAILED, AnswerFaults, faults_in, faults_of, repeats
from tacos.types import Answer

PROSE = "Tell your brother that you found the sofa on a website and that it costs ninety pounds, and ask him to help."


@pytest.mark.parametrize(
    "text",
    [
        "no " * 30,
        "!" * 60,
        "Sure, here it is: " + "ha" * 40,
        "The answer is 4. " * 12 + "The ans",
        "\n\n".join(f"{i}. Check the data and write a report on all of it." for i in range(90)),
        "好的，" * 30,
    ],
)
def test_one_piece_over_and_over(text: str) -> None:
    assert repeats(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        PROSE,
        "x" * 39,
        "Ha ha ha ha ha ha ha ha, that is a good one. " + PROSE,
        "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 3,
        "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16",
        " ".join(f"def f{i}(x): return x + {i * i}" for i in range(9)),
    ],
)
def test_a_text_with_some_repetition_is_sound(text: str) -> None:
    assert not repeats(text)


@given(st.text(max_size=200))
def test_any_text_is_told(text: str) -> None:
    assert repeats(text) in (True, False)


def test_faults_are_counted_turn_by_turn() -> None:
    turns = ["", "  \n", FAILED, "no " * 30, "Hawaii is a lovely", PROSE, "ha" * 40]
    found = faults_of(turns, [None, "length", None, "stop", "length", "stop", "length"])
    assert found == AnswerFaults(turns=7, empty=2, failed=1, repeated=2, cut=3, faulty=6)
    assert found.share == pytest.approx(6 / 7) and found.worth_saying
    assert found.describe() == (
        "of 7 answers 2 empty, 1 failed calls ($ERROR$), 2 one piece over and over, 3 cut off at the token limit"
    )


def test_sound_answers_have_nothing_to_say() -> None:
    found = faults_of([PROSE] * 3)
    assert found == AnswerFaults(turns=3) and found.describe() == "" and not found.worth_saying
    assert AnswerFaults().share == 0.0


def test_up_to_five_in_a_hundred_are_let_pass() -> None:
    assert not faults_of([PROSE] * 95 + [""] * 5).worth_saying
    assert faults_of([PROSE] * 94 + [""] * 6).worth_saying


def test_answers_of_several_turns_add_up() -> None:
    one = Answer(question_id="1", model="m", turns=(PROSE, ""), reasoned=1)
    two = Answer(question_id="2", model="m", turns=(PROSE, "Hawaii is"), finish_reasons=("stop", "length"))
    assert faults_in([one, two]) == AnswerFaults(turns=4, empty=1, cut=1, faulty=2, reasoned=1)
