"""What calls will cost, and the hard cap on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tacos.llm.backend import prompt_tokens
from tacos.llm.base import Completion, LLMSettings, Request
from tacos.tracking import Usage


def estimate_usage(
    requests: Sequence[Request], settings: LLMSettings, completion_tokens: int | None = None
) -> Usage:
    """What `requests` would use if none were cached: tokens by characters / 4.

    completion_tokens: expected per reply; None expects every reply to run to its `max_tokens`.
    """
    prompt = sum(prompt_tokens(request) for request in requests)
    limits = (request.sampling.max_tokens for request in requests)
    reply = sum(limit if completion_tokens is None else min(limit, completion_tokens) for limit in limits)
    return Usage(
        calls=len(requests),
        prompt_tokens=prompt,
        completion_tokens=reply,
        cost_usd=settings.price(prompt, reply),
    )


class SpendGate:
    """Lets calls out while what was spent, plus what is in flight, plus the next call stays under the caps.

    A call in flight counts with its longest possible reply, so the caps can be overshot only by the
    error of the prompt estimate. Example: cap 10,000 tokens, 9,000 spent, one call in flight reserved
    at 600; the next one goes out if it reserves at most 400.
    """

    def __init__(self, settings: LLMSettings):
        self.settings = settings
        self.spent = Usage()
        self._counted: set[bytes] = set()
        self._reserved = Usage()

    def admit(self, request: Request) -> bool:
        """Reserve room for one call; False when there is not enough."""
        call = estimate_usage([request], self.settings)
        if not self._fits(self.spent + self._reserved + call):
            return False
        self._reserved = self._reserved + call
        return True

    def settle(self, key: bytes, request: Request, completion: Completion) -> Usage:
        """Turn a reservation into what the call used, which is returned."""
        self._reserved = self._reserved - estimate_usage([request], self.settings)
        used = self.settings.used(completion)
        self.spent = self.spent + used
        self._counted.add(key)
        return used

    def count(self, replies: Mapping[bytes, Completion]) -> None:
        """Put replies from the cache on the bill, each once: they were paid for this work before."""
        for key in replies.keys() - self._counted:
            self.spent = self.spent + self.settings.used(replies[key]).as_first_paid()
        self._counted |= replies.keys()

    def release(self) -> None:
        """Forget what is in flight, after a stream that was broken off."""
        self._reserved = Usage()

    def describe(self) -> str:
        """Spent and cap, for an error message."""
        caps = []
        if self.settings.max_cost_usd is not None:
            caps.append(f"${self.spent.cost_usd:.4f} of max_cost_usd={self.settings.max_cost_usd:g}")
        if self.settings.max_tokens_total is not None:
            tokens = self.spent.prompt_tokens + self.spent.completion_tokens
            caps.append(f"{tokens:,} of max_tokens_total={self.settings.max_tokens_total:,} tokens")
        return " and ".join(caps)

    def _fits(self, usage: Usage) -> bool:
        money, tokens = self.settings.max_cost_usd, self.settings.max_tokens_total
        if money is not None and usage.cost_usd > money + 1e-12:  # sums of reservations are not exact
            return False
        return tokens is None or usage.prompt_tokens + usage.completion_tokens <= tokens
