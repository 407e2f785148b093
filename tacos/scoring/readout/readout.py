"""Scores of calls in, a score for each sample out, with a standard error where the read-out knows one.

    {"by": "mean"}                      TACOS as published: the mean of what a sample was given
    {"by": "mixed", "prior": true}      a mixed model, and what the text foretells      (`mixed.py`, `prior.py`)
    {"by": "bradley_terry"}             who won against whom, nothing else              (`bradley_terry.py`)

A sample without a score that can be read has none here either, whatever a prior would say of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np

from tacos.scoring.calls import Calls, CallScores, given, why_missing
from tacos.scoring.readout.bradley_terry import fit_bradley_terry
from tacos.scoring.readout.calibration import Calibration, calibration
from tacos.scoring.readout.mean import mean_scores, means_within
from tacos.scoring.readout.mixed import Fitted, fit_mixed
from tacos.scoring.readout.prior import foretold
from tacos.selection import Groups, Scores
from tacos.store.files import write_json
from tacos.types import Record

READOUT = "readout.json"


class Readout(Record):
    """How scores of calls become scores of samples."""

    by: Literal["mean", "mixed", "bradley_terry"] = "mixed"
    """Means, a mixed model of drift, position and noise, or who won."""
    prior: bool = True
    """Of the mixed model: start from what features and embeddings foretell, cross-fitted."""

    def identity(self) -> dict[str, Any]:
        """What of it changes an answer."""
        return {"by": self.by, "prior": self.foretells}

    @property
    def foretells(self) -> bool:
        """Whether it reads the samples' texts."""
        return self.by == "mixed" and self.prior

    def read(
        self,
        groups: Groups,
        n: int,
        calls: Calls,
        answers: CallScores,
        columns: np.ndarray | None = None,
        seed: int = 0,
    ) -> ReadScores:
        """n: rows of the pool. columns: (n, n_columns) of `prior.design_matrix`, where it foretells."""
        found = given(calls, answers)
        if self.by == "mean":
            values, within = mean_scores(n, found), means_within(groups, found)
            missing = why_missing(n, calls, answers, np.flatnonzero(~np.isnan(values)))
            return ReadScores(Scores(values, missing, within, len(answers.errors)))
        if not len(found.row):
            none = Scores(
                np.full(n, np.nan), why_missing(n, calls, answers, found.row), None, len(answers.errors)
            )
            return ReadScores(none)
        prior = None
        if self.by == "bradley_terry":
            fitted = fit_bradley_terry(calls, answers)
        else:
            fitted = fit_mixed(found, _homes(groups, n))
            prior = foretold(columns, found, fitted.added(found), seed) if columns is not None else None
            fitted = fitted if prior is None else fit_mixed(found, _homes(groups, n), prior)
        values, errors = np.full(n, np.nan), np.full(n, np.nan)
        values[fitted.rows], errors[fitted.rows] = fitted.quality, fitted.std_error
        missing = why_missing(n, calls, answers, fitted.rows)
        scores = Scores(values, missing, None, len(answers.errors), std_errors=errors)
        errors_right = calibration(found, _homes(groups, n), prior, seed) if self.by == "mixed" else None
        return ReadScores(scores, fitted, _explained(found.row, found.value, prior), errors_right)


class ReadScores:
    """The scores, and what the model behind them found. foretold: squared correlation of prior and scores as given."""

    def __init__(
        self,
        scores: Scores,
        fitted: Fitted | None = None,
        foretold: float | None = None,
        calibration: Calibration | None = None,
    ):
        self.scores, self.fitted, self.foretold, self.calibration = scores, fitted, foretold, calibration

    def write(self, folder: Path) -> None:
        """`readout.json`: variances, effects of place and group, what the prior explains."""
        if self.fitted is not None:
            write_json(folder / READOUT, self.summary())

    def summary(self) -> dict[str, Any]:
        """Variances and effects in points of the judge's scale (squared), and whether errors are right; {} of means."""
        if self.fitted is None:
            return {}
        variances = self.fitted.variances
        told = {"reliability": variances.reliability} if np.isfinite(variances.drift) else {}
        said = {"sample": variances.sample, "drift": variances.drift, "noise": variances.noise, **told}
        named = {name: float(value) for name, value in said.items() if np.isfinite(value)}
        prior = {} if self.foretold is None else {"prior_r2": self.foretold}
        right = {} if self.calibration is None else {"calibration": self.calibration.model_dump()}
        return {**named, **prior, **right, "told_apart": variances.told_apart, "effects": self.fitted.effects}


def _homes(groups: Groups, n: int) -> np.ndarray:
    """(n,) the first group of each row, -1 for rows in none."""
    homes = np.full(n, -1, dtype=np.int64)
    for number in reversed(range(len(groups))):
        homes[groups.members[number]] = number
    return homes


def _explained(rows: np.ndarray, values: np.ndarray, prior: np.ndarray | None) -> float | None:
    """Squared correlation of the prior with the scores as they were given."""
    if prior is None or np.ptp(prior[rows]) == 0 or np.ptp(values) == 0:
        return None
    return float(np.corrcoef(prior[rows], values)[0, 1] ** 2)
