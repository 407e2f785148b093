"""Comparing and reading out in one go."""

from __future__ import annotations

from tacos.scoring.comparative import Comparative, Comparator, read_out
from tacos.selection import Groups, Scores
from tacos.types import Pool


def comparative_scores(
    pool: Pool, groups: Groups, comparator: Comparator, settings: Comparative, seed: int
) -> Scores:
    pairs = settings.pairs(groups, seed)
    return read_out(len(pool), groups, pairs, comparator.compare(pool, pairs))
