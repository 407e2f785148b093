"""What calls will cost, and the hard cap on it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from tacos import amounts
from tacos.llm.backend import prompt_tokens
from tacos.llm.base import Completion, Request
from tacos.llm.bill import Bill, InMemory, Tokens, Transactions
from tacos.llm.settings import LLMSettings
from tacos.usage import Usage

log = logging.getLogger(__name__)


def usage_of(completions: Sequence[Completion], settings: LLMSettings) -> Usage:
    """What completions used, now or, where they are `cached`, when they were paid. A failed call is not a
    call that was paid, though a server may have billed tokens for it."""
    fresh = [c for c in completions if not c.cached]
    calls, cached_calls = sum(c.text is not None for c in fresh), len(completions) - len(fresh)
    now, before = _tokens(fresh), _tokens([c for c in completions if c.cached] if cached_calls else ())
    return Usage(
        calls=calls,
        cached_calls=cached_calls,
        failed_calls=len(fresh) - calls,
        prompt_tokens=now[0],
        completion_tokens=now[1],
        cost_usd=settings.price(*now),
        cached_prompt_tokens=before[0],
        cached_completion_tokens=before[1],
        cached_cost_usd=settings.price(*before),
        unpriced_calls=calls if settings.unpriced else 0,
        cached_unpriced_calls=cached_calls if settings.unpriced else 0,
    )


def _tokens(completions: Sequence[Completion]) -> tuple[int, int]:
    """(prompt, completion) tokens of all."""
    return sum(c.prompt_tokens for c in completions), sum(c.completion_tokens for c in completions)


def of_caps(spent: Tokens, settings: LLMSettings) -> str:
    """ "$0.0298 of max_cost_usd=0.03"."""
    caps, most = [], settings.max_cost_usd
    if most is not None:
        caps.append(f"{amounts.money(settings.price(*spent), beside=most)} of max_cost_usd={most:g}")
    if settings.max_tokens_total is not None:
        caps.append(f"{sum(spent):,} of max_tokens_total={settings.max_tokens_total:,} tokens")
    return " and ".join(caps)


class SpendGate:
    """Lets calls out while what was spent, plus what is in flight, plus the next call stays under the caps.

    What was spent and what is in flight stands on a `Bill`, which other processes and later runs of the same name
    share. A call in flight counts with the most that a call used so far. Example: cap 10,000 tokens, 9,000 spent, one
    call in flight reserved at 600; the next one goes out if it reserves at most 400.

    Without a cap it does nothing; with one every reply is on the bill, some 100 bytes each.
    """

    def __init__(self, settings: LLMSettings, kept: Transactions | None = None, name: str = ""):
        self.settings = settings
        self.capped = settings.max_cost_usd is not None or settings.max_tokens_total is not None
        self._bill = Bill(kept or InMemory(), name) if self.capped else None
        if self._bill and self._bill.lost:
            log.warning("%s: %s", settings.model, self._lost(self._bill.lost))

    def admit(self, request: Request) -> int | None:
        """Reserve room for one call: its ticket; None when there is not enough."""
        if self._bill is None:
            return 0
        limit = self.settings.longest_reply(request.sampling.max_tokens)
        return self._bill.reserve(prompt_tokens(request), limit, self._fits)

    def settle(self, ticket: int, key: bytes, request: Request, completion: Completion) -> None:
        """Turn a reservation into what the call used."""
        if self._bill:
            used = Tokens(completion.prompt_tokens, completion.completion_tokens)
            self._bill.settle(ticket, key, prompt_tokens(request), used, completion.text is not None)

    def count(self, replies: Mapping[bytes, Completion]) -> None:
        """Put replies from the cache on the bill, each once: they were paid for this work before."""
        if self._bill:
            known = [(key, Tokens(c.prompt_tokens, c.completion_tokens)) for key, c in replies.items()]
            self._bill.add_known(known)

    @property
    def waits(self) -> bool:
        """Whether another process has calls in flight, which may leave room."""
        return self._bill is not None and self._bill.others_in_flight()

    def release(self, tickets: Sequence[int]) -> None:
        """Books what a stream that was broken off has in flight: servers may charge for it."""
        if self._bill:
            self._bill.give_up(tickets)

    @property
    def spent(self) -> Tokens:
        return self._bill.spent if self._bill else Tokens(0, 0)

    @property
    def cost_usd(self) -> float:
        return self.settings.price(*self.spent)

    @property
    def tokens(self) -> int:
        return sum(self.spent)

    def _lost(self, calls: Sequence[Tokens]) -> str:
        """What is said of calls that were in flight when a run was stopped."""
        used = Tokens(sum(call.sent for call in calls), sum(call.got for call in calls))
        price = "" if self.settings.unpriced else f" ({amounts.money(self.settings.price(*used))})"
        were = "was in flight and counts" if len(calls) == 1 else "were in flight and count"
        return (
            f"{amounts.plural(len(calls), 'call')} of a run that was stopped {were} as paid, with "
            f"{sum(used):,} tokens{price}; spent so far, these included: {self.describe()}"
        )

    def describe(self) -> str:
        """Spent and cap, for a message."""
        return of_caps(self.spent, self.settings)

    def _fits(self, total: Tokens) -> bool:
        money, tokens = self.settings.max_cost_usd, self.settings.max_tokens_total
        if money is not None and self.settings.price(*total) > money + 1e-12:  # prices are not exact
            return False
        return tokens is None or sum(total) <= tokens
