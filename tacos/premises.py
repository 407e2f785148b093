"""What a scorer takes for granted, looked at once its scores are there; a premise that fails is a warning.

* scores differ: one score for nearly all rows leaves the choice to their order
* scores are more than length: a rank correlation with response length above 0.8 means that `length` would choose alike
* the instruction helps: where every ratio of losses is above 1, the template does not suit the model
"""

from __future__ import annotations

import logging

import numpy as np

from tacos.selection import Scores
from tacos.text import tokens
from tacos.types import Pool

log = logging.getLogger(__name__)
MOSTLY_EQUAL = 0.9
"""Share of rows with one score from which a scorer says next to nothing."""
MOSTLY_LENGTH = 0.8
"""Spearman's rank correlation from which a scorer mostly reads length."""
ENOUGH = 20
"""Rows for a correlation that means something."""


def check_premises(name: str, pool: Pool, scores: Scores, by_length: bool = False) -> dict[str, float]:
    """Warn of one score for nearly all rows, and of one that mostly reads length; what was measured, for the record.

    by_length: the scorer is meant to read length.
    """
    scored = np.flatnonzero(~np.isnan(scores.values))
    values = scores.values[scored]
    if len(values) < 2:
        return {}
    different, times = np.unique(values, return_counts=True)
    most = int(times.max())
    if most >= MOSTLY_EQUAL * len(values):
        rows = f"all {most:,}" if most == len(values) else f"{most:,} of {len(values):,}"
        log.warning(
            "%s gives %s rows the score %g: the choice among them is by their order in the pool",
            name,
            rows,
            different[times.argmax()],
        )
    if len(different) == 1:
        return {}
    if by_length or len(values) < ENOUGH:
        return {}
    correlation = length_correlation(pool, scored, values)
    if abs(correlation) > MOSTLY_LENGTH:
        log.warning(
            "%s mostly reads length: its rank correlation with the length of the response is %.2f; compare with "
            "score=length, and with a draw of the same lengths",
            name,
            correlation,
        )
    return {"length_correlation": round(correlation, 4)}


def length_correlation(pool: Pool, rows: np.ndarray, values: np.ndarray) -> float:
    """Spearman's, with the length in words and marks; 0 where all responses are equally long."""
    from scipy.stats import spearmanr

    responses = pool.responses
    lengths = np.array([len(tokens(responses[row])) for row in rows.tolist()])
    return float(spearmanr(values, lengths).statistic) if np.ptp(lengths) else 0.0


def check_ratios(name: str, ratios: np.ndarray) -> None:
    """Warn where no instruction makes its answer any likelier. ratios: of losses or perplexities, with and without."""
    if len(ratios) and float(ratios.min()) > 1:
        log.warning(
            "%s: all %d ratios are above 1 (the lowest is %.3f), so the instruction never helps and the ranking means "
            "nothing: try another score.template, or a model that was trained in this one",
            name,
            len(ratios),
            ratios.min(),
        )
