"""One timer for many calls: each gets its full time, none gets more, and a cancellation stays one."""

from __future__ import annotations

import asyncio
import random

import pytest

from tacos.llm.backends.deadlines import Deadlines


async def outcome(deadlines: Deadlines, start_s: float, work_s: float) -> str:
    await asyncio.sleep(start_s)
    began = asyncio.get_running_loop().time()
    try:
        await deadlines.within(asyncio.sleep(work_s))
    except TimeoutError:
        took = asyncio.get_running_loop().time() - began
        assert took >= deadlines.limit_s - 0.001
        await asyncio.sleep(0)  # the task goes on as if nothing had been cancelled
        return "late"
    return "done"


def test_calls_that_begin_at_any_time() -> None:
    draw = random.Random(0)
    calls = [(draw.uniform(0, 0.3), draw.choice([0.0, 0.01, 60.0])) for _ in range(100)]

    async def run() -> list[str]:
        deadlines = Deadlines(0.2)
        found = await asyncio.gather(*(outcome(deadlines, *call) for call in calls))
        assert not deadlines._until and not deadlines._expired
        deadlines.close()
        return found

    assert asyncio.run(run()) == ["late" if work_s == 60 else "done" for _, work_s in calls]


def test_one_task_after_the_other_is_timed_anew() -> None:
    async def run() -> list[str]:
        deadlines = Deadlines(0.05)
        return [await outcome(deadlines, 0, work_s) for work_s in (60, 0, 60, 0)]

    assert asyncio.run(run()) == ["late", "done", "late", "done"]


@pytest.mark.parametrize("late_too", [False, True])
def test_a_cancelled_call_stays_cancelled(late_too: bool) -> None:
    async def run() -> None:
        deadlines = Deadlines(0.05 if late_too else 60)
        task = asyncio.create_task(outcome(deadlines, 0, 60))
        await asyncio.sleep(0.01)
        if late_too:
            deadlines._until[task] = 0.0
            deadlines._look()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        deadlines.close()

    asyncio.run(run())


def test_what_the_call_raises_comes_through() -> None:
    async def fails() -> None:
        raise ValueError("no")

    async def run() -> None:
        deadlines = Deadlines(60)
        with pytest.raises(ValueError, match="no"):
            await deadlines.within(fails())
        deadlines.close()

    asyncio.run(run())
