"""What a plan says of caps: stages and cells that share a bill are added up, as a run adds them."""

from __future__ import annotations

from pathlib import Path

from tacos.llm.base import Completion
from tacos.llm.bill import Bill, Tokens
from tacos.llm.cache import ReplyCache
from tacos.llm.estimate import Asked
from tacos.llm.request_key import request_key
from tacos.llm.settings import LLMSettings
from tacos.pipeline.caps import Bills
from tacos.pipeline.settings import SelectSettings
from tests.llm.helpers import asks

LAB = LLMSettings(model="m", max_tokens_total=1000)
"""A call is expected to take some 7 tokens and 20."""


def settings(folder: Path, method: str = "tacos") -> SelectSettings:
    return SelectSettings.model_validate(
        {"artifacts": str(folder), "method": method, "pool": {"source": "p"}}
    )


def asked(count: int, llm: str = "lab") -> Asked:
    return Asked(LAB, asks(count), reply_tokens=20, llm=llm)


def test_stages_and_cells_that_share_a_bill_are_added_up(tmp_path: Path) -> None:
    bills = Bills(settings(tmp_path))
    assert bills.check(asked(25)).stopped is None
    second = bills.check(asked(25)).stopped
    assert (
        second is not None
        and second.startswith("'m' comes to about 1,")
        and "max_tokens_total is 1,000" in second
    )
    assert bills.check(asked(25, "other")).stopped is None
    assert Bills(settings(tmp_path), bills).check(asked(1)).stopped is not None
    assert Bills(settings(tmp_path, "random"), bills).check(asked(1)).stopped is None


def test_a_reply_from_the_cache_counts_once(tmp_path: Path) -> None:
    """20 replies of 40 tokens are known, 10 of them on the bill beside 100 others."""
    chosen, requests = settings(tmp_path), asks(20)
    kept = ReplyCache(chosen.replies)
    keys = [request_key("m", request, LAB.structured, LAB.altered) for request in requests]
    for key in keys:
        kept.put(key, Completion(text="x", prompt_tokens=20, completion_tokens=20))
    Bill(kept, "tacos/lab").add_known([(key, Tokens(20, 20)) for key in keys[:10]] + [(b"z", Tokens(100, 0))])
    found = Bills(chosen).check(asked(20))
    assert found.usage.calls == 0 and found.usage.cached_calls == 20 and found.stopped is None
    assert found.on_bill and found.on_bill.described == "500 of max_tokens_total=1,000 tokens"
    # 500 on the bill, 400 that are not, and calls of about 40
    assert Bills(chosen).check(asked(22)).stopped is None
    assert "about 1,02" in (Bills(chosen).check(asked(23)).stopped or "")


def test_calls_in_flight_are_on_the_bill_and_looking_changes_nothing(tmp_path: Path) -> None:
    chosen = settings(tmp_path)
    kept = ReplyCache(chosen.replies)
    bill = Bill(kept, "tacos/lab")
    assert bill.reserve(10, 20, lambda total: True) is not None
    found = Bills(chosen).check(asked(1))
    assert found.on_bill and found.on_bill.spent_tokens == 30 and bill.spent == (0, 0)
    other = Bills(settings(tmp_path, "random")).check(asked(1))
    count = kept.transact(lambda db: db.execute("SELECT COUNT(*) FROM bills").fetchone()[0])
    assert other.on_bill and other.on_bill.spent_tokens == 0 and count == 1
