"""A pool as a map: the first two principal components of its embeddings, with what an arm makes of each row.

    PoolMap(teller).page(arm)     x, y, and rank, score and group of every row that is drawn

Embeddings are those that a stage of the run has made of the pool's rows, of whole pairs where there are such.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eval.report.style import ARM_COLOURS
from tacos.store import tables
from tacos.types import Record
from tacos.viewing.arm_tables import ArmTables
from tacos.viewing.story import Teller

MOST_POINTS = 20_000
FITTED = 50_000
"""Rows that the components are found on."""
TEXTS = ("pair", "prompt", "instruction", "response")
"""Of what embeddings are; the first that there are is shown."""
NAMED_GROUPS = len(ARM_COLOURS)


class MapQuery(Record):
    """Whose selection, scores and groups are laid over the map."""

    arm: str
    seed: int | None = None
    """The first of the arm when unset."""


class Places(Record):
    """Where rows lie."""

    text: str
    """Which text was embedded: pair, prompt, instruction, response, or given for vectors of the user's."""
    explained: tuple[float, float]
    """Share of the variance along either axis."""
    rows: int
    """Of the pool."""
    x: list[float]
    """In -1 to 1, as is `y`; the wider side fills it."""
    y: list[float]


class MapPage(Record):
    """The drawn rows, as columns."""

    places: Places
    ids: list[str]
    taken: list[list[int]]
    """Numbers of the arms that selected a row, in the order of the run's arms that select."""
    scores: list[float | None]
    groups: list[int | None]
    """Number in `names` of the row's first group; None for smaller ones and rows without."""
    names: list[str]
    """The largest groups of the arm."""
    palette: list[str]


def embedded_in(arms: Sequence[ArmTables], rows: int) -> tuple[Path, str] | None:
    """The folder of the pool's embeddings and their text; None where no stage has made any. rows: of the pool."""
    found: dict[str, Path] = {}
    for arm in arms:
        for stage in arm.select.walk():
            if stage.name == "embed" and (stage.path / tables.VECTORS).is_file():
                settings = stage.done.get("settings")
                text = settings.get("text", "given") if isinstance(settings, dict) else "given"
                if np.load(stage.path / tables.VECTORS, mmap_mode="r").shape[0] == rows:
                    found.setdefault(str(text), stage.path)
    text = next((name for name in (*TEXTS, *found) if name in found), None)
    return (found[text], text) if text is not None else None


class PoolMap:
    """Places of the drawn rows of one pool; found once. Raises: KeyError where nothing was embedded."""

    def __init__(self, teller: Teller, rows: Sequence[int] | None = None):
        """rows: to be drawn; None for all, and of a large pool what was selected and a draw of the rest."""
        self.teller = teller
        found = embedded_in(teller.arms, len(teller.pool))
        if found is None:
            raise KeyError("embedding")
        self.rows = np.asarray(_drawn(teller) if rows is None else rows, dtype=np.int64)
        folder, text = found
        points, explained = project(tables.read_vectors(folder), self.rows)
        x, y = points.T.tolist()
        self.places = Places(text=text, explained=explained, rows=len(teller.pool), x=x, y=y)

    def page(self, arm: ArmTables) -> MapPage:
        ids, groups = self.teller.pool.ids, arm.groups
        taken = np.array([one.ranks[self.rows] > 0 for one in self.teller.arms])
        values = arm.scores.values[self.rows]
        sizes = [len(members) for members in groups.members] if groups else []
        largest = sorted(range(len(sizes)), key=lambda number: (-sizes[number], number))[:NAMED_GROUPS]
        named = {number: place for place, number in enumerate(largest)}
        homes = groups.homes if groups else {}
        firsts = (next((named[n] for n in homes.get(int(row), ()) if n in named), None) for row in self.rows)
        return MapPage(
            places=self.places,
            ids=[ids[row] for row in self.rows],
            taken=[np.flatnonzero(column).tolist() for column in taken.T],
            scores=[None if np.isnan(value) else float(value) for value in values],
            groups=list(firsts),
            names=[groups.labels[number] for number in largest] if groups else [],
            palette=list(ARM_COLOURS),
        )


def project(vectors: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """(len(rows), 2) in -1 to 1, and the share of variance along either axis.

    vectors: (n, dim). Components are those of all rows, or of evenly spaced `FITTED` of a larger pool.
    """
    from sklearn.decomposition import PCA

    some = np.unique(np.linspace(0, len(vectors) - 1, min(len(vectors), FITTED)).astype(np.int64))
    axes = min(2, len(some), vectors.shape[1])
    model = PCA(n_components=axes, svd_solver="full" if len(some) < vectors.shape[1] else "covariance_eigh")
    with np.errstate(invalid="ignore"):  # rows that are all the same have no variance to share
        model.fit(np.asarray(vectors[some], dtype=np.float64))
    points = np.zeros((len(rows), 2))
    points[:, :axes] = model.transform(np.asarray(vectors[rows], dtype=np.float64))
    shares = [*np.nan_to_num(model.explained_variance_ratio_).tolist(), 0.0, 0.0]
    points -= (points.max(axis=0) + points.min(axis=0)) / 2 if len(points) else 0
    widest = np.abs(points).max() if points.size else 0.0
    return np.round(points / (widest or 1.0), 4), (shares[0], shares[1])


def _drawn(teller: Teller) -> np.ndarray:
    """All rows, or those that an arm chose and a draw of the others, ascending."""
    n = len(teller.pool)
    if n <= MOST_POINTS:
        return np.arange(n)
    masks = [arm.ranks > 0 for arm in teller.arms]
    chosen = np.any([mask for mask in masks if not mask.all()] or [np.zeros(n, dtype=bool)], axis=0)
    rng = np.random.default_rng(0)
    kept = np.flatnonzero(chosen)
    if len(kept) > MOST_POINTS // 2:
        kept = rng.choice(kept, MOST_POINTS // 2, replace=False)
    rest = rng.choice(
        np.flatnonzero(~chosen), min(MOST_POINTS - len(kept), int((~chosen).sum())), replace=False
    )
    return np.sort(np.concatenate([kept, rest]))
