"""What a stage's calls will use, before they are paid: for `tacos plan` and for batch files.

Prompts are known to the byte, so their tokens are bytes / 4.4: over 2,000 prompts each that tag and compare rows of
Alpaca-52k and Dolly this was 0.1 to 3.0% off the count of a 131k-entry BPE (Mistral's Tekken) and 0.1 to 3.3% off
WordPiece's. Replies are not known: until there are any, a stage's own guess stands for them. As soon as the cache holds
`ENOUGH` replies to this stage, prompts and replies are scaled by what those really used. Where it holds none of this
stage, but as many of another with the same model and prompt, replies are taken to be as long as those:

    52,002 rows to tag, 300 of them paid for before: 41,700 prompt tokens where bytes / 4.4 says 40,000, and
    62 tokens a reply   ->   51,702 calls of 1.0425 x bytes / 4.4 and 62 tokens

With a pilot of 250 replies, 2,000 rows of Alpaca on a mock were 0.4% off in money for tags and 3.9% for pairs
(`scripts/bench/estimate.py`). An unreadable reply is asked for again; that is not foreseen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from tacos.llm.base import Completion, Request
from tacos.llm.bill import BillReader, Tokens
from tacos.llm.cache import ReplyCache
from tacos.llm.request_key import prompt_of, request_key
from tacos.llm.settings import LLMSettings
from tacos.models.expected import BYTES_PER_TOKEN
from tacos.usage import Usage

ROLE_TOKENS = 4
"""What a chat template puts around a message."""
ENOUGH = 20
"""Replies that say more about the rest than the guess does."""
BLOCK = 1000
"""Requests per look into the cache."""


@dataclass(frozen=True)
class Asked:
    """What a stage will ask. requests: gone through once. reply_tokens: guessed, per reply.

    times: how many such lists there will be, where the real one is not known yet. llm: its name under `llms`, which a
    bill goes by; "" for none.
    """

    settings: LLMSettings
    requests: Iterable[Request]
    reply_tokens: int
    times: int = 1
    llm: str = ""


class Unbilled:
    """Tokens of replies in the cache that a run will put on a bill, since it asked for none of them before."""

    def __init__(self, bill: BillReader):
        self.bill = bill
        self.tokens = Tokens(0, 0)

    def look(self, known: Mapping[bytes, Completion]) -> None:
        billed = self.bill.holds(list(known))
        for key, reply in known.items():
            if key not in billed:
                self.tokens = self.tokens.plus(reply.prompt_tokens, reply.completion_tokens)


def expected_usage(asked: Asked, cache: ReplyCache | None, unbilled: Unbilled | None = None) -> Usage:
    """Calls that are still to be paid with their tokens and money; those in the cache as `cached_calls`.

    unbilled: is shown every reply that the cache has.
    """
    settings = asked.settings
    owed, paid, model = _Side(), _Side(), settings.identity()["model"]
    sent = got = 0.0
    for request, known in _looked_up(asked.requests, settings, cache, unbilled):
        side = owed if known is None else paid
        owed.prompt_name = prompt_of(model, request)
        side.add(request, asked.reply_tokens)
        if known is not None:
            sent += known.prompt_tokens
            got += known.completion_tokens
    known_well = paid.calls >= ENOUGH
    prompt = owed.prompt * (sent / paid.prompt if known_well else 1.0) * asked.times
    reply = owed.reply * (got / paid.reply if known_well else 1.0) * asked.times
    usual = None if known_well or cache is None else cache.usual_reply(owed.prompt_name, ENOUGH)
    reply = reply if usual is None else owed.calls * usual * asked.times
    calls = owed.calls * asked.times
    return Usage(
        calls=calls,
        cached_calls=paid.calls,
        prompt_tokens=round(prompt),
        completion_tokens=round(reply),
        cost_usd=settings.price(round(prompt), round(reply)),
        cached_prompt_tokens=round(sent),
        cached_completion_tokens=round(got),
        cached_cost_usd=settings.price(round(sent), round(got)),
        unpriced_calls=calls if settings.unpriced else 0,
    )


def batch_cost(usage: Usage, settings: LLMSettings) -> float | None:
    """USD of the same calls as batch files; None where a price or the discount is not known."""
    if settings.unpriced or settings.batch_discount is None:
        return None
    return usage.cost_usd * (1 - settings.batch_discount)


class _Side:
    """Estimated tokens of some requests."""

    def __init__(self) -> None:
        self.calls = 0
        self.prompt = 0.0
        self.reply = 0.0
        self.prompt_name = ""
        """Of the last one; a stage asks with one prompt."""

    def add(self, request: Request, reply_tokens: int) -> None:
        self.calls += 1
        self.prompt += expected_prompt_tokens(request)
        self.reply += min(reply_tokens, request.sampling.max_tokens)


def expected_prompt_tokens(request: Request) -> float:
    """Likely tokens of the whole prompt; `backend.prompt_tokens`, for caps, errs on the high side."""
    return sum(
        len(m.content.encode("utf-8", "replace")) / BYTES_PER_TOKEN + ROLE_TOKENS for m in request.messages
    )


class _Found(NamedTuple):
    request: Request
    known: Completion | None


def _looked_up(
    requests: Iterable[Request], settings: LLMSettings, cache: ReplyCache | None, unbilled: Unbilled | None
) -> Iterator[_Found]:
    """Each distinct request of a block, with its reply where the cache has one."""
    if cache is None:
        yield from (_Found(request, None) for request in requests)
        return
    model = settings.identity()["model"]
    source = iter(requests)
    while block := list(islice(source, BLOCK)):
        keyed = {
            request_key(model, request, settings.structured, settings.altered): request for request in block
        }
        known = cache.get(keyed)
        if unbilled:
            unbilled.look(known)
        for key, request in keyed.items():
            yield _Found(request, known.get(key))
