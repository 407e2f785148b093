"""The rule for "this reply gives that answer"."""

import pytest

from tacos.text import exact_match, normalise


@pytest.mark.parametrize(
    ("reply", "answer", "expected"),
    [
        ("42", "42", True),
        ("So the total is **42**.", "42", True),
        ("The answer:\n 42 !", " 42.", True),
        ("It is RED", "red", True),
        ("cafe\u0301", "caf\u00e9", True),
        ('JSON: {"a": 1}', '{"a": 1}', True),
        ("It costs $14", "14", True),
        ("It is 142.", "42", False),
        ("It is infrared.", "red", False),
        ("It is twenty-one.", "one", False),
        ("The answer is 'odd'.", "odd", True),
        ("The items are a,\n b, c", "a, b, c", True),
        ("42 is the answer", "42", False),
        ("3.14", "14", False),
        ("1/14", "14", False),
        ("It is -14", "14", False),
        ("It is -14", "-14", True),
        ("", "42", False),
        ("anything", "", False),
        ("anything", "...", False),
    ],
)
def test_exact_match(reply, answer, expected):
    assert exact_match(reply, answer) is expected


def test_normalise():
    assert normalise("  The  ANSWER\n is: Red!? ") == "the answer is: red"
