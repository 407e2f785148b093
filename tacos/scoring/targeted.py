"""What scorers share that are told what to select for: query rows, a few samples of each task.

    queries: dev.jsonl                                  a task for each `source` that its rows name
    queries: {math: gsm_dev.jsonl, qa: qa_dev.jsonl}    a task a file
    queries: builtin                                    the builtin pool's own, a task a skill

    values   (n_queries, n_samples), what each row is worth to each query row
    score    the best over tasks of the mean, or the maximum, over a task's queries

An allocator that takes turns (`round_robin`) reads the values, any other one the score.

Query rows come from the data that tasks are developed on. One that holds a question of the run's test is refused: what
was selected by the test cannot be judged by it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import field_validator

from tacos.data.decontaminate import contaminated
from tacos.data.read import local_file, read_pool
from tacos.errors import ConfigError, PoolError
from tacos.part import Scorer, Setup
from tacos.selection import Scores, Targets
from tacos.stage import Job, Outcome, Stage
from tacos.store import tables
from tacos.store.files import read_jsonl
from tacos.store.fingerprint import file_digest
from tacos.types import Pool, Question, Sample

log = logging.getLogger(__name__)
BUILTIN = "builtin"
ONE_TASK = "target"
"""The task of rows that name no source."""
BLOCK = 65_536
"""Rows whose products with the queries are made together."""


class TargetedScorer(Scorer):
    """A scorer that is given query rows."""

    targeted = True
    within: ClassVar[Literal["max", "mean"]] = "max"

    queries: str | dict[str, str] | None = None
    """A file of samples, several by task, or `builtin`; in any form that a pool may have."""

    @field_validator("queries", mode="before")
    @classmethod
    def _files(cls, said: Any) -> Any:
        files = said.values() if isinstance(said, Mapping) else [said]
        if said is not None and not all(isinstance(file, str) and file for file in files):
            raise ValueError("give a file of samples, or files by task, as in {math: FILE, qa: FILE}")
        return said

    def queries_stage(self, setup: Setup) -> Stage:
        """The query rows, `pool.parquet`, each with its task as source.

        Raises: ConfigError where none are named; PoolError where a file is missing.
        """
        if not self.queries:
            raise ConfigError(
                f"score.by={self.by} selects for a target: set score.queries to a file of samples of it, or to files "
                "by task (score.queries={math: gsm_dev.jsonl})"
            )
        named = not isinstance(self.queries, str)
        files = {ONE_TASK: self.queries} if isinstance(self.queries, str) else self.queries

        def work(job: Job) -> Outcome:
            rows = Pool.from_samples(
                sample for task, file in files.items() for sample in _samples(task, file, job, named)
            )
            refuse_test_questions(rows, tables.read_tested(job.inputs["pool"]))
            rows.write(job.out / tables.POOL)
            tasks = len({sample.source for sample in rows})
            return Outcome(rows_in=len(rows), rows_out=len(rows), metrics={"tasks": tasks})

        # a list, since tasks take turns in the order in which they are named
        content = [[task, BUILTIN if file == BUILTIN else _content(file)] for task, file in files.items()]
        return Stage("queries", work, {"queries": content, "by_task": named}, {"pool": setup.pool})

    def identity(self, setup: Setup) -> dict[str, Any]:
        """Where values come from is the identity of the stages that are read."""
        return {"within": self.within}

    def check_read(self, n: int, errors: Mapping[int, str], what: str) -> None:
        """n: rows that the model was given, `what` they are in words. errors: row -> why it could not be read.

        Raises: PoolError where none could.
        """
        if not errors:
            return
        where, why = f"score.by={self.by}: ", Counter(errors.values()).most_common(1)[0][0]
        if len(errors) == n:
            raise PoolError(f"{where}the model could read none of the {n:,} {what}: {why}")
        log.warning("%s%d of %d %s could not be read and are left out: %s", where, len(errors), n, what, why)

    def targets(self, queries: Pool, values: np.ndarray, lost: Mapping[int, str] | None = None) -> Targets:
        """values: (n_queries, n_samples). lost: query rows that could not be read, which are left out."""
        kept = [row for row in range(len(queries)) if row not in (lost or {})]
        tasks = tuple(sample.source for sample in queries.take(kept))
        ids = tuple(queries.ids[row] for row in kept)
        return Targets(values[kept].astype(np.float32), ids, tasks, self.within)

    def scores(self, targets: Targets, errors: Mapping[int, str]) -> Scores:
        """errors: row of the pool -> why it has no value."""
        best = targets.best
        best[list(errors)] = np.nan
        return Scores(best, dict(errors), targets=targets)


def _samples(task: str, file: str, job: Job, named: bool) -> Iterator[Sample]:
    """named: whether all rows of a file are of one task, the name of the file's."""
    if file == BUILTIN:
        path = job.inputs["pool"] / tables.BUILTIN_QUERIES
        if not path.exists():
            raise ConfigError("score.queries=builtin is of the builtin pool: name a file of samples")
        rows = [Sample.model_validate(row) for row in read_jsonl(path)]
    else:
        rows = list(_read(file))
    for row in rows:
        source = task if named else row.source or task
        id_ = f"{task}/{row.id}" if named else row.id
        yield row.model_copy(update={"source": source, "id": id_})


def _read(file: str) -> Pool:
    """The log says how it was read, and what was left out."""
    read = read_pool(file)
    for note in read.notes:
        log.warning("%s: %s", file, note)
    if read.dropped:
        why = ", ".join(f"{n} {reason}" for reason, n in read.reasons.items())
        log.warning("%s: %d of %d query rows are left out: %s", file, len(read.dropped), read.read, why)
    return read.pool


def _content(file: str) -> str:
    """A file by its content, a hub id by its name. Raises: PoolError where it can be neither."""
    path = local_file(file)
    return file_digest(path) if path else file


def refuse_test_questions(queries: Pool, questions: list[Question]) -> None:
    """Raises: PoolError where a query row holds a question that the run tests with."""
    asked = [(q.id, turn) for q in questions for turn in q.turns]
    found = contaminated(queries, [turn for _, turn in asked])
    if found:
        row, question = queries[found[0].row], asked[found[0].question][0]
        raise PoolError(
            f"{len(found)} of {len(queries)} query rows hold test questions, the first {row.id!r} the question "
            f"{question!r}: what is selected by the test cannot be judged by it, so leave them out of score.queries"
        )


def products(queries: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """(n_queries, dim) and (n_samples, dim) -> dot products, (n_queries, n_samples) float32.

    Rows come from disk block by block.
    """
    made = np.empty((len(queries), len(rows)), dtype=np.float32)
    for start in range(0, len(rows), BLOCK):
        block = np.asarray(rows[start : start + BLOCK], dtype=np.float32)
        made[:, start : start + BLOCK] = queries @ block.T
    return made
