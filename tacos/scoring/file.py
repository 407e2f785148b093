"""Scores that the user gives, by sample id (`tacos.given`): released ones, another tool's, or those of an earlier run.

Every scorer's stage leaves such a file, `scores.parquet`. A row that the file leaves out has no score.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tacos.given import named, read_given_scores
from tacos.part import Scorer, Setup, scorer
from tacos.selection import Scores
from tacos.stage import Job
from tacos.types import Pool


@scorer("file", summary="scores from a file of ids", needs="a file: id, value")
class FileScores(Scorer):
    """JSONL or Parquet with `id`, `value` (or null) and, if there is one, `error`."""

    path: str

    def identity(self, setup: Setup) -> dict[str, Any]:
        return named(self.path, "score.path")

    def score(self, pool: Pool, job: Job) -> Scores:
        """Raises: PoolError when the file does not fit the pool."""
        return read_given_scores(Path(self.path), pool)
