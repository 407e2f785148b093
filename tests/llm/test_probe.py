"""Measuring a server and looking at one, against local servers."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tacos.doctor import llm_checks
from tacos.errors import ConfigError, LLMError
from tacos.llm.probe import Level, look, measure, passed_over, recommended
from tacos.llm.settings import LLMSettings

from .helpers import asks
from .server import Fault, FaultServer, dead_port


class ListingServer(FaultServer):
    """Also lists its models."""

    async def _list_models(self, request: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": model} for model in ("m", "n")]})


@pytest.fixture
def listing() -> Iterator[ListingServer]:
    with ListingServer() as running:
        yield running


def of(endpoint: str, model: str = "m", **changes: Any) -> LLMSettings:
    return LLMSettings(model=model, endpoint=endpoint, outage_s=0, api_key_env="UNSET_KEY", **changes)


def level(concurrency: int, rate: float, errors: int = 0) -> Level:
    return Level(
        concurrency=concurrency,
        replies=100 - errors,
        errors=errors,
        error="429" if errors else None,
        requests_per_s=rate,
        tokens_per_s=rate,
        p50_s=1,
        p95_s=1,
    )


def test_the_fewest_in_flight_within_a_twentieth_of_the_best() -> None:
    measured = [level(1, 10), level(2, 20), level(4, 38.5), level(8, 40), level(16, 39)]
    assert recommended(measured) == 4
    assert recommended([*measured, level(32, 80, errors=3)]) == 4
    assert passed_over([*measured, level(32, 80, errors=3)]) == {
        1: "25% of the best",
        2: "50% of the best",
        8: "hardly faster than 4",
        16: "hardly faster than 4",
        32: "3.0% failed",
    }
    assert recommended([level(1, 10, errors=1), level(2, 30, errors=1)]) == 2


def test_a_few_failed_calls_are_tried_again_in_a_run_and_rule_no_level_out() -> None:
    """As a server does that says "busy" once in some hundred calls, and is twice as fast at each level."""
    measured = [level(2**n, 24.0 * 2**n) for n in range(9)]
    busy = [
        one.model_copy(update={"replies": 4000, "errors": 12, "error": "HTTP 503: busy"}) for one in measured
    ]
    assert recommended([*measured[:2], *busy[2:]]) == 256 == recommended(busy)
    assert passed_over(busy)[128] == "50% of the best"
    assert recommended([level(1, 10), level(2, 20).model_copy(update={"replies": 40, "errors": 1})]) == 2


def test_what_a_measurement_takes_is_told_before_and_each_level_as_it_goes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with FaultServer(delay_s=0.02) as server, caplog.at_level(logging.INFO):
        measure(of(server.endpoint), asks(5), most=5, seconds=0.2, api_key=None)
    announced, *levels = [one.message for one in caplog.records if one.name == "tacos.llm.probe"]
    assert announced.startswith(
        "1, 2, 4 in flight for 0.2 s each, 1 s in all or less, if more brings nothing; a call takes"
    )
    assert re.search(r"so at most about \d\d calls$", announced)
    assert [line.split(":")[0] for line in levels] == ["1 in flight", "2 in flight", "4 in flight"]


def test_a_server_with_latency_is_measured() -> None:
    with FaultServer(delay_s=0.02) as server:
        levels = measure(of(server.endpoint), asks(5), most=4, seconds=0.2, api_key=None)
        assert [found.concurrency for found in levels] == [1, 2, 4]
        assert (
            sum(found.replies for found in levels) == server.hits - 1 == len(server.asked) - 1
        )  # no two are equal
    for found in levels:
        assert found.errors == 0 and found.tokens_per_s == pytest.approx(5 * found.requests_per_s)
        assert 0.02 <= found.p50_s <= found.p95_s
        assert found.requests_per_s <= found.concurrency / 0.02


def test_errors_are_counted_and_not_tried_again() -> None:
    with FaultServer(lambda content, times: Fault.BROKEN if content.endswith("(1)") else Fault.OK) as server:
        levels = measure(of(server.endpoint), asks(5), most=1, seconds=0.1, api_key=None)
    assert (levels[0].errors, levels[0].error) == (1, "HTTP 500: <html>oops</html>")


def test_a_server_that_answers_nothing() -> None:
    with pytest.raises(LLMError, match="answered nothing"):
        measure(of(f"http://127.0.0.1:{dead_port()}/v1"), asks(1), most=4, seconds=0.1, api_key=None)


def test_a_look_at_a_server(listing: ListingServer) -> None:
    (there,) = look(of(listing.endpoint), None)
    assert there.ok and there.detail == "lists the model, answered a call"
    (unlisted,) = look(of(listing.endpoint, "mm"), None)
    assert unlisted.ok and "does not list the model" in unlisted.detail
    listing.plan = lambda content, times: Fault.REFUSED
    (refused,) = look(of(listing.endpoint, "mm"), None)
    assert not refused.ok
    assert (
        "has no model 'mm', did you mean 'm'?; answers no call: HTTP 400: content refused" in refused.detail
    )


def test_a_look_at_several_of_which_one_is_dead(server: FaultServer) -> None:
    found = look(of((server.endpoint, f"http://127.0.0.1:{dead_port()}/v1")), None)  # type: ignore[arg-type]
    assert [one.ok for one in found] == [True, False]
    assert "lists no models" in found[0].detail and "cannot be reached" in found[1].detail


def test_the_doctor_looks_at_the_models_of_a_config(listing: ListingServer) -> None:
    there = {"model": "m", "endpoint": listing.endpoint, "api_key_env": "UNSET_KEY"}
    local = {"model": "some/model", "backend": "transformers"}
    keyless = {**there, "api_key_file": "/nonexistent/key"}
    found = {c.name: c for c in llm_checks({"judge": there, "tagger": local, "scorer": keyless})}
    assert [check.ok for check in found.values()] == [True, True, False]
    assert "no key is sent: UNSET_KEY is not set" in found["llms.judge"].detail
    assert "not loaded" in found["llms.tagger"].detail
    with pytest.raises(ConfigError, match=r"llms\.judge\.modle"):
        llm_checks({"judge": {"modle": "m"}})
    with pytest.raises(ConfigError, match=r"llms holds list, not models by name"):
        llm_checks([{"model": "m"}])


def test_the_doctor_says_that_a_cap_on_money_cannot_hold(tmp_path: Path) -> None:
    capped = {"model": "m", "backend": "transformers", "max_cost_usd": 5}
    (seen, cap) = llm_checks({"tagger": capped})
    assert seen.ok and not cap.ok and cap.name == "llms.tagger cap"
    assert "max_cost_usd of 'm' needs price_per_million_input" in cap.detail
    asked = {"model": "m", "endpoint": f"http://127.0.0.1:{dead_port()}/v1", "max_cost_usd": 5}
    prices = tmp_path / "prices.yaml"
    prices.write_text("date: 2026-01-01\nmodels: {m: {input: 1, output: 2}}\n")
    assert [check.name for check in llm_checks({"judge": asked})] == ["llms.judge", "llms.judge cap"]
    assert [check.name for check in llm_checks({"judge": asked}, str(prices))] == ["llms.judge"]
