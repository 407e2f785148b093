"""What stands behind one arm, read once: its selection, scores, groups, tags and comparisons, aligned with the pool."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tacos.scoring.calls import COMPARISONS
from tacos.selection import Groups, Scores, Tags
from tacos.store import tables
from tacos.store.files import read_jsonl
from tacos.types import Pool
from tacos.viewing.run_folder import RunArm


class ArmTables:
    """Each table is read when it is first asked for, and kept."""

    def __init__(self, arm: RunArm, pool: Pool):
        self.arm, self.pool, self.select = arm, pool, arm.select

    @cached_property
    def rows(self) -> dict[str, dict[str, Any]]:
        """Id -> its row of selection.jsonl, best first."""
        return {row["id"]: row for row in read_jsonl(self.select.path / tables.SELECTION)}

    @cached_property
    def rewritten(self) -> Mapping[str, list[dict[str, Any]]]:
        """Id -> messages as they were trained on; {} of an arm that was not refined."""
        if not self.arm.last.refines:
            return {}
        return {row["id"]: row["messages"] for row in read_jsonl(self.arm.last.path / tables.SELECTION)}

    @cached_property
    def ranks(self) -> np.ndarray:
        """(n_samples,) int64: the rank in the selection from 1, 0 where the sample was not selected.

        A selected row that the pool does not hold, such as one of a given set, has no place here.
        """
        ranks = np.zeros(len(self.pool), dtype=np.int64)
        for id_, row in self.rows.items():
            if id_ in self.pool.position:
                ranks[self.pool.position[id_]] = row["selection"]["rank"]
        return ranks

    @property
    def scored(self) -> bool:
        return "scores" in self.select.inputs

    @cached_property
    def scores(self) -> Scores:
        """All missing where the arm has none."""
        if self.scored:
            return tables.read_scores(self.select.inputs["scores"].path)
        return Scores.none(len(self.pool))

    @cached_property
    def sorted_scores(self) -> np.ndarray:
        """Those that are known, ascending."""
        return np.sort(self.scores.values[~np.isnan(self.scores.values)])

    @cached_property
    def groups(self) -> Groups | None:
        """None where the arm has none."""
        found = self.select.inputs.get("groups")
        return tables.read_groups(found.path) if found else None

    @cached_property
    def tags(self) -> Tags | None:
        """As they were found, before normalization."""
        found = self.select.find("tag")
        return tables.read_tags(found.path) if found else None

    @cached_property
    def normalized(self) -> Tags | None:
        """What normalization left of them."""
        found = self.select.find("normalize")
        return tables.read_tags(found.path) if found else None

    @cached_property
    def comparisons(self) -> pa.Table | None:
        """Every comparing call with its answer; None of an arm that compared nothing, or kept no calls."""
        found = self.select.find("compare")
        path = found.path / COMPARISONS if found else None
        return pq.read_table(path) if path and path.is_file() else None

    @cached_property
    def lowest_selected(self) -> float | None:
        """The lowest score in the selection."""
        known = (row["selection"]["score"] for row in self.rows.values())
        return min((score for score in known if score is not None), default=None)

    @cached_property
    def by_group(self) -> bool:
        """Whether its groups had places of their own."""
        return any(row["selection"]["place"] is not None for row in self.rows.values())

    def calls_of(self, sample_id: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Rows of `comparisons`: those of the sample in the order of asking, and all of the same calls."""
        if self.comparisons is None:
            return [], []
        own = self.comparisons.filter(pc.field("id") == sample_id)
        calls = own.column("call").to_pylist()
        whole = self.comparisons.filter(pc.field("call").isin(calls)).to_pylist() if calls else []
        return own.to_pylist(), whole
