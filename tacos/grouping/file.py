"""Groups that the user gives, by sample id (`tacos.given`): topics of another tool, languages, earlier clusters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tacos.given import named, read_given_groups
from tacos.part import Grouper, Setup, grouper
from tacos.selection import Groups
from tacos.stage import Job
from tacos.types import Pool


@grouper("file", summary="groups from a file of ids", needs="a file: id, group")
class FileGroups(Grouper):
    """JSONL or Parquet with `id` and `group`; a row may stand in several lines, or in none."""

    path: str

    def identity(self, setup: Setup) -> dict[str, Any]:
        return named(self.path, "group.path")

    def group(self, pool: Pool, job: Job) -> Groups:
        """Raises: PoolError when the file does not fit the pool."""
        return read_given_groups(Path(self.path), pool)
