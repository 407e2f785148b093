"""`tacos.data.prepare` as a stage: the clean pool, its test questions, and, for the builtin pool, its truth."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eval.questions import existing, read_question_sets, read_questions
from tacos.data.builtin.build import build
from tacos.data.prepare import Prepared, prepare
from tacos.data.read import ReadResult, local_file, read_pool
from tacos.pipeline.pool_settings import PoolSettings
from tacos.stage import Job, Outcome, Stage
from tacos.store import tables
from tacos.store.files import read_jsonl, write_jsonl
from tacos.store.fingerprint import file_digest
from tacos.types import Pool, Question, Truth, make_sample

log = logging.getLogger(__name__)
BUILTIN = "builtin"
VERSION = 4
"""Of the stage; what it writes changed with it."""


def load_stage(settings: PoolSettings, tested: Mapping[str, Path] | None = None) -> Stage:
    """tested: question files of public benchmarks, which no row of a pool, nor a query row, may hold.

    Raises: PoolError when a named file is missing and could not be a hub id either.
    """
    files = dict(tested or {})
    known: dict[str, Any] = {"tested": {name: file_digest(f) for name, f in files.items()}} if files else {}
    if settings.source == BUILTIN:
        identity: dict[str, Any] = {"builtin": settings.builtin, "dedup": settings.dedup, **known}
        return Stage("load", lambda job: _load_builtin(job, settings, files), identity, version=VERSION)
    identity = settings.model_dump(exclude={"source", "builtin", "questions"}) | _content(settings) | known
    return Stage("load", lambda job: _load_file(job, settings, files), identity, version=VERSION)


def named_source(source: str) -> dict[str, str]:
    """A file as identity by its content, a hub id by its name. Raises: PoolError when it can be neither."""
    path = local_file(source)
    return {"file": file_digest(path)} if path else {"hub": source}


def _content(settings: PoolSettings) -> dict[str, Any]:
    """What is read: the pool, and the test questions by content."""
    content: dict[str, Any] = dict(named_source(settings.source))
    digests = {name: file_digest(existing(Path(file))) for name, file in settings.question_files.items()}
    if digests:
        content["questions"] = digests.get("", digests)
    return content


def _load_builtin(job: Job, settings: PoolSettings, tested: Mapping[str, Path]) -> Outcome:
    _tested(job, tested)
    made = build(settings.builtin)
    write_jsonl(job.out / "corpus.jsonl", ({"text": text} for text in made.corpus))
    write_jsonl(job.out / tables.BUILTIN_QUERIES, (sample.model_dump() for sample in made.queries))
    rows = len(made.pool)
    read = ReadResult(made.pool, [], rows, np.arange(1, rows + 1), BUILTIN)
    prepared = prepare(read, settings.dedup, made.questions, decontaminate=False)
    kept = set(prepared.pool.ids)
    write_jsonl(job.out / "truth.jsonl", (t.model_dump() for t in made.truth if t.id in kept))
    return _write(job, prepared)


def _load_file(job: Job, settings: PoolSettings, tested: Mapping[str, Path]) -> Outcome:
    questions = read_question_sets(settings.question_files)
    read = read_pool(settings.source, settings.read)
    tell(settings.source, read.notes)
    prepared = prepare(
        read,
        settings.dedup,
        questions,
        settings.holdout,
        settings.holdout_seed,
        settings.decontaminate,
        _tested(job, tested),
    )
    return _write(job, prepared)


def _tested(job: Job, files: Mapping[str, Path]) -> list[Question]:
    """The questions of public benchmarks, kept for those who select for query rows."""
    found = [
        question.model_copy(update={"id": f"{name}/{question.id}"})
        for name, path in files.items()
        for question in read_questions(path)
    ]
    if found:
        write_jsonl(job.out / tables.TESTED, (question.model_dump() for question in found))
    return found


def tell(source: str, notes: Iterable[str]) -> None:
    """What a user should know of how a pool was read."""
    for note in notes:
        log.warning("%s: %s", source, note)


def _write(job: Job, prepared: Prepared) -> Outcome:
    prepared.pool.write(job.out / tables.POOL)
    write_jsonl(job.out / "dropped.jsonl", (d.model_dump() for d in prepared.dropped))
    write_jsonl(job.out / tables.QUESTIONS, (q.model_dump() for q in prepared.questions))
    return Outcome(
        rows_in=prepared.read,
        rows_out=len(prepared.pool),
        rows_failed=len(prepared.dropped),
        metrics={
            "dropped": prepared.reasons,
            "questions": len(prepared.questions),
            "notes": list(prepared.notes),
        },
    )


def questions_of(folder: Path) -> list[Question]:
    return [Question.model_validate(row) for row in read_jsonl(folder / tables.QUESTIONS)]


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
