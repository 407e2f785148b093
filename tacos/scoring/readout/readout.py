"""Scores of calls in, a score for each sample out, with a standard error where the read-out knows one.

    {"by": "mean"}                      TACOS as published: the mean of what a sample was given
    {"by": "mixed", "prior": true}      a mixed model, and what the text foretells      (`mixed.py`, `prior.py`)
    {"by": "bradley_terry"}             who won against whom, nothing else              (`bradley_terry.py`)

A sample without a score that can be read has none here either, whatever a prior would say of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tacos.scoring.calls import Calls, CallScores, Given, given, why_missing
from tacos.scoring.readout.mean import mean_scores, means_within
from tacos.scoring.readout.prior import foretold
from tacos.selection import Groups, Scores
from tacos.store.files import write_json
from tacos.types import Record

if TYPE_CHECKING:  # scipy's matrices, which a plan does without
    from tacos.scoring.readout.calibration import Calibration
    from tacos.scoring.readout.mixed import Fitted

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
        found, unread = given(calls, answers), len(answers.errors)
        if self.by == "mean":
            values, within = mean_scores(n, found), means_within(groups, found)
            missing = why_missing(n, calls, answers, np.flatnonzero(~np.isnan(values)))
            return ReadScores(Scores(values, missing, within, unread))
        values, errors = np.full(n, np.nan), np.full(n, np.nan)
        if not len(found.row):
            return ReadScores(Scores(values, why_missing(n, calls, answers, found.row), None, unread))
        if self.by == "bradley_terry":
            from tacos.scoring.readout.bradley_terry import fit_bradley_terry

            fitted, check = fit_bradley_terry(calls, answers), None
        else:
            fitted, check = _mixed(found, groups.first_of(n), columns, seed)
        values[fitted.rows], errors[fitted.rows] = fitted.quality, fitted.std_error
        missing = why_missing(n, calls, answers, fitted.rows)
        scores = Scores(values, missing, None, unread, std_errors=errors)
        return ReadScores(scores, fitted, check)


@dataclass(frozen=True)
class ModelCheck:
    """What a mixed model was fitted to, for whoever asks how well it did; only the last of several fits is asked."""

    found: Given
    homes: np.ndarray
    prior: np.ndarray | None
    seed: int

    @property
    def calibration(self) -> Calibration | None:
        """Whether its standard errors are right."""
        from tacos.scoring.readout.calibration import calibration

        return calibration(self.found, self.homes, self.prior, self.seed)

    @property
    def prior_r2(self) -> float | None:
        """Squared correlation of the prior with the scores as they were given."""
        values, rows = self.found.value, self.found.row
        if self.prior is None or np.ptp(self.prior[rows]) == 0 or np.ptp(values) == 0:
            return None
        return float(np.corrcoef(self.prior[rows], values)[0, 1] ** 2)


@dataclass(frozen=True)
class ReadScores:
    """The scores, what the model behind them found, and how it can be checked."""

    scores: Scores
    fitted: Fitted | None = None
    check: ModelCheck | None = None

    def write(self, folder: Path) -> None:
        """`readout.json`: variances, effects of place and group, what the prior explains."""
        if self.fitted is not None:
            write_json(folder / READOUT, self.summary)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Variances and effects in points of the judge's scale (squared), and whether errors are right; {} of means."""
        if self.fitted is None:
            return {}
        variances = self.fitted.variances
        said = {"sample": variances.sample, "drift": variances.drift, "noise": variances.noise}
        told: dict[str, Any] = {name: float(value) for name, value in said.items() if np.isfinite(value)}
        if np.isfinite(variances.drift):
            told["reliability"] = variances.reliability
        if self.check and (explained := self.check.prior_r2) is not None:
            told["prior_r2"] = explained
        if self.check and (right := self.check.calibration):
            told["calibration"] = right.model_dump()
        return {**told, "told_apart": variances.told_apart, "effects": self.fitted.effects}


def _mixed(
    found: Given, homes: np.ndarray, columns: np.ndarray | None, seed: int
) -> tuple[Fitted, ModelCheck]:
    """The model, from a prior where there is one."""
    from tacos.scoring.readout.mixed import fit_mixed

    fitted = fit_mixed(found, homes)
    prior = None if columns is None else foretold(columns, found, fitted.added(found), seed)
    if prior is not None:
        fitted = fit_mixed(found, homes, prior)
    return fitted, ModelCheck(found, homes, prior, seed)
