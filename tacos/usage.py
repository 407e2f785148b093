"""What a run costs: the ledger of calls, tokens, money and passes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tacos.types import Record


class Usage(Record):
    """What some work used. `calls` were sent and paid now; `cached_calls` were answered from the cache."""

    calls: int = 0
    cached_calls: int = 0
    repeated_calls: int = 0
    """Rows that asked what another row of the same work had asked; they are on nobody's bill."""
    failed_calls: int = 0
    """Calls without an answer after every try."""
    prompt_tokens: int = 0
    """Of `calls`; so are the next two."""
    completion_tokens: int = 0
    cost_usd: float = 0.0
    """US dollars."""
    cached_prompt_tokens: int = 0
    cached_completion_tokens: int = 0
    cached_cost_usd: float = 0.0
    """What the cached answers cost when they were paid."""
    unpriced_calls: int = 0
    """Of `calls`, those to a model whose price is not known; `cost_usd` does not hold them."""
    cached_unpriced_calls: int = 0
    """The same of `cached_calls`."""
    forward_tokens: int = 0
    """Read by models of this machine: local language models, embedders, those in training; without padding."""
    backward_tokens: int = 0
    """Of `forward_tokens`, those that gradients were taken of."""
    flops: float = 0.0
    """Floating-point operations of these passes (`tacos.models.flops`)."""
    seconds: float = 0.0
    """By the clock on the wall."""

    @property
    def asked(self) -> int:
        """Calls however they ended: paid now, before, or failed."""
        return self.calls + self.cached_calls + self.failed_calls

    def as_first_paid(self) -> Usage:
        """The same work with nothing cached: what it would have cost had it come first."""
        return Usage(
            calls=self.calls + self.cached_calls,
            repeated_calls=self.repeated_calls,
            failed_calls=self.failed_calls,
            prompt_tokens=self.prompt_tokens + self.cached_prompt_tokens,
            completion_tokens=self.completion_tokens + self.cached_completion_tokens,
            cost_usd=self.cost_usd + self.cached_cost_usd,
            unpriced_calls=self.unpriced_calls + self.cached_unpriced_calls,
            forward_tokens=self.forward_tokens,
            backward_tokens=self.backward_tokens,
            flops=self.flops,
            seconds=self.seconds,
        )

    def __add__(self, other: Usage) -> Usage:
        return Usage(**{name: getattr(self, name) + getattr(other, name) for name in Usage.model_fields})

    def __sub__(self, other: Usage) -> Usage:
        return Usage(**{name: getattr(self, name) - getattr(other, name) for name in Usage.model_fields})


class Ledger:
    """Adds up usage, from any thread. Tokens and money count answers that were paid in this run."""

    def __init__(self) -> None:
        self._total = Usage()
        self._lock = threading.Lock()

    def add(self, usage: Usage) -> None:
        """Book some usage."""
        with self._lock:
            self._total = self._total + usage

    @property
    def total(self) -> Usage:
        """All that was booked so far."""
        with self._lock:
            return self._total

    @contextmanager
    def measure(self) -> Iterator[list[Usage]]:
        """Yields a list that holds, on leaving, the usage of the block with its wall-clock seconds."""
        spent: list[Usage] = []
        before, started = self.total, time.perf_counter()
        yield spent
        spent.append(self.total - before + Usage(seconds=time.perf_counter() - started))
