"""Comparing and reading out in one go."""

from __future__ import annotations

from tacos.llm.base import Request
from tacos.scoring.comparative import Comparative
from tacos.scoring.comparators import Comparator
from tacos.selection import Groups, Scores
from tacos.types import Pool, Sample


def comparative_scores(
    pool: Pool, groups: Groups, comparator: Comparator, settings: Comparative, seed: int
) -> Scores:
    return settings.compared(pool, groups, comparator, seed)[2].scores


def compare_request(*samples: Sample, settings: Comparative) -> Request:
    """The call that shows these samples."""
    return settings.call_prompt.request(Pool.from_samples(samples), range(len(samples)))
