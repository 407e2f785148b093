"""Groups by where samples come from: the file or data set that a row names as its source.

A pool of two data sets, 40,000 rows of "flan" and 12,000 of "dolly", has two groups; rows that name no source stand in
a group of their own, "(no source)".
"""

from __future__ import annotations

import numpy as np

from tacos.errors import PoolError
from tacos.part import Grouper, grouper
from tacos.selection import Groups
from tacos.stage import Job
from tacos.types import Pool

UNNAMED = "(no source)"


@grouper("source", summary="one group for each source that rows name", needs="a pool with sources")
class SourceGroups(Grouper):
    """Nothing to set."""

    def group(self, pool: Pool, job: Job) -> Groups:
        """Groups in alphabetical order. Raises: PoolError where no row names a source."""
        sources = np.array(
            [name or UNNAMED for name in pool.table.column("source").to_pylist()], dtype=object
        )
        labels = sorted(set(sources.tolist()))
        if labels == [UNNAMED]:
            raise PoolError("group.by=source: no row of the pool names a source; use another grouping")
        return Groups(tuple(labels), tuple(np.flatnonzero(sources == label) for label in labels))
