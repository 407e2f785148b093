"""What calls will cost, and the hard cap on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tacos.llm.backend import prompt_tokens
from tacos.llm.base import Completion, Request
from tacos.llm.settings import LLMSettings
from tacos.usage import Usage


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


class SpendGate:
    """Lets calls out while what was spent, plus what is in flight, plus the next call stays under the caps.

    A call in flight counts with its longest possible reply, so the caps can be overshot only by the
    error of the prompt estimates of the calls in flight. Example: cap 10,000 tokens, 9,000 spent, one
    call in flight reserved at 600; the next one goes out if it reserves at most 400.

    Without a cap it only counts; with one it remembers every reply on the bill, some 100 bytes each.
    """

    def __init__(self, settings: LLMSettings):
        self.settings = settings
        self.capped = settings.max_cost_usd is not None or settings.max_tokens_total is not None
        self._spent = [0, 0]
        """Prompt and completion tokens: whole numbers, so that no sum drifts; money is computed from them."""
        self._reserved = [0, 0]
        self._counted: set[bytes] = set()

    def admit(self, request: Request) -> bool:
        """Reserve room for one call; False when there is not enough."""
        if not self.capped:
            return True
        sent, got = prompt_tokens(request), self.settings.longest_reply(request.sampling.max_tokens)
        if not self._fits(sent, got):
            return False
        self._reserved[0] += sent
        self._reserved[1] += got
        return True

    def settle(self, key: bytes, request: Request, completion: Completion) -> None:
        """Turn a reservation into what the call used."""
        self._spend(completion)
        if self.capped:
            self._reserved[0] -= prompt_tokens(request)
            self._reserved[1] -= self.settings.longest_reply(request.sampling.max_tokens)
            self._counted.add(key)

    def count(self, replies: Mapping[bytes, Completion]) -> None:
        """Put replies from the cache on the bill, each once: they were paid for this work before."""
        if self.capped:
            for key in replies.keys() - self._counted:
                self._spend(replies[key])
            self._counted |= replies.keys()

    def release(self) -> None:
        """Forget what is in flight, after a stream that was broken off."""
        self._reserved = [0, 0]

    @property
    def cost_usd(self) -> float:
        return self.settings.price(*self._spent)

    @property
    def tokens(self) -> int:
        return sum(self._spent)

    def describe(self) -> str:
        """Spent and cap, for an error message."""
        caps = []
        if self.settings.max_cost_usd is not None:
            caps.append(f"${self.cost_usd:.4f} of max_cost_usd={self.settings.max_cost_usd:g}")
        if self.settings.max_tokens_total is not None:
            caps.append(f"{self.tokens:,} of max_tokens_total={self.settings.max_tokens_total:,} tokens")
        return " and ".join(caps)

    def _spend(self, completion: Completion) -> None:
        self._spent[0] += completion.prompt_tokens
        self._spent[1] += completion.completion_tokens

    def _fits(self, sent: int, got: int) -> bool:
        sent += self._spent[0] + self._reserved[0]
        got += self._spent[1] + self._reserved[1]
        money, tokens = self.settings.max_cost_usd, self.settings.max_tokens_total
        if money is not None and self.settings.price(sent, got) > money + 1e-12:  # prices are not exact
            return False
        return tokens is None or sent + got <= tokens
