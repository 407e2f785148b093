"""The tables of selection's stages: their names, who writes them, who reads them.

    pool.parquet      load       the clean pool; beside it `questions.jsonl`, `tested.jsonl` of public benchmarks, and
                                 `queries.jsonl` for the builtin pool
                      queries    query rows, each with its task as source
    vectors.npy       embed, states    (n_samples, dim) float32; normalize: of the tags left, in alphabetical order
    tags.parquet      tag, normalize    id, tags, error
    groups.jsonl      group      group, rows (row numbers of the pool)
    scores.parquet    score      id, value (or null), error, and std_error where it is known;
                                 `within.json` where a score holds inside a group only,
                                 `targets.npy` and `targets.json` where it was made for query rows
    read.jsonl        losses, ratings, states, gradients ...    what a local model says of each row (`tacos.store.kept`)
    comparisons.parquet  compare    every comparison with its answer (`tacos.scoring.calls`), and `readout.json`
    selection.jsonl   select     id, messages, selection: rank, score, group, place, reason

A scores table is also what `score: {by: file}` reads, so scores can be shared.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tacos.selection import Groups, Pick, Scores, Selected, Tags, Targets
from tacos.store.files import read_jsonl, write_jsonl
from tacos.types import Message, Pool, Question, Sample

POOL = "pool.parquet"
QUESTIONS = "questions.jsonl"
TESTED = "tested.jsonl"
BUILTIN_QUERIES = "queries.jsonl"
VECTORS = "vectors.npy"
TAGS = "tags.parquet"
GROUPS = "groups.jsonl"
SCORES = "scores.parquet"
WITHIN = "within.json"
TARGETS = "targets.npy"
TARGETED = "targets.json"
SELECTION = "selection.jsonl"


def read_tested(pool: Path) -> list[Question]:
    """All questions that a run tests with: its own, and those of public benchmarks. pool: the folder of `load`."""
    paths = [pool / name for name in (QUESTIONS, TESTED)]
    return [Question.model_validate(row) for path in paths if path.exists() for row in read_jsonl(path)]


def write_vectors(folder: Path, vectors: np.ndarray) -> None:
    """vectors: (n, dim) float32."""
    np.save(folder / VECTORS, vectors)


def read_vectors(folder: Path) -> np.ndarray:
    """(n, dim) float32, from disk as far as it is looked at."""
    return np.asarray(np.load(folder / VECTORS, mmap_mode="r"))


def write_tags(folder: Path, pool: Pool, tags: Tags) -> None:
    errors = [tags.errors.get(i) for i in range(len(tags.rows))]
    columns: Mapping[str, Any] = {
        "id": pool.ids,
        "tags": [list(row) for row in tags.rows],
        "error": pa.array(errors, pa.string()),
    }
    pq.write_table(pa.table(columns), folder / TAGS)


def read_tags(folder: Path) -> Tags:
    """As they were written."""
    table = pq.read_table(folder / TAGS)
    errors = {i: e for i, e in enumerate(table.column("error").to_pylist()) if e}
    return Tags(tuple(tuple(row) for row in table.column("tags").to_pylist()), errors)


def write_groups(folder: Path, groups: Groups) -> None:
    pairs = zip(groups.labels, groups.members, strict=True)
    write_jsonl(folder / GROUPS, ({"group": name, "rows": members.tolist()} for name, members in pairs))


def read_groups(folder: Path) -> Groups:
    rows = list(read_jsonl(folder / GROUPS))
    return Groups(tuple(r["group"] for r in rows), tuple(np.array(r["rows"], dtype=np.int64) for r in rows))


def groups_of(inputs: Mapping[str, Path], n: int) -> Groups:
    """The groups among a stage's inputs; all `n` rows of the pool in one where it has none."""
    return read_groups(inputs["groups"]) if "groups" in inputs else Groups.one(n)


def write_scores(folder: Path, pool: Pool, scores: Scores) -> None:
    """One row per sample: its score or the reason there is none, and its score in each of its groups."""
    rows = list(scores.rows(pool))
    columns: dict[str, Any] = {
        "id": [r.sample_id for r in rows],
        "value": pa.array([r.value for r in rows], pa.float64()),
        "error": pa.array([r.error for r in rows], pa.string()),
    }
    if scores.std_errors is not None:
        columns |= {"std_error": pa.array([r.std_error for r in rows], pa.float64())}
    pq.write_table(pa.table(columns), folder / SCORES)
    if scores.within is not None:
        payload = [[None if np.isnan(v) else float(v) for v in values] for values in scores.within]
        (folder / WITHIN).write_text(json.dumps(payload))
    if scores.targets is not None:
        np.save(folder / TARGETS, scores.targets.values)
        said = {name: getattr(scores.targets, name) for name in ("queries", "tasks", "within")}
        (folder / TARGETED).write_text(json.dumps(said))


def read_scores(folder: Path) -> Scores:
    """As they were written, but for `unread`; targets stay on disk until they are looked at."""
    table = pq.read_table(folder / SCORES)
    values = table.column("value").to_numpy(zero_copy_only=False).astype(np.float64)
    errors = {i: e for i, e in enumerate(table.column("error").to_pylist()) if e}
    path = folder / WITHIN
    within = None
    if path.exists():
        within = tuple(np.array(v, dtype=np.float64) for v in json.loads(path.read_text()))
    known = None
    if "std_error" in table.column_names:
        known = table.column("std_error").to_numpy(zero_copy_only=False).astype(np.float64)
    return Scores(values, errors, within, targets=_targets(folder), std_errors=known)


def _targets(folder: Path) -> Targets | None:
    """Read from disk as far as they are looked at."""
    if not (folder / TARGETS).exists():
        return None
    said = json.loads((folder / TARGETED).read_text())
    values = np.load(folder / TARGETS, mmap_mode="r")
    return Targets(values, tuple(said["queries"]), tuple(said["tasks"]), said["within"])


def write_selection(folder: Path, pool: Pool, picks: Sequence[Pick]) -> None:
    write_jsonl(folder / SELECTION, selection_rows(pool, picks))


def read_selection(folder: Path) -> list[Sample]:
    """Best first."""
    return [selected_sample(row) for row in read_jsonl(folder / SELECTION)]


def selected_sample(row: Mapping[str, Any]) -> Sample:
    """The sample that a row of a selection holds, as far as it is trained on."""
    messages = tuple(Message.model_validate(message) for message in row["messages"])
    return Sample(id=row["id"], messages=messages, input=row.get("input", ""))


def selection_rows(pool: Pool, picks: Sequence[Pick]) -> list[dict[str, Any]]:
    """`{"id", "messages", "selection": {"rank", "score", "group", "place", "reason"}}` per pick, ranked from 1.

    `source` and `input` stand there where the pool has them, and so do the columns that were asked to be kept. Scores
    have 4 decimals, and those below 0.1 as many significant digits: similarities of gradients are about 0.0001.
    """
    rows = []
    for rank, (pick, sample) in enumerate(
        zip(picks, pool.take([p.index for p in picks]), strict=True), start=1
    ):
        chosen = Selected(
            sample_id=sample.id,
            rank=rank,
            score=None if pick.score is None else _shown(pick.score),
            group=pick.group,
            place=pick.place,
            reason=pick.reason,
        )
        row = sample.model_dump(include={"id", "messages"})
        row |= {name: value for name in ("source", "input") if (value := getattr(sample, name))}
        rows.append({**sample.extra, **row, "selection": chosen.model_dump(exclude={"sample_id"})})
    return rows


def _shown(score: float) -> float:
    return float(f"{score:.4g}") if abs(score) < 0.1 else round(score, 4)
