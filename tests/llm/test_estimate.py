"""Estimates before paying: near the truth of a real tokenizer, nearer once some replies are there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tacos.data.builtin.build import BuiltinSettings, build
from tacos.data.read import read_pool
from tacos.grouping.tagging import LLMTagger, TaggingSettings, tag_request
from tacos.llm.base import Completion, Sampling
from tacos.llm.build import build_llm
from tacos.llm.cache import ReplyCache
from tacos.llm.estimate import ENOUGH, Asked, batch_cost, expected_usage
from tacos.llm.request_key import prompt_of, request_key
from tacos.llm.settings import LLMSettings
from tacos.models.embedder import packaged_minilm
from tacos.types import Pool
from tacos.usage import Ledger, Usage

from .helpers import ask
from .server import FaultServer

SETTINGS = LLMSettings(model="m", price_per_million_input=1.0, price_per_million_output=10.0)
TAGGING = TaggingSettings(llm="tagger")


def test_by_hand() -> None:
    # 44 bytes are 10 tokens, plus 4 for the role; twice, in two lists.
    requests = [
        ask("x" * 44, sampling=Sampling(max_tokens=100)),
        ask("y" * 44, sampling=Sampling(max_tokens=20)),
    ]
    usage = expected_usage(Asked(SETTINGS, requests, 50, times=2), None)
    assert usage == Usage(calls=4, prompt_tokens=56, completion_tokens=140, cost_usd=(56 + 1400) / 1e6)
    assert batch_cost(usage, SETTINGS) is None
    assert batch_cost(usage, SETTINGS.model_copy(update={"batch_discount": 0.5})) == usage.cost_usd / 2


def test_a_model_without_a_price_counts_tokens_and_says_so() -> None:
    usage = expected_usage(Asked(LLMSettings(model="m"), [ask("x")], 10), None)
    assert (usage.unpriced_calls, usage.cost_usd) == (1, 0.0) and usage.completion_tokens == 10


def test_replies_in_the_cache_are_paid_and_tell_of_the_rest(tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path / "c.sqlite")
    requests = [ask(f"{i:044}") for i in range(ENOUGH + 5)]
    for request in requests[: ENOUGH - 1]:
        cache.put(request_key("m", request), Completion(text="a", prompt_tokens=28, completion_tokens=7))
    few = expected_usage(Asked(SETTINGS, requests, 50), cache)
    assert (few.calls, few.cached_calls, few.prompt_tokens, few.completion_tokens) == (6, ENOUGH - 1, 84, 300)
    cache.put(request_key("m", requests[-1]), Completion(text="a", prompt_tokens=28, completion_tokens=7))
    enough = expected_usage(Asked(SETTINGS, requests, 50), cache)
    assert (enough.calls, enough.prompt_tokens, enough.completion_tokens) == (5, 5 * 28, 5 * 7)


class CountingServer(FaultServer):
    """Reports usage as a real server does: by a tokenizer, here WordPiece, of the whole prompt and reply."""

    def __init__(self) -> None:
        super().__init__(answer=reply_like_a_tagger)
        from tokenizers import Tokenizer

        folder = packaged_minilm()
        assert folder is not None
        self.tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()

    def tokens(self, text: str) -> int:
        return len(self.tokenizer.encode(text, add_special_tokens=False).ids)

    async def _act(self, fault: Any, content: str, request: web.Request) -> web.StreamResponse:
        text = self.answer(content)
        usage = {"prompt_tokens": self.tokens(content) + 4, "completion_tokens": self.tokens(text)}
        message = {"role": "assistant", "content": text}
        return web.json_response({"choices": [{"message": message}], "usage": usage})


def reply_like_a_tagger(content: str) -> str:
    """Two to five tags, by the length of the request."""
    asked = content.rsplit("<prompt>", 1)[1]
    why = "The request asks for this, as its wording shows."
    return json.dumps([{"tag": f"tag {i}", "explanation": why} for i in range(2 + len(asked) % 4)])


@pytest.fixture
def server() -> Iterator[CountingServer]:
    if packaged_minilm() is None:
        pytest.skip("the packaged tokenizer is not installed")
    with CountingServer() as running:
        yield running


def builtin(request: pytest.FixtureRequest) -> Pool:
    return build(BuiltinSettings(size=300)).pool


def alpaca(request: pytest.FixtureRequest) -> Pool:
    whole = read_pool(str(request.getfixturevalue("shared") / "data" / "alpaca_52k.jsonl")).pool
    return whole.take(range(0, len(whole), len(whole) // 300))


@pytest.mark.parametrize("rows", [builtin, alpaca])
def test_prompts_and_money_are_within_a_tenth_of_what_a_real_tokenizer_counts(
    rows: Any, request: pytest.FixtureRequest, server: CountingServer, tmp_path: Path
) -> None:
    settings = SETTINGS.model_copy(update={"endpoint": server.endpoint, "api_key_env": "UNSET_KEY"})
    pool, path, ledger = rows(request), tmp_path / "c.sqlite", Ledger()
    llm = build_llm(settings, ledger, path)

    def expected() -> Usage:
        return expected_usage(Asked(settings, (tag_request(s, TAGGING) for s in pool), 150), ReplyCache(path))

    first = expected()
    LLMTagger(TAGGING, llm).tag(pool.take(range(40)))  # a pilot, such as a run under a cap
    pilot, later = ledger.total, expected()
    LLMTagger(TAGGING, llm).tag(pool)
    rest = ledger.total - pilot
    assert first.prompt_tokens == pytest.approx(ledger.total.prompt_tokens, rel=0.1)
    assert (later.calls, later.cached_calls) == (rest.calls, pilot.calls)
    assert later.prompt_tokens == pytest.approx(rest.prompt_tokens, rel=0.05)
    assert later.completion_tokens == pytest.approx(rest.completion_tokens, rel=0.1)
    assert later.cost_usd == pytest.approx(rest.cost_usd, rel=0.1)


def test_replies_to_the_same_prompt_in_another_stage_tell_how_long_replies_are(tmp_path: Path) -> None:
    """Tags of one pool, 7 tokens each, say how long those of another will be; other prompts and models do not."""
    cache = ReplyCache(tmp_path / "c.sqlite")
    for i in range(ENOUGH):
        earlier = ask(f"an earlier question {i}", prompt="tag")
        cache.put(
            request_key("m", earlier), Completion(text="a", completion_tokens=7), prompt_of("m", earlier)
        )
    for prompt, model, tokens in (("tag", "m", 7), ("compare", "m", 50), ("", "m", 50), ("tag", "n", 50)):
        requests = [ask(f"question {i}", prompt=prompt) for i in range(10)]
        found = expected_usage(Asked(LLMSettings(model=model), requests, reply_tokens=50), cache)
        assert (found.calls, found.completion_tokens) == (10, 10 * tokens)
