"""What allocators share: order by score, the home of a row, budgets that do not fit."""

from __future__ import annotations

import numpy as np

from tacos.errors import BudgetError
from tacos.selection import Groups


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
    if budget > available:
        raise BudgetError(
            f"budget {budget:,} is above the {available:,} {what}: ask for at most {available:,}"
        )
