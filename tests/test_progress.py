"""Loops that take long say so, where nobody watches a bar."""

from __future__ import annotations

import logging
import time

import pytest

from tacos import progress
from tacos.progress import Count, counted, duration, track


def test_a_loop_is_logged_while_a_single_step_takes_long(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(progress, "LOG_S", 0.01)
    for item in track([10, 20, 30], "stirring"):
        if item == 20:
            while "stirring" not in caplog.text:
                time.sleep(0.01)
    line = next(record.message for record in caplog.records if "stirring" in record.message)
    assert line.startswith(("stirring: 0 of 3", "stirring: 1 of 3, "))
    assert "/s, " in line or line == "stirring: 0 of 3"


def test_what_a_line_says() -> None:
    count = Count("pretraining", 1000)
    assert count.describe() == "pretraining: 0 of 1,000"
    count._began -= 100
    count.add(400)
    assert count.describe() == "pretraining: 400 of 1,000, 4/s, 2 min 30 s left"


def test_steps_of_any_size_are_told_in_their_unit() -> None:
    count = Count("losses", 90_000, shown=False, unit="tokens")
    count._began -= 100
    count.add(30_000)
    assert count.describe() == "losses: 30,000 of 90,000 tokens, 300 tokens/s, 3 min 20 s left"
    with counted("losses", 10, "tokens") as done:
        done(7)


def test_no_line_for_a_quick_loop(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert list(track([1, 2], "quick")) == [1, 2] and "quick" not in caplog.text


@pytest.mark.parametrize(("seconds", "said"), [(5400, "1 h 30 min"), (61, "1 min 1 s"), (0.4, "0 s")])
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said
