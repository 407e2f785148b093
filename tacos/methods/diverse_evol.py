"""DiverseEvol: the model says which rows are far from those it was trained on, round by round (arXiv 2311.08182).

    S_0      100 rows drawn at random
    M_t      the base, trained anew on S_t
    e_t(x)   mean of M_t's last layer over prompt and response
    S_t+1    S_t and 100 more rows, each the farthest by e_t from all that are taken (k-center)
    until the budget

A budget of 1,000 takes nine trainings on the way; the model of the whole selection is the run's own.

Distances are Euclidean between vectors as they are, and S_t is trained on in the order of the pool, as in the released
code (OFA-Sys/DiverseEvol). It trains and reads in the Alpaca template with a newline after "### Response:", cut at 512
tokens; here rows are read in the template that M_t was trained in, without `train.wrap`. What its distances make of
near-copies stands in `tacos/allocation/k_center.py`.
"""

from __future__ import annotations

import numpy as np
from pydantic import Field

from tacos.allocation.base import check_budget
from tacos.allocation.k_center import farthest
from tacos.cost import Cost
from tacos.methods.base import driver
from tacos.models.source import Source
from tacos.part import Setup
from tacos.scoring.states import StatesRun, vectors_of
from tacos.selection import Pick
from tacos.stage import Job, Outcome, Stage
from tacos.store import tables
from tacos.types import Pool

TAKEN = "taken.npy"
"""Rows in the order they were taken, (n,) int64."""


class DiverseEvolSettings(StatesRun):
    """How many rows a round adds, and how they are read."""

    initial: int = Field(100, ge=1)
    """Rows of the first round, drawn by the run's seed."""
    per_round: int = Field(100, ge=1)
    max_tokens: int = Field(512, ge=8)
    """Longest row that is read, prompt and response together; a longer one is cut."""


@driver(
    "diverse-evol",
    DiverseEvolSettings,
    "far from what the model was trained on, in rounds that train it anew",
    "arXiv 2311.08182",
    cost=Cost(note="1 forward pass per sample and 1 training, each round"),
)
def diverse_evol(settings: DiverseEvolSettings, setup: Setup) -> Stage:
    """Raises: ConfigError where the run does not train."""
    budget = setup.budget or 0
    rows = _draw(setup, min(settings.initial, budget))
    for size in range(settings.initial + settings.per_round, budget + settings.per_round, settings.per_round):
        model = setup.trained(rows, size - settings.per_round, "diverse-evol")
        source = Source(model, device=setup.embedder.device)
        states = settings.states(setup.pool, source, "mean", settings.max_tokens)
        rows = _add(setup, rows, states, min(size, budget))
    return _ranked(setup, rows, settings.initial)


def _draw(setup: Setup, n: int) -> Stage:
    def work(job: Job) -> Outcome:
        pool = job.pool()
        check_budget(setup.budget or 0, len(pool), "samples in the pool")
        return _write(job, pool, np.random.default_rng(setup.seed).permutation(len(pool))[:n])

    return Stage("round", work, {"initial": n, "seed": setup.seed}, {"pool": setup.pool})


def _add(setup: Setup, rows: Stage, states: Stage, size: int) -> Stage:
    """The rows of a round, `size` in all."""

    def work(job: Job) -> Outcome:
        vectors, errors = vectors_of(job, "states")
        known = np.array([row for row in range(len(vectors)) if row not in errors], dtype=np.int64)
        first = np.load(job.inputs["rows"] / TAKEN)
        known = np.union1d(known, first)  # a row that is taken already stays
        check_budget(size, len(known), "samples that the model can read")
        places = np.searchsorted(known, first).tolist()
        taken = farthest(np.asarray(vectors[known]), places, size)
        return _write(job, job.pool(), known[taken])

    return Stage("round", work, {"size": size}, {"pool": setup.pool, "rows": rows, "states": states})


def _write(job: Job, pool: Pool, taken: np.ndarray) -> Outcome:
    """The rows to train on, in the order of the pool, and the order in which they were taken."""
    np.save(job.out / TAKEN, taken)
    tables.write_selection(job.out, pool, [Pick(index=int(row)) for row in np.sort(taken)])
    return Outcome(rows_in=len(pool), rows_out=len(taken))


def _ranked(setup: Setup, rows: Stage, initial: int) -> Stage:
    """The selection, in the order in which rows were taken."""
    reasons = ("drawn to start with", "far from what the model was trained on")

    def work(job: Job) -> Outcome:
        pool = job.pool()
        taken = np.load(job.inputs["rows"] / TAKEN).tolist()
        picks = [Pick(index=row, group="all", reason=reasons[i >= initial]) for i, row in enumerate(taken)]
        tables.write_selection(job.out, pool, picks)
        return Outcome(rows_in=len(pool), rows_out=len(picks), metrics={"groups": 1})

    return Stage("select", work, {"budget": setup.budget}, {"pool": setup.pool, "rows": rows})
