"""The rates of one model, raw and length-controlled, with their errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from eval.alpaca_eval.files import DRAW, Annotation, Reference
from eval.alpaca_eval.join import Placed, with_lengths
from eval.alpaca_eval.l1_logistic import Floats
from eval.alpaca_eval.length_control import Rows, controlled_values, fit, length_term


def win_rates(y: Floats) -> dict[str, Any]:
    """y: (n,) in [0, 1]."""
    if not len(y):
        return {}
    wins, draws = int((y > DRAW - 1).sum()), int((y == DRAW - 1).sum())
    return {
        "win_rate": float(100 * y.mean()),
        "standard_error": _standard_error(y),
        "discrete_win_rate": 100 * (wins + draws / 2) / len(y),
        "wins": wins,
        "draws": draws,
    }


def _standard_error(values: Floats) -> float | None:
    """In per cent; None for a single value."""
    return float(100 * values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None


def length_controlled(
    name: str, placed: Placed, reference: Reference, strength: float | None
) -> dict[str, Any]:
    rows, index = with_lengths(placed, reference)
    judged = np.array([row.preference is not None for row, _, _ in rows], dtype=bool)
    if not judged.any():
        return {}
    if name in {row.baseline for row, _, _ in rows}:  # against itself: one half by construction
        return {"length_controlled_winrate": 50.0, "lc_standard_error": 0.0, "lc_error": 0.0}
    if len(rows) < 2:
        return {}
    own = _own_rows(rows, reference.difficulty[index])
    fitted = fit(_join(reference.gamed, own.take(judged)), strength)
    predicted = fitted.predict(reference.difficulty[index])
    values = controlled_values(fitted, own, reference.gamed, reference.difficulty[index])
    return {
        "length_controlled_winrate": float(100 * predicted.mean()),
        "lc_standard_error": _standard_error(predicted),
        "lc_error": _standard_error(values),
        "controlled": dict(zip(index, (100 * values).tolist(), strict=True)),
        "regularisation": fitted.c,
    }


def _own_rows(rows: Sequence[tuple[Annotation, float, float]], difficulty: Floats) -> Rows:
    """The model's rows; y is NaN where there is no preference."""
    first, second = np.array([(a, b) for _, a, b in rows]).T
    y = np.array([np.nan if row.preference is None else row.preference - 1 for row, _, _ in rows])
    ones = np.ones(len(rows))
    return Rows(np.column_stack([length_term(first, second), difficulty, ones]), y, ones)


def _join(first: Rows, second: Rows) -> Rows:
    return Rows(
        np.concatenate([first.features, second.features]),
        np.concatenate([first.y, second.y]),
        np.concatenate([first.weight, second.weight]),
    )
