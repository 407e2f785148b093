"""A row counts its groups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tacos.scoring.group_count import GroupCount
from tacos.selection import Groups
from tacos.stage import Job
from tacos.store import tables
from tests.conftest import small_pool


def test_a_row_counts_its_groups_and_is_missing_without_one(tmp_path: Path) -> None:
    tables.write_groups(tmp_path, Groups(("a", "b"), (np.array([0, 2]), np.array([2]))))
    tools: Any = None
    scores = GroupCount().score(small_pool(3), Job(tmp_path, {"groups": tmp_path}, tools))
    assert scores.values[[0, 2]].tolist() == [1, 2] and np.isnan(scores.values[1])
    assert scores.errors == {1: "in no group"}
