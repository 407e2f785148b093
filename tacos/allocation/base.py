"""What allocators share: order by score, the home of a row, budgets that do not fit."""

from __future__ import annotations

from collections import Counter

import numpy as np

from tacos.errors import BudgetError
from tacos.selection import Groups, Scores


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
    """scored: samples to choose from. Raises: BudgetError when more is asked for, with why the others have no score."""
    if budget <= scored:
        return
    missing = np.flatnonzero(np.isnan(scores.values)).tolist()
    reasons = Counter(scores.errors.get(row, "no score") for row in missing).most_common(3)
    why = "; without one: " + ", ".join(f"{n:,} ({reason})" for reason, n in reasons) if reasons else ""
    ask = f"ask for at most {scored:,}" if scored else "nothing can be selected"
    raise BudgetError(f"budget {budget:,} is above the {scored:,} samples that have a score: {ask}{why}")
