"""CaR's union of the top and the clusters' best."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tacos.allocation.top_and_best import TopAndBest
from tacos.errors import BudgetError
from tacos.selection import Groups, Scores

NO_JOB: Any = None


def setting() -> tuple[Groups, Scores]:
    """Ten rows, three clusters; the third holds the worst rows."""
    groups = Groups(("0", "1", "2"), (np.array([0, 1, 2, 3]), np.array([4, 5, 6]), np.array([7, 8, 9])))
    return groups, Scores(np.array([9.0, 8, 7, 3, 6, 5, 4, 1, 2, np.nan]))


def rows(allocator: TopAndBest, budget: int) -> list[int]:
    return [pick.index for pick in allocator.allocate(*setting(), budget, NO_JOB)]


def test_the_top_and_then_the_best_of_clusters_that_it_leaves_out() -> None:
    picks = TopAndBest(top=3).allocate(*setting(), 5, NO_JOB)
    assert [(p.index, p.group, p.reason) for p in picks] == [
        (0, "0", "top score"),
        (1, "0", "top score"),
        (2, "0", "top score"),
        (4, "1", "best of its cluster"),
        (8, "2", "best of its cluster"),
    ]


@pytest.mark.parametrize(
    ("budget", "wanted"),
    [(3, [0, 4, 8]), (4, [0, 1, 4, 8]), (5, [0, 1, 2, 4, 8]), (6, [0, 1, 2, 4, 5, 8]), (9, [*range(9)])],
)
def test_a_budget_is_met_exactly(budget: int, wanted: list[int]) -> None:
    assert sorted(rows(TopAndBest(), budget)) == wanted


def test_more_of_each_cluster() -> None:
    assert sorted(rows(TopAndBest(top=1, per_group=2), 10)) == [0, 1, 4, 5, 7, 8]
    assert sorted(rows(TopAndBest(top=1, per_group=0), 10)) == [0]


@pytest.mark.parametrize(
    ("allocator", "budget", "message"),
    [
        (TopAndBest(), 2, "the best of 3 clusters are 3 rows, above the budget 2"),
        (TopAndBest(top=3), 4, "the top 3 and the best of their clusters are 5 rows"),
        (TopAndBest(), 10, "ask for at most 9"),
    ],
)
def test_a_budget_that_does_not_fit_is_refused(allocator: TopAndBest, budget: int, message: str) -> None:
    with pytest.raises(BudgetError, match=message):
        allocator.allocate(*setting(), budget, NO_JOB)


def test_the_released_selection_comes_out(shared: Path) -> None:
    """From the scores and clusters that CaR's authors released: 1,000 by score and 13 clusters' best."""
    released = [
        json.loads(line) for line in (shared / "data" / "car_selected.jsonl").read_text().splitlines()
    ]
    scores = np.array([row["score"] for row in released])
    clusters = sorted({row["cluster"] for row in released}, key=int)
    members = tuple(
        np.array([i for i, row in enumerate(released) if row["cluster"] == name]) for name in clusters
    )
    picks = TopAndBest(top=1000).allocate(Groups(tuple(clusters), members), Scores(scores), 1017, NO_JOB)
    assert len(picks) == len({pick.index for pick in picks}) == 1013
    late = [pick for pick in picks if pick.reason == "best of its cluster"]
    covered = {released[pick.index]["cluster"] for pick in picks if pick.reason == "top score"}
    assert len(late) == 161 - len(covered) == 13
    assert all(pick.group == released[pick.index]["cluster"] for pick in late)
    assert max(scores[p.index] for p in late) < min(scores[p.index] for p in picks if p.reason == "top score")


def test_the_released_selection_is_found_among_other_rows(shared: Path) -> None:
    """Rows below each cluster's released ones change nothing."""
    released = [
        json.loads(line) for line in (shared / "data" / "car_selected.jsonl").read_text().splitlines()
    ]
    rng = np.random.default_rng(0)
    lowest: dict[str, float] = {}
    for row in released:
        lowest[row["cluster"]] = min(row["score"], lowest.get(row["cluster"], 9.0), 0.9136)
    others = [
        {"cluster": name, "score": low - gap, "id": ""}
        for name, low in lowest.items()
        for gap in rng.uniform(0.001, 1, 20)
    ]
    mixed = [*released, *others]
    order = rng.permutation(len(mixed))
    mixed = [mixed[i] for i in order]
    members = {
        name: np.array([i for i, row in enumerate(mixed) if row["cluster"] == name]) for name in lowest
    }
    scores = Scores(np.array([row["score"] for row in mixed]))
    picks = TopAndBest(top=1000).allocate(
        Groups(tuple(members), tuple(members.values())), scores, 1017, NO_JOB
    )
    assert {mixed[pick.index]["id"] for pick in picks} == {row["id"] for row in released}
