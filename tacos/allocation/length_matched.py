"""A uniform draw with the lengths of another selection: the control for every claim that length may explain.

    wanted    the lengths of `like`; for another budget its quantiles at (i + 1/2) / budget
    take      for each wanted length a row of that length, drawn by the seed; where none is left, the nearest length

Worked example, wanted 3, 3 and 9, a pool of lengths 3, 5, 8, 20: the row of 3, the row of 5 in place of the second 3,
and the row of 8. `moved` in the done record is the mean distance, here (0 + 2 + 1) / 3 = 1.

Lengths are those of responses, in words and marks or in tokens. In an experiment `like` may name another of its arms
(allocate: {like: tacos}): each seed is matched with what that arm trains on with the same seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tacos.allocation.base import candidates, picked
from tacos.data.read import read_pool
from tacos.errors import ConfigError
from tacos.given import named
from tacos.models.lengths import response_lengths
from tacos.part import Allocator, Setup, allocator
from tacos.selection import Groups, Pick, Scores
from tacos.stage import Job, Stage
from tacos.store import tables
from tacos.store.fingerprint import named_by_content
from tacos.types import Pool


@allocator(
    "length_matched",
    summary="a uniform draw with the lengths of another selection",
    needs="an arm or a file of samples",
)
class LengthMatched(Allocator):
    """Whose lengths, and what they are measured in."""

    reads_scores = False
    seeded = True

    like: str | None = None
    """Another arm of the experiment, or a file of samples in any form that a pool may have."""
    tokenizer: str | None = None
    """Count tokens of this tokenizer (hub id or folder); null counts words and punctuation marks."""

    def inputs(self, setup: Setup) -> dict[str, Stage]:
        """The selection of the arm that `like` names. Raises: ConfigError when it names nothing."""
        if self.like is None:
            raise ConfigError(
                "allocate.by=length_matched draws rows with the lengths of another selection: name an arm of the "
                "experiment in allocate.like, or a file, such as the --out of `tacos select`"
            )
        arm = setup.arm(self.like) if setup.arm else None
        return {"like": arm} if arm else {}

    def identity(self, setup: Setup) -> dict[str, Any]:
        """Raises: ConfigError when `like` names neither an arm nor a file."""
        unit = named_by_content(self.tokenizer) if self.tokenizer else "words"
        if self.inputs(setup):
            return {"unit": unit}
        return {"like": named(self.like or "", "allocate.like"), "unit": unit}

    def allocate(self, groups: Groups, scores: Scores, budget: int, job: Job) -> list[Pick]:
        """Raises: BudgetError when there are fewer rows."""
        rows = candidates(groups, scores, budget)
        lengths = self._lengths(job.pool().take(rows).responses)
        wanted = self._lengths(self._like(job).responses)
        rng = np.random.default_rng(job.seed)
        taken = matched(lengths, quantiles(wanted, budget), rng)
        job.metrics["moved"] = moved(lengths[taken], quantiles(wanted, budget))
        return picked(rows[rng.permutation(taken)], groups, scores, "draw of a wanted length")

    def _like(self, job: Job) -> Pool:
        if "like" in job.inputs:
            return Pool.from_samples(tables.read_selection(job.inputs["like"]))
        return read_pool(str(Path(self.like or ""))).pool

    def _lengths(self, responses: Sequence[str]) -> np.ndarray:
        return response_lengths(responses, self.tokenizer, "allocate.tokenizer")


def quantiles(lengths: np.ndarray, count: int) -> np.ndarray:
    """`count` of the lengths, ascending, spread over all of them; the lengths themselves where there are as many."""
    places = (np.arange(count) + 0.5) / count * len(lengths)
    return np.asarray(np.sort(lengths)[places.astype(np.int64)])


def moved(found: np.ndarray, wanted: np.ndarray) -> float:
    """The mean distance between lengths and what was wanted, both in order."""
    return float(np.abs(np.sort(found) - wanted).mean()) if len(found) else 0.0


def matched(lengths: np.ndarray, wanted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows for the wanted lengths, each once. lengths: (n,); wanted: ascending, at most n."""
    order = rng.permutation(len(lengths))
    order = order[np.argsort(lengths[order], kind="stable")]
    found, counts = np.unique(wanted, return_counts=True)
    starts = np.searchsorted(lengths[order], found)
    ends = np.minimum(np.searchsorted(lengths[order], found, side="right"), starts + counts)
    exact = [order[start:end] for start, end in zip(starts, ends, strict=True)]
    missing = np.repeat(found, counts - (ends - starts))
    left = order[~np.isin(order, np.concatenate([*exact, []]))]
    nearest = []
    for length in missing:
        place = int(np.abs(lengths[left] - length).argmin())
        nearest.append(left[place])
        left = np.delete(left, place)
    return np.concatenate([*exact, nearest]).astype(np.int64)
