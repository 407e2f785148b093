"""The row that adds most information to a graph of tags, again and again (MIG, arXiv 2504.13835).

Groups are the tags: `group: {by: tags, clustering: {algorithm: none}}`, or a file of ids and tags.

    v_i[t] = score_i at each tag t of row i, else 0                    (norm: divided by the number of its tags)
    W[s, t] = cosine of tags s and t where it is at least `threshold`, else 0
    P[s, t] = W[s, t] / sum_s W[s, t], with W off the diagonal times `spread` first
    gain_i = sum_t (v_i P)[t] * b (x[t] + a)^(b - 1)                   x: the sum of v P over the rows that were taken

Worked example, tags that are unlike each other, scores 1: rows {s}, {s}, {t}. All gain the same, so the first is taken;
then s has x = 1 and gains b, t has x = 0 and gains b a^(b - 1), far more, so the row {t} is next.

The gain is a slope at what is there and not the growth of the information itself, in the paper's algorithm as in the
released code. Slopes only fall, so most are never computed twice (`greedy.py`), and all matrices are sparse. Of equal
gains the first row is taken.

Where the released code differs (yichengchen24/MIG):
* `norm` is on in its class and off on its command line; here it is off.
* The score of a conversation is the mean over its turns of Deita's quality times complexity. Any score of 0 and more
  does here; a row without one is not taken.
* A tag that a row names twice counts twice for `norm` there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy
from pydantic import Field

from tacos.allocation.base import Quality, candidates, picked, qualities
from tacos.allocation.greedy import lazy_greedy
from tacos.cost import Cost
from tacos.models.embedder import EmbedderSettings
from tacos.part import Allocator, Setup, allocator
from tacos.selection import Groups, Pick, Scores
from tacos.stage import Job

BLOCK = 2048
"""Tags that are compared with all others in one product."""


@allocator(
    "mig",
    summary="the row that adds most information to a graph of tags",
    paper="arXiv 2504.13835",
    needs="groups as tags, embeddings of their names; scores are weights where there are some",
    cost=Cost(note="an embedding of each tag"),
)
class Mig(Allocator):
    """The graph of tags, and how information saturates."""

    reads_scores = None

    threshold: float = Field(0.9, gt=0, le=1)
    """Lowest cosine that links two tags."""
    spread: float = Field(1.0, ge=0)
    """Weight of a link against a tag's own information."""
    exponent: float = Field(0.8, gt=0, lt=1)
    """b: information at a tag counts as its b-th power."""
    offset: float = Field(1e-6, gt=0)
    """a: added before the power, so that the first slope is finite."""
    norm: bool = False
    """Share a row's score between its tags."""
    quality: Quality = "score"
    """A row's weight is its score, which must not be below 0, or its `rank` from the lowest, as a share of the rows."""
    embedder: EmbedderSettings | None = None
    """What embeds the names of tags; null is the run's."""

    def identity(self, setup: Setup) -> dict[str, Any]:
        embedder = (self.embedder or setup.embedder).identity()
        return {**self.model_dump(mode="json", exclude={"by"}), "embedder": embedder}

    def allocate(self, groups: Groups, scores: Scores, budget: int, job: Job) -> list[Pick]:
        """Raises: BudgetError when there are fewer rows, or fewer with a score; ConfigError for a score below 0."""
        rows = candidates(groups, scores, budget)
        weights = qualities(scores.values[rows], self.quality, self.name)
        names = job.tools.embedder(self.embedder)(list(groups.labels))
        links = linked(names, self.threshold, self.spread)
        job.metrics["links"] = (links.nnz - len(groups)) // 2
        taken = self.informing(tagged(groups, rows, weights, self.norm) @ links, budget)
        return picked(rows[taken], groups, scores, "adds most information")

    def informing(self, spread: scipy.sparse.csr_array, budget: int) -> list[int]:
        """Rows in the order they are taken. spread: (n, n_tags), what each row would add at each tag."""
        there = np.zeros(spread.shape[1])

        def gains(rows: np.ndarray, since: int) -> np.ndarray:
            slope = self.exponent * (there + self.offset) ** (self.exponent - 1)
            return np.asarray(spread[rows] @ slope)

        def take(row: int) -> None:
            at = slice(spread.indptr[row], spread.indptr[row + 1])
            there[spread.indices[at]] += spread.data[at]

        return lazy_greedy(np.full(spread.shape[0], np.inf), gains, take, budget)


def tagged(groups: Groups, rows: np.ndarray, weights: np.ndarray, norm: bool) -> scipy.sparse.csr_array:
    """(len(rows), n_groups): a row's weight at each of its groups."""
    homes = [groups.homes[row] for row in rows.tolist()]
    counts = np.array([len(numbers) for numbers in homes])
    values = np.repeat(weights / counts if norm else weights, counts)
    places = (np.repeat(np.arange(len(rows)), counts), np.concatenate([*homes, []]).astype(np.int64))
    return scipy.sparse.csr_array((values, places), shape=(len(rows), len(groups)))


def linked(names: np.ndarray, threshold: float, spread: float) -> scipy.sparse.csr_array:
    """P, (n_tags, n_tags): the share of each tag's information that comes from each tag.

    names: (n_tags, dim) float32 of unit length.
    """
    blocks = []
    for start in range(0, len(names), BLOCK):
        cosines = (names[start : start + BLOCK] @ names.T).astype(np.float64)
        cosines[cosines < np.float32(threshold)] = 0
        own = np.arange(len(cosines))
        diagonal = cosines[own, start + own]
        cosines *= spread
        cosines[own, start + own] = diagonal
        blocks.append(scipy.sparse.csr_array(cosines))
    links = scipy.sparse.vstack(blocks, format="csr")
    totals = links.sum(axis=0)
    return scipy.sparse.csr_array(
        links @ scipy.sparse.diags_array(np.divide(1, totals, out=np.zeros_like(totals), where=totals > 0))
    )
