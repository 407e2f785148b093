"""What allocators share: order by score, the home of a row, vectors of rows, budgets that do not fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from tacos.errors import BudgetError, ConfigError
from tacos.models.embedded import Embedded
from tacos.part import Allocator, Setup
from tacos.selection import Groups, Pick, Scores
from tacos.stage import Stage
from tacos.store import tables


def best_first(rows: np.ndarray, values: np.ndarray) -> np.ndarray:
    """`rows` with a score, highest first; equal scores keep stored order."""
    scored = ~np.isnan(values)
    rows, values = rows[scored], values[scored]
    return np.asarray(rows[np.lexsort((rows, -values))])


def first_group(groups: Groups) -> dict[int, str]:
    """Row -> the first group it stands in."""
    return {row: groups.labels[numbers[0]] for row, numbers in groups.homes.items()}


def check_budget(budget: int, available: int, what: str) -> None:
    """Raises: BudgetError when more is asked for than there is."""
    if budget > available == 0:
        raise BudgetError(
            f"there are no {what}, so nothing can be selected: the log and the artifacts say why, and --retry-failed "
            "asks again where a language model gave no answer that can be read"
        )
    if budget > available:
        raise BudgetError(
            f"budget {budget:,} is above the {available:,} {what}: ask for at most {available:,}"
        )


def check_scored(budget: int, scored: int, scores: Scores) -> None:
    """scored: samples to choose from, with a score and in a group. Raises: BudgetError when more is asked for, with why
    the others are not among them."""
    if budget <= scored:
        return
    missing = np.flatnonzero(np.isnan(scores.values)).tolist()
    reasons = Counter(scores.errors.get(row, "no score") for row in missing).most_common(3)
    why = "; without one: " + ", ".join(f"{n:,} ({reason})" for reason, n in reasons) if reasons else ""
    outside = scores.scored - scored
    why += f"; {outside:,} with a score stand in no group" if outside else ""
    ask = f"ask for at most {scored:,}" if scored else "nothing can be selected"
    what = "samples that have a score and a group" if outside else "samples that have a score"
    raise BudgetError(f"budget {budget:,} is above the {scored:,} {what}: {ask}{why}")


class RankingAllocator(Allocator):
    """An allocator that ranks by score, and may prefer those it is sure of."""

    risk: float = Field(0, ge=0)
    """Standard errors that every score is lowered by before rows are ranked: with 1, a score of 80 +- 10 counts 70."""

    def cautious(self, scores: Scores) -> Scores:
        """What rows are ranked by. Raises: ConfigError where a score has no standard error."""
        if not self.risk:
            return scores
        if scores.std_errors is None:
            raise ConfigError(
                f"allocate.risk={self.risk:g} lowers scores by their standard errors, and these have none: set "
                "allocate.risk=0, or take a score that knows its error, such as score.by=comparative with an LLM and "
                "score.readout.by=mixed"
            )
        return replace(scores, values=scores.values - self.risk * scores.std_errors, within=None)


class VectorAllocator(Embedded, Allocator):
    """An allocator that looks at a vector of every row. Where vectors come from is the identity of their own stage."""

    def inputs(self, setup: Setup) -> dict[str, Stage]:
        return {"vectors": self.vectors_of(setup.pool, setup.embedder, "allocate.vectors")}

    def identity(self, setup: Setup) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude={"by", *Embedded.model_fields})


def vectors_at(folder: Path, rows: np.ndarray) -> np.ndarray:
    """(len(rows), dim) float32; of all rows without a copy, from disk as far as they are looked at. rows: ascending."""
    vectors = tables.read_vectors(folder)
    return vectors if len(rows) == len(vectors) else vectors[rows]


def candidates(groups: Groups, scores: Scores, budget: int) -> np.ndarray:
    """Rows to choose from, ascending: those that stand in a group and, where there are scores, have one.

    Raises: BudgetError when more is asked for.
    """
    rows = groups.covered
    if not scores.scored and not scores.errors:
        whole = len(rows) == len(scores.values)
        check_budget(budget, len(rows), "samples in the pool" if whole else "samples that stand in a group")
        return rows
    scored = rows[~np.isnan(scores.values[rows])]
    check_scored(budget, len(scored), scores)
    return np.asarray(scored)


def picked(rows: Iterable[int], groups: Groups, scores: Scores, reason: str) -> list[Pick]:
    """One pick a row, in this order, each with the first group it stands in and its score if it has one."""
    home, values = first_group(groups), scores.values
    return [
        Pick(
            index=int(row),
            group=home[int(row)],
            reason=reason,
            score=None if np.isnan(values[row]) else float(values[row]),
        )
        for row in rows
    ]


Quality = Literal["score", "rank"]
"""A score as it is, or its rank among the rows to choose from."""


def qualities(values: np.ndarray, quality: Quality, part: str) -> np.ndarray:
    """(n,) weights of 0 and more; 1 for every row where no row has a score.

    values: (n,) scores of the rows to choose from. Raises: ConfigError for a score below 0 that is to be a weight.
    """
    if np.isnan(values).all():
        return np.ones(len(values))
    if quality == "rank":
        from scipy.stats import rankdata

        return np.asarray(rankdata(values) / len(values))
    if values.min() < 0:
        raise ConfigError(
            f"allocate.by={part} weighs rows by their score, and the lowest is {values.min():.4g}: a weight must "
            f"not be below 0, so set allocate.quality=rank or use another score"
        )
    return values
