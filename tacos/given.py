"""What a user gives instead of having it made: scores, groups and vectors from files, checked against the pool.

scores     JSONL or Parquet   id, value (or null), error,        a row that is left out has no score
                              std_error                          if there is one, of every value
groups     JSONL or Parquet   id, group (or null: in no group)   a row may stand in several lines, or in none
                              as CaR's authors name them also: score for value, cluster for group
vectors    .npy               (n, dim), rows in pool order       as many as the clean pool has
           Parquet            id, vector                         each row of the pool once
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tacos.data.builder import id_text
from tacos.data.clean import is_finite, is_missing
from tacos.data.rows import read_rows
from tacos.errors import ConfigError, PoolError
from tacos.selection import Groups, Scores
from tacos.store.fingerprint import file_digest
from tacos.types import Pool

COLUMNS = {"value": ("value", "score"), "group": ("group", "cluster"), "vector": ("vector",)}
"""Names under which a column may stand; the first that is there counts."""

log = logging.getLogger(__name__)


def given_file(path: str, where: str) -> Path:
    """Raises: ConfigError when there is none."""
    found = Path(path)
    if not found.is_file():
        raise ConfigError(f"{where}: there is no file {path}")
    return found


def named(path: str, where: str) -> dict[str, str]:
    """A file as identity: by content, wherever it lies."""
    return {"file": file_digest(given_file(path, where))}


def read_given_scores(path: Path, pool: Pool) -> Scores:
    """Raises: PoolError for an id that stands twice, a value that is not a finite number, or no id of the pool."""
    values, errors = np.full(len(pool), np.nan), dict.fromkeys(range(len(pool)), f"not in {path.name}")
    sure = np.full(len(pool), np.nan)
    unread = 0
    for line, position, row in _rows(path, pool, "value"):
        if errors.pop(position, None) is None:
            raise PoolError(f"{path} line {line}: id {row['id']!r} occurs twice: give each row once")
        value = row["value"]
        if is_missing(value):
            why = row.get("error")
            errors[position] = f"no value in {path.name}" if is_missing(why) or not why else str(why)
            unread += 1
        elif not is_finite(value):
            raise PoolError(
                f"{path} line {line}: value {value!r:.40} is not a finite number (use null where there is none)"
            )
        else:
            values[position], sure[position] = value, _std_error(path, line, row)
    # What was popped and not put back has a value; the rest keeps its reason.
    known = ~np.isnan(sure)
    complete = known.any() and (known == ~np.isnan(values)).all()
    if known.any() and not complete:
        log.warning("%s: some scores have no std_error, so that of the others is left out", path)
    return Scores(values, errors, unread=unread, std_errors=sure if complete else None)


def _std_error(path: Path, line: int, row: Mapping[str, Any]) -> float:
    """NaN where the row has none. Raises: PoolError for what is no such number."""
    found = row.get("std_error")
    if is_missing(found):
        return np.nan
    if not is_finite(found) or found < 0:
        raise PoolError(f"{path} line {line}: std_error {found!r:.40} is not a finite number of 0 and more")
    return float(found)


def read_given_groups(path: Path, pool: Pool) -> Groups:
    """Groups in order of appearance, members in stored order; null, and NaN as pandas writes it, is no group.

    Raises: PoolError for a row without id or group, or when no id is the pool's.
    """
    members: dict[str, set[int]] = {}
    for _, position, row in _rows(path, pool, "group"):
        names = row["group"] if isinstance(row["group"], list) else [row["group"]]
        for name in names:
            if not is_missing(name):
                members.setdefault(id_text(name) or str(name), set()).add(position)
    return Groups(tuple(members), tuple(np.array(sorted(rows), dtype=np.int64) for rows in members.values()))


def read_given_vectors(path: Path, pool: Pool) -> np.ndarray:
    """(n_samples, dim) float32, as they are given: not brought to unit length.

    Raises: PoolError when they do not fit the pool, or hold anything but finite numbers.
    """
    given = _npy(path, pool) if path.suffix == ".npy" else _by_id(path, pool)
    if not given.shape[1]:
        raise PoolError(f"{path} holds vectors of no numbers: make them anew")
    with np.errstate(over="ignore"):  # what float32 cannot hold is told below
        vectors = np.ascontiguousarray(given, dtype=np.float32)
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        row = int(np.argmin(finite))
        raise PoolError(
            f"{path}: vector {row:,} holds a value that is not a finite number of 32 bits: make it anew"
        )
    return vectors


def _npy(path: Path, pool: Pool) -> np.ndarray:
    try:
        vectors = np.load(path, allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise PoolError(
            f"{path} is not a .npy file of numbers ({error}): write it with numpy.save"
        ) from error
    if vectors.ndim != 2 or vectors.dtype.kind not in "iuf":
        raise PoolError(
            f"{path} holds {vectors.dtype} of shape {vectors.shape}; vectors are (n, dim) numbers"
        )
    if len(vectors) != len(pool):
        raise PoolError(
            f"{path} holds {len(vectors):,} vectors, and the clean pool has {len(pool):,} rows: make them for those "
            "(`artifacts/load/*/pool.parquet`), or give Parquet with id and vector"
        )
    return np.asarray(vectors)


def _by_id(path: Path, pool: Pool) -> np.ndarray:
    found: dict[int, np.ndarray] = {}
    for line, position, row in _rows(path, pool, "vector"):
        if position in found:
            raise PoolError(f"{path} line {line}: id {row['id']!r} occurs twice: give each row once")
        found[position] = _vector(row["vector"], f"{path} line {line}")
    if len(found) < len(pool):
        missing = next(id_ for i, id_ in enumerate(pool.ids) if i not in found)
        raise PoolError(
            f"{path} lacks {len(pool) - len(found):,} of {len(pool):,} rows, the first {missing!r}: "
            "give a vector for each"
        )
    lengths = sorted({len(vector) for vector in found.values()})
    if len(lengths) > 1:
        raise PoolError(
            f"{path} holds vectors of {lengths[0]} and of {lengths[-1]} numbers: give all one length"
        )
    return np.array([found[i] for i in range(len(pool))])


def _vector(value: Any, where: str) -> np.ndarray:
    """(dim,) float64. Raises: PoolError for anything but a list of numbers."""
    try:
        vector = np.array(value, dtype=np.float64) if isinstance(value, list) else None
    except (TypeError, ValueError, OverflowError):
        vector = None
    if vector is None or vector.ndim != 1:
        raise PoolError(f"{where}: vector {str(value)[:40]!r} is not a list of numbers")
    return vector


def _rows(path: Path, pool: Pool, column: str) -> Iterable[tuple[int, int, dict[str, Any]]]:
    """(line, row of the pool, the file's row with `column` in it); rows of no sample in the pool are counted and said.

    Raises: PoolError for a row without id or column, or when no id is the pool's.
    """
    strangers = known = 0
    for raw in read_rows(path):
        row = raw.value
        name = next((n for n in COLUMNS[column] if isinstance(row, dict) and n in row), None)
        if name is None or "id" not in row:
            raise PoolError(f"{path} line {raw.line}: a row needs `id` and `{column}`")
        position = pool.position.get(id_text(row["id"]) or "")
        if position is None:
            strangers += 1
            continue
        known += 1
        yield raw.line, position, row | {column: row[name]}
    if not known:
        raise PoolError(f"{path} names none of the pool's {len(pool):,} ids, such as {pool.ids[0]!r}")
    if strangers:
        log.warning("%s: %d rows name no sample of the clean pool and are left out", path, strangers)
