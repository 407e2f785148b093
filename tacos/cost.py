"""What a part costs per sample of the pool, in the same words for all: `tacos parts` and `tacos methods` print it.

    Cost(passes=2)                                        2 forward passes per sample
    Cost(calls=0.5, note="with llm, for each group")      0.5 calls per sample (with llm, for each group)
    Cost(embeddings=1) + Cost(calls=1)                    1 call, 1 embedding per sample

How long a forward pass takes on this machine, and what a call is billed, `tacos plan` knows.
"""

from __future__ import annotations

from tacos.types import Record


class Cost(Record):
    """All that a part makes anew; a cost of 0 is nothing but this machine's arithmetic."""

    calls: float = 0.0
    """Of a language model."""
    passes: float = 0.0
    """Of a local language model, forward."""
    gradients: float = 0.0
    """Of a local language model, forward and backward."""
    embeddings: float = 0.0
    """Texts of a sample that are embedded. Parts that look at the same text share it."""
    trainings: float = 0.0
    """Of a model, for the whole pool."""
    note: str = ""
    """When, and of what."""

    @classmethod
    def of(cls, said: Cost | str) -> Cost:
        """said: a cost, or words of one's own; "none" is nothing."""
        if isinstance(said, Cost):
            return said
        return cls(note="" if said in ("", "none", "nothing") else said)

    def __add__(self, other: Cost) -> Cost:
        """Of two parts together, that share what is embedded."""
        return Cost(
            calls=self.calls + other.calls,
            passes=self.passes + other.passes,
            gradients=self.gradients + other.gradients,
            embeddings=max(self.embeddings, other.embeddings),
            trainings=self.trainings + other.trainings,
            note="; ".join(note for note in (self.note, other.note) if note),
        )

    def describe(self) -> str:
        """In a line."""
        each = [
            _times(self.calls, "call"),
            _times(self.passes, "forward pass", "forward passes"),
            _times(self.gradients, "gradient"),
            _times(self.embeddings, "embedding"),
        ]
        found = ", ".join(said for said in each if said)
        known = [f"{found} per sample"] if found else []
        known += [_times(self.trainings, "training")] if self.trainings else []
        text = ", ".join(known)
        if not text:
            return self.note or "nothing"
        return f"{text} ({self.note})" if self.note else text


FREE = Cost()


def _times(number: float, one: str, many: str = "") -> str:
    if not number:
        return ""
    return f"{number:g} {one if number == 1 else many or f'{one}s'}"
