"""An arm whose training set is given: `{data: FILE}`, or a hub id, in any form that a pool may have.

What others have selected, refined or written (`asset:tacos_data/filtered_alpaca_1k_opencs.json`, LIMA, a set of one's
own) trains beside the arms that select here. All its rows are taken, whatever the budget, less those that hold a test
question of this experiment or of its benchmarks, as in its pool; the log says how many.
"""

from __future__ import annotations

import logging
from pathlib import Path

from tacos.data.decontaminate import contaminated
from tacos.data.read import read_pool
from tacos.errors import PoolError
from tacos.pipeline.pool import named_source, tell
from tacos.selection import Pick
from tacos.stage import Job, Outcome, Stage
from tacos.store import tables
from tacos.types import Pool

log = logging.getLogger(__name__)


def given_stage(load: Stage, path: str, decontaminate: bool) -> Stage:
    """The rows of a file, or of a hub id, as a selection. Raises: PoolError when it can be neither."""
    identity = {**named_source(path), "decontaminate": decontaminate}

    def work(job: Job) -> Outcome:
        read = read_pool(path)
        tell(path, read.notes)
        if read.dropped:
            log.warning(
                "%s: %d of %d rows cannot be read: %s", path, len(read.dropped), read.read, read.reasons
            )
        asked = _clean(read.pool, job, path) if decontaminate else read.pool
        picks = [Pick(index=i, reason=f"given in {Path(path).name}") for i in range(len(asked))]
        tables.write_selection(job.out, asked, picks)
        return Outcome(rows_in=read.read, rows_out=len(asked), rows_failed=read.read - len(asked))

    return Stage("given", work, identity, {"pool": load}, version=2)


def _clean(rows: Pool, job: Job, path: str) -> Pool:
    """Raises: PoolError when every row holds a test question."""
    turns = [turn for question in tables.read_tested(job.inputs["pool"]) for turn in question.turns]
    held = {found.row for found in contaminated(rows, turns)} if turns else set()
    if held:
        log.warning("%s: %d of %d rows hold a test question and are left out", path, len(held), len(rows))
    kept = [row for row in range(len(rows)) if row not in held]
    if not kept:
        raise PoolError(
            f"every row of {path} holds a test question of this experiment, so none is left to train on: "
            "give other rows"
        )
    return rows.take(kept)
