"""The cap is a promise: over processes, kills and restarts, and with servers that charge more than was asked for.

What a server charged, of a cap, and what may be in flight at the size of a call:

    condition                                     before   now, at most
    64 calls in flight                              1.0      cap
    two processes on one cache                      1.97     cap
    six kills, 16 in flight                         1.39     cap
    a reply of 20 times the limit                   6.7      cap + 1 call
    prompts of 3 times their estimate               2.3      cap + 1 call
    stopped by SIGINT or SIGTERM, and run again              cap
    a restart after the cap                                  cap
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tacos.errors import SpendCapError
from tacos.llm.bill import Bill, InMemory, Tokens
from tacos.llm.cache import ReplyCache
from tacos.llm.client import complete

from .helpers import asks, client
from .server import FaultServer

CALL = 15
"""Tokens that the test server charges for a call."""


def spender(
    server: FaultServer,
    cache: Path,
    first: int = 0,
    count: int = 2000,
    concurrency: int = 16,
    cap: int = 3000,
    most: int = 20,
) -> subprocess.Popen[str]:
    words = [server.endpoint, str(cache), *map(str, (first, count, concurrency, cap, most))]
    command = [sys.executable, "-m", "tests.llm.spender", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("same", [True, False])
def test_two_processes_keep_one_cap(server: FaultServer, tmp_path: Path, same: bool) -> None:
    """Whether they ask the same or each its own questions."""
    server.delay_s = 0.005
    cache = tmp_path / "c.sqlite"
    both = [spender(server, cache, first=0 if same else 5000 * n) for n in range(2)]
    said = [process.communicate(timeout=60)[0] for process in both]
    assert all("the spend cap is reached" in one for one in said)
    assert 3000 - 3 * CALL <= server.charged <= 3000


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_stopped_six_times(server: FaultServer, tmp_path: Path, how: signal.Signals) -> None:
    """Calls in flight are charged, and counted by the next process."""
    server.delay_s, cache = 0.03, tmp_path / "c.sqlite"
    for _ in range(6):
        enough, goal = threading.Event(), server.hits + 25
        server.on_hit = lambda count, goal=goal, enough=enough: enough.set() if count >= goal else None
        process = spender(server, cache, count=4000)
        assert enough.wait(30)
        process.send_signal(how)
        process.wait(30)
    spender(server, cache, count=4000).communicate(timeout=60)
    assert server.charged <= 3000
    assert server.charged >= 3000 - 6 * 16 * (10 + 20) * 0.5  # what was booked without need is bounded, too


def test_a_server_that_ignores_the_limit(server: FaultServer) -> None:
    server.delay_s, server.usage = 0.005, {"prompt_tokens": 10, "completion_tokens": 400}
    with pytest.raises(SpendCapError):
        complete(client(server.endpoint, concurrency=64, max_tokens_total=20_000), asks(500, max_tokens=20))
    assert server.charged <= 20_000


def test_prompts_that_count_more_than_estimated(server: FaultServer) -> None:
    server.delay_s, server.usage = 0.005, {"prompt_tokens": 30, "completion_tokens": 5}
    with pytest.raises(SpendCapError):
        complete(client(server.endpoint, concurrency=64, max_tokens_total=10_000), asks(2000, max_tokens=5))
    assert 10_000 - 3 * 35 <= server.charged <= 10_000


def test_a_first_surprise_costs_one_call(server: FaultServer) -> None:
    server.usage = {"prompt_tokens": 10, "completion_tokens": 5000}
    with pytest.raises(SpendCapError):
        complete(client(server.endpoint, concurrency=64, max_tokens_total=1000), asks(50, max_tokens=20))
    assert server.hits == 1


def test_a_restart_after_the_cap_asks_nothing(server: FaultServer, tmp_path: Path) -> None:
    for _ in range(2):
        llm = client(server.endpoint, tmp_path / "c.sqlite", max_tokens_total=1000)
        with pytest.raises(SpendCapError):
            complete(llm, asks(300, max_tokens=20))
    assert server.charged <= 1000


def test_another_run_has_a_bill_of_its_own(tmp_path: Path) -> None:
    kept = ReplyCache(tmp_path / "c.sqlite")
    one, other = Bill(kept, "tacos/tagger"), Bill(kept, "car/tagger")
    one.add_known([(b"k", Tokens(10, 5))])
    one.add_known([(b"k", Tokens(10, 5)), (b"l", Tokens(1, 1))])
    assert one.spent == (11, 6) and other.spent == (0, 0)
    assert Bill(kept, "tacos/tagger").spent == (11, 6)


def test_few_are_let_out_before_anything_is_known() -> None:
    bill = Bill(InMemory(), "b")

    def let_out() -> list[int]:
        found = []
        while (number := bill.reserve(10, 20, lambda total: True)) is not None:
            found.append(number)
        return found

    sizes = []
    for _ in range(4):
        flying = let_out()
        sizes.append(len(flying))
        for number in flying:
            bill.settle(number, str(number).encode(), 10, Tokens(12, 30))
    assert sizes == [1, 3, 9, 27]
    seen: list[Tokens] = []
    bill.reserve(100, 20, lambda total: bool(seen.append(total)) or True)
    assert seen[-1] == (40 * 12 + 102, 40 * 30 + 30)  # two tokens more than estimated, and the longest reply


def test_a_short_prompt_teaches_little_about_long_ones(server: FaultServer) -> None:
    """A template adds 30 tokens to "Hi", six times its estimate, and hardly anything to a long prompt."""
    bill = Bill(InMemory(), "b")
    first = bill.reserve(5, 20, lambda total: True)
    assert first is not None
    bill.settle(first, b"k", 5, Tokens(35, 10))
    assert bill.reserve(4000, 20, lambda total: sum(total) <= 20_000) is not None


def test_a_stream_that_ends_leaves_the_calls_of_another_alone() -> None:
    bill = Bill(InMemory(), "b")
    one = bill.reserve(10, 20, lambda total: True)
    assert one is not None
    bill.settle(one, b"a", 10, Tokens(10, 5))
    two, three = (bill.reserve(10, 20, lambda total: True) for _ in range(2))
    assert two is not None and three is not None
    bill.give_up([two])
    bill.give_up([two])  # twice is once
    bill.settle(three, b"b", 10, Tokens(10, 5))
    assert bill.spent == (30, 15)


def test_a_failed_call_is_not_taken_for_its_reply() -> None:
    bill = Bill(InMemory(), "b")
    number = bill.reserve(10, 20, lambda total: True)
    assert number is not None
    bill.settle(number, b"a", 10, Tokens(0, 0), answered=False)
    bill.add_known([(b"a", Tokens(700, 70))])
    assert bill.spent == (700, 70)


def test_two_clients_of_one_process_wait_for_each_other(tmp_path: Path) -> None:
    kept = ReplyCache(tmp_path / "c.sqlite")
    one, two = Bill(kept, "b"), Bill(kept, "b")
    number = one.reserve(10, 20, lambda total: True)
    assert number is not None and two.others_in_flight() and not one.others_in_flight()
    one.settle(number, b"a", 10, Tokens(10, 5))
    assert not two.others_in_flight()
