"""The load stage: the clean pool, its test questions, and, for the builtin pool only, its truth."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from eval.questions import existing, read_questions
from tacos.data.builtin.build import build
from tacos.data.decontaminate import contaminated
from tacos.data.prepare import prepare
from tacos.data.read import Dropped, ReadResult, count_reasons, local_file, read_pool
from tacos.errors import PoolError
from tacos.pipeline.settings import PoolSettings
from tacos.stage import Job, Outcome, Stage
from tacos.store.files import read_jsonl, write_jsonl
from tacos.store.fingerprint import file_digest
from tacos.types import Pool, Question, Role, Sample, Truth, make_sample

BUILTIN = "builtin"


def load_stage(settings: PoolSettings) -> Stage:
    """Raises: PoolError when a named file is missing and could not be a hub id either."""
    if settings.source == BUILTIN:
        identity: dict[str, Any] = {"builtin": settings.builtin, "dedup": settings.dedup}
        return Stage("load", lambda job: _load_builtin(job, settings), identity)
    identity = settings.model_dump(exclude={"source", "builtin", "questions"}) | _content(settings)
    return Stage("load", lambda job: _load_file(job, settings), identity)


def _content(settings: PoolSettings) -> dict[str, str]:
    """What is read, by content for files and by name for hub ids."""
    path = local_file(settings.source)
    content = {"file": file_digest(path)} if path else {"hub": settings.source}
    if settings.questions:
        content["questions"] = file_digest(existing(Path(settings.questions)))
    return content


def _load_builtin(job: Job, settings: PoolSettings) -> Outcome:
    made = build(settings.builtin)
    write_jsonl(job.out / "corpus.jsonl", ({"text": text} for text in made.corpus))
    rows = len(made.pool)
    prepared = prepare(ReadResult(made.pool, [], rows, np.arange(1, rows + 1), BUILTIN), settings.dedup)
    kept = set(prepared.pool.ids)
    write_jsonl(job.out / "truth.jsonl", (t.model_dump() for t in made.truth if t.id in kept))
    return _write(job, prepared.pool, prepared.dropped, made.questions, prepared.read)


def _load_file(job: Job, settings: PoolSettings) -> Outcome:
    prepared = prepare(read_pool(settings.source, settings.read), settings.dedup)
    pool, dropped = prepared.pool, list(prepared.dropped)
    questions: list[Question] = []
    if settings.questions:
        questions = read_questions(Path(settings.questions))
    elif settings.holdout:
        pool, questions = hold_out(pool, settings.holdout, settings.holdout_seed)
    if settings.decontaminate and questions:
        pool, found = decontaminate(pool, questions)
        dropped += found
    return _write(job, pool, dropped, questions, prepared.read)


def hold_out(pool: Pool, n: int, seed: int) -> tuple[Pool, list[Question]]:
    """The pool without `n` rows drawn at random, and those rows as questions with references.

    A conversation is asked its first user turn, and its first reply is the reference. A system message is
    left out: every model is asked the bare question.

    Raises: PoolError when the pool would be empty.
    """
    if n >= len(pool):
        raise PoolError(f"holdout {n:,} leaves nothing of {len(pool):,} samples: set pool.holdout lower")
    order = np.random.default_rng(seed).permutation(len(pool))
    questions = [
        Question(
            id=sample.id,
            turns=(_first(sample, "user"),),
            category=sample.source,
            reference=_first(sample, "assistant"),
        )
        for sample in pool.take(np.sort(order[:n]))
    ]
    return pool.take(np.sort(order[n:])), questions


def _first(sample: Sample, role: Role) -> str:
    return next(m.content for m in sample.messages if m.role == role)


def decontaminate(pool: Pool, questions: list[Question]) -> tuple[Pool, list[Dropped]]:
    found = contaminated(pool, [turn for q in questions for turn in q.turns])
    gone = {c.row: c for c in found}
    kept = [row for row in range(len(pool)) if row not in gone]
    dropped = [
        Dropped(line=0, id=pool.ids[row], reason="contaminated", detail=f"{c.how} as a test question")
        for row, c in gone.items()
    ]
    return pool.take(kept), dropped


def _write(job: Job, pool: Pool, dropped: list[Dropped], questions: Iterable[Question], read: int) -> Outcome:
    asked = [q.model_dump() for q in questions]
    pool.write(job.out / "pool.parquet")
    write_jsonl(job.out / "dropped.jsonl", (d.model_dump() for d in dropped))
    write_jsonl(job.out / "questions.jsonl", asked)
    metrics = {"dropped": count_reasons(dropped), "questions": len(asked)}
    return Outcome(rows_in=read, rows_out=len(pool), rows_failed=len(dropped), metrics=metrics)


def questions_of(folder: Path) -> list[Question]:
    return [Question.model_validate(row) for row in read_jsonl(folder / "questions.jsonl")]


def truth_of(folder: Path) -> dict[str, Truth] | None:
    """id -> truth, for the builtin pool; None for any other."""
    path = folder / "truth.jsonl"
    if not path.exists():
        return None
    return {row["id"]: Truth.model_validate(row) for row in read_jsonl(path)}


def reference_pool(questions: Iterable[Question]) -> Pool:
    """First turns with their references, for held-out loss; questions without a reference are left out."""
    return Pool.from_samples(
        make_sample(q.turns[0], q.reference, id=q.id) for q in questions if q.reference and q.turns
    )
