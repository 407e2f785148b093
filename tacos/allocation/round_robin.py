"""Query rows, or tasks, take turns: each takes its best row that is left (RDS+, arXiv 2503.01807).

    turn of q    its next row in order of value; if another one has taken that row, the turn is used up

One task takes turns between its query rows, several tasks take turns by the value of their best query (`over`).

Worked example, three rows, two queries with orders a b c and a c b: a, (a again: nothing), b, c.

Held to the released code (hamishivi/automated-instruction-selection, `get_top_influences.py` and
`get_top_aggregated_influences.py`). Equal values keep the order of the pool.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from tacos.allocation.base import candidates, picked
from tacos.errors import ConfigError
from tacos.part import Allocator, allocator
from tacos.selection import Groups, Pick, Scores, Targets
from tacos.stage import Job


@allocator(
    "round_robin",
    summary="query rows or tasks take turns, each its best row",
    paper="arXiv 2503.01807",
    needs="scores for query rows",
)
class RoundRobin(Allocator):
    """Who takes turns."""

    reads_targets = True

    over: Literal["queries", "tasks"] | None = None
    """null: query rows where there is one task, tasks where there are several."""

    def allocate(self, groups: Groups, scores: Scores, budget: int, job: Job) -> list[Pick]:
        """Raises: BudgetError when fewer rows have a value."""
        if scores.targets is None:
            raise ConfigError(
                "allocate.by=round_robin takes turns between query rows: "
                "name a scorer for them, such as score.by=embedding or score.by=less"
            )
        rows = candidates(groups, scores, budget)
        turns = takers(scores.targets, self.over)
        chosen, who = in_turn(np.stack([values[rows] for values in turns.values()]), budget)
        names = list(turns)
        picks = picked(rows[chosen], groups, scores, "")
        return [
            pick.model_copy(
                update={"reason": f"in the turn of {name}", "score": float(turns[name][pick.index])}
            )
            for pick, name in zip(picks, [names[taker] for taker in who], strict=True)
        ]


def takers(targets: Targets, over: Literal["queries", "tasks"] | None) -> dict[str, np.ndarray]:
    """Who takes turns -> the value of each row to it, (n_samples,)."""
    tasks = targets.by_task
    if over == "queries" or (over is None and len(tasks) == 1):
        return {f"query {id_}": targets.values[i] for i, id_ in enumerate(targets.queries)}
    return {f"task {name}": values for name, values in tasks.items()}


def in_turn(values: np.ndarray, budget: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows in the order they are taken, and whose turn it was, both (budget,).

    values: (n_takers, n_rows). A taker's first `budget` rows are enough, since a turn of each round is its own.
    """
    orders = np.stack([_best(row, budget) for row in values], axis=1)  # (budget, n_takers)
    taken, first = np.unique(orders.reshape(-1), return_index=True)
    order = np.argsort(first)[:budget]
    return taken[order], first[order] % len(values)


def _best(values: np.ndarray, n: int) -> np.ndarray:
    """The n rows of the highest values, best first, equal ones in stored order."""
    least = np.partition(values, len(values) - n)[len(values) - n] if n else np.inf
    rows = np.flatnonzero(values >= least)
    return rows[np.argsort(-values[rows], kind="stable")][:n]
