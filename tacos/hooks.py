"""What the hooks of parts give, looked at before anything rests on it: a part may be anybody's.

    check_groups(...)    labels that differ, and for each the numbers of rows of the pool, each once
    check_scores(...)    a finite number for each row, NaN where there is none
    check_picks(...)     rows of the pool, each once, and no more than the budget

Raises: TacosError that names the part, what it gave, and what is wanted.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tacos.errors import BudgetError, TacosError
from tacos.selection import Groups, Pick, Scores

log = logging.getLogger(__name__)


def check_groups(given: object, n: int, grouper: str) -> Groups:
    """Of n rows, with members as int64 arrays."""
    said = f"group.by={grouper}: `group` gave"
    if not isinstance(given, Groups):
        raise TacosError(f"{said} {type(given).__name__}: return Groups(labels, members), of tacos.selection")
    if len(given.labels) != len(given.members):
        raise TacosError(
            f"{said} {len(given.labels):,} labels and {len(given.members):,} lists of members: one list for each label"
        )
    label, times = Counter(given.labels).most_common(1)[0] if given.labels else ("", 1)
    if times > 1:
        raise TacosError(f"{said} {times} groups with the label {label!r}: each needs one of its own")
    pairs = zip(given.labels, given.members, strict=True)
    return Groups(given.labels, tuple(_members(rows, n, f"{said} group {name!r}") for name, rows in pairs))


def _members(given: object, n: int, said: str) -> np.ndarray:
    rows = np.asarray(given)
    if rows.ndim != 1 or (len(rows) and rows.dtype.kind not in "iu"):
        hint = ", as np.flatnonzero makes them of a mask" if rows.dtype == bool else ""
        raise TacosError(f"{said} with {rows.dtype} of shape {rows.shape}: the numbers of its rows{hint}")
    outside = rows[(rows < 0) | (rows >= n)] if len(rows) else rows
    if len(outside):
        raise TacosError(f"{said} with row {outside[0]}, and the pool has rows 0 to {n - 1:,}")
    if len(np.unique(rows)) < len(rows):
        raise TacosError(f"{said} with a row that stands in it twice: each once")
    return rows.astype(np.int64)


def check_scores(given: object, n: int, scorer: str) -> Scores:
    """Of n rows, as float64."""
    said = f"score.by={scorer}: `score` gave"
    if not isinstance(given, Scores):
        raise TacosError(f"{said} {type(given).__name__}: return Scores(values), of tacos.selection")
    values = np.asarray(given.values)
    if values.shape != (n,):
        raise TacosError(
            f"{said} values of shape {values.shape}, and the pool has {n:,} rows: "
            "one value for each, NaN where missing"
        )
    if values.dtype.kind not in "biuf":
        raise TacosError(f"{said} values of type {values.dtype}: numbers, NaN where one is missing")
    infinite = np.flatnonzero(np.isinf(values))
    if len(infinite):
        raise TacosError(
            f"{said} no finite number for {len(infinite):,} of {n:,} rows, {values[infinite[0]]} for row "
            f"{infinite[0]}: NaN, with a reason in `errors`, where there is no score"
        )
    if given.std_errors is not None and np.shape(given.std_errors) != (n,):
        raise TacosError(
            f"{said} std_errors of shape {np.shape(given.std_errors)}: one for each of {n:,} rows"
        )
    return replace(given, values=values.astype(np.float64))


def check_picks(given: object, n: int, budget: int | None, allocator: str) -> list[Pick]:
    """Of n rows. budget: None where it does not hold. Fewer are a warning, since settings may want them; none is an
    error."""
    said = f"allocate.by={allocator}: `allocate` gave"
    if not isinstance(given, Sequence) or not all(isinstance(pick, Pick) for pick in given):
        raise TacosError(
            f"{said} no list of Pick: return [Pick(index=row), ...], of tacos.selection, best first"
        )
    rows = Counter(pick.index for pick in given)
    if outside := [row for row in rows if not 0 <= row < n]:
        raise TacosError(f"{said} row {outside[0]}, and the pool has rows 0 to {n - 1:,}")
    if twice := [row for row, times in rows.items() if times > 1]:
        raise TacosError(f"{said} row {twice[0]} {rows[twice[0]]} times: each row once")
    if not rows:
        raise BudgetError(f"{said} no row: nothing is selected")
    if budget is not None and len(rows) > budget:
        raise TacosError(f"{said} {len(rows):,} rows, and the budget is {budget:,}: no more than that")
    if budget is not None and len(rows) < budget:
        log.warning("allocate.by=%s took %d rows, and the budget is %d", allocator, len(rows), budget)
    return list(given)
