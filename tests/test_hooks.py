"""What the hooks of parts give is looked at before anything rests on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tacos.artifacts import ArtifactStore
from tacos.errors import TacosError
from tacos.hooks import check_groups, check_picks, check_scores
from tacos.models.embedder import EmbedderSettings
from tacos.part import Scorer, Setup
from tacos.pipeline.pool import load_stage
from tacos.pipeline.pool_settings import PoolSettings
from tacos.selection import Groups, Pick, Scores
from tacos.stage import Job, Tools
from tacos.types import Pool
from tacos.usage import Ledger
from tests.conftest import LetterEmbedder
from tests.pipeline.helpers import write_pool


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.ones(8), r"gave ndarray: return Scores\(values\)"),
        (None, "gave NoneType"),
        (Scores(np.ones(5)), r"gave values of shape \(5,\), and the pool has 8 rows"),
        (Scores(np.ones((8, 1))), r"gave values of shape \(8, 1\)"),
        (Scores(np.ones(8), std_errors=np.ones(7)), r"gave std_errors of shape \(7,\): one for each of 8"),
        (Scores(np.array(["a"] * 8)), "gave values of type <U1: numbers"),
        (Scores(np.array([1.0, None] * 4)), "gave values of type object: numbers"),
        (
            Scores(np.array([0.0, 1, 2, np.inf, 4, -np.inf, 6, 7])),
            "gave no finite number for 2 of 8 rows, inf for row 3",
        ),
    ],
)
def test_what_is_no_score_for_each_row_is_refused(given: Any, said: str) -> None:
    with pytest.raises(TacosError, match=f"score.by=mine: `score` {said}"):
        check_scores(given, 8, "mine")


def test_counts_are_scores_too_and_a_missing_one_stays_missing() -> None:
    assert check_scores(Scores(np.arange(3)), 3, "mine").values.dtype == np.float64
    assert np.isnan(check_scores(Scores(np.array([1, np.nan])), 2, "mine").values).tolist() == [False, True]


class TooFew(Scorer):
    """Forgets a row."""

    name = "too_few"

    def score(self, pool: Pool, job: Job) -> Scores:
        return Scores(np.ones(len(pool) - 1))


def test_the_stage_of_a_scorer_refuses_them(tmp_path: Path) -> None:
    load = load_stage(PoolSettings(source=str(write_pool(tmp_path / "pool.jsonl", 40))))
    stage = TooFew().build(Setup(load, 3, 0, EmbedderSettings(), {}))
    with pytest.raises(TacosError, match=r"score.by=too_few.* one value for each"):
        ArtifactStore(tmp_path / "a").run(stage, Tools(Ledger(), LetterEmbedder, lambda name: None, "cpu"))  # type: ignore[arg-type, return-value]


GROUPED = np.arange(4)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"a": [0]}, r"gave dict: return Groups\(labels, members\)"),
        (Groups(("a", "b"), (GROUPED,)), "gave 2 labels and 1 lists of members"),
        (Groups(("a", "a"), (GROUPED, GROUPED)), "gave 2 groups with the label 'a'"),
        (Groups(("a",), (GROUPED + 5,)), "gave group 'a' with row 8, and the pool has rows 0 to 7"),
        (Groups(("a",), (GROUPED - 1,)), "gave group 'a' with row -1"),
        (Groups(("a",), (np.array([1, 1]),)), "gave group 'a' with a row that stands in it twice"),
        (Groups(("a",), (GROUPED > 1,)), r"gave group 'a' with bool of shape \(4,\): .* np\.flatnonzero"),
        (Groups(("a",), (GROUPED / 2,)), r"gave group 'a' with float64 of shape \(4,\)"),
    ],
)
def test_what_are_no_groups_of_the_pool_is_refused(given: Any, said: str) -> None:
    with pytest.raises(TacosError, match=f"group.by=mine: `group` {said}"):
        check_groups(given, 8, "mine")


def test_lists_of_rows_are_groups_too() -> None:
    found = check_groups(Groups(("a", "b"), ([2, 0], [])), 8, "mine")  # type: ignore[arg-type]
    assert [members.dtype for members in found.members] == [np.int64, np.int64]
    assert [members.tolist() for members in found.members] == [[2, 0], []]


def picks(*rows: int) -> list[Pick]:
    return [Pick(index=row) for row in rows]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([1, 2], r"gave no list of Pick: return \[Pick\(index=row\), ...\]"),
        (None, "gave no list of Pick"),
        (picks(1, 8), "gave row 8, and the pool has rows 0 to 7"),
        (picks(1, 2, 1), "gave row 1 2 times: each row once"),
        (picks(), "gave no row: nothing is selected"),
        (picks(0, 1, 2, 3), "gave 4 rows, and the budget is 3"),
    ],
)
def test_what_is_no_selection_within_the_budget_is_refused(given: Any, said: str) -> None:
    with pytest.raises(TacosError, match=f"allocate.by=mine: `allocate` {said}"):
        check_picks(given, 8, 3, "mine")


def test_a_selection_below_the_budget_is_told(caplog: pytest.LogCaptureFixture) -> None:
    assert check_picks(picks(4, 2), 8, 3, "mine") == picks(4, 2)
    assert "allocate.by=mine took 2 rows, and the budget is 3" in caplog.text
    assert len(check_picks(picks(0, 1, 2, 3), 8, None, "all")) == 4
