"""The pre-experienced model of IFD: the base, trained a little on rows that are spread over the pool (Cherry, arXiv
2308.12032, section 2.1).

    e(x)     mean of the last layer's states over the prompt in the Alpaca template
    k-means  100 clusters of e
    rows     of each cluster those whose prompt has a perplexity from its 25th to its 75th percentile; of these every
             (how many // 10)-th from the first on, 10 of them
    model    the base, trained on these rows for 1 epoch

Worked example, 25 rows of a cluster between the percentiles: every second, so those at 0, 2, 4, ... 18.

Quirks of the released code, kept: a cluster of fewer than 10 rows gives all of them; so does one with fewer than 10
between its percentiles; the step is rounded down, so the last rows of a cluster are never taken; k-means has the seed 0
whatever the run's.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from pydantic import Field

from tacos.models.batches import Supervised, hidden_states, token_losses
from tacos.models.expected import text_tokens
from tacos.models.local import LocalModel
from tacos.models.source import Source
from tacos.part import Setup
from tacos.scoring.answer_loss import Template, prompt_text
from tacos.scoring.model_run import ModelRun
from tacos.scoring.states import vectors_of
from tacos.selection import Pick
from tacos.stage import Job, Outcome, Stage
from tacos.store import tables
from tacos.types import Pool, Record

LOW, HIGH = 25, 75
"""Percentiles of a cluster's perplexities."""


class Experience(Record):
    """How the rows are chosen, and what is changed of the run's training."""

    clusters: int = Field(100, ge=1)
    per_cluster: int = Field(10, ge=1)
    epochs: float = Field(1.0, gt=0)
    train: dict[str, Any] = Field(default_factory=dict)
    """More settings of the training, beside those of the run."""

    def stage(self, setup: Setup, run: ModelRun, template: Template, max_tokens: int, where: str) -> Stage:
        """The trained model. Raises: ConfigError where the run does not train."""
        changed = {"budget": "samples", "epochs": self.epochs, "keep_epochs": False, **self.train}
        rows = self._rows(setup, run, template, max_tokens)
        return setup.trained(rows, self.clusters * self.per_cluster, where, **changed)

    def _rows(self, setup: Setup, run: ModelRun, template: Template, max_tokens: int) -> Stage:
        """`selection.jsonl`: the rows, cluster by cluster."""
        prompts = read_prompts(setup, run, template, max_tokens)

        def work(job: Job) -> Outcome:
            pool = job.pool()
            vectors, errors = vectors_of(job, "prompts")
            known = np.array([row for row in range(len(pool)) if row not in errors], dtype=np.int64)
            states, losses = vectors[known, :-1], vectors[known, -1].astype(np.float64)
            numbers = clusters(states, self.clusters)
            rows = known[spread(numbers, np.exp(losses), self.per_cluster)]
            tables.write_selection(job.out, pool, [Pick(index=int(row), reason="experience") for row in rows])
            return Outcome(rows_in=len(pool), rows_out=len(rows), rows_failed=len(errors))

        identity = {"clusters": self.clusters, "per_cluster": self.per_cluster}
        return Stage("experience", work, identity, {"pool": setup.pool, "prompts": prompts})


def read_prompts(setup: Setup, run: ModelRun, template: Template, max_tokens: int) -> Stage:
    """`vectors.npy`, (n_samples, dim + 1) float32: the mean state of each prompt, and the mean loss of its tokens."""

    def tokens(pool: Pool) -> float:
        return 2 * float(np.minimum(text_tokens(pool.prompts), max_tokens).sum())

    source = Source(setup.base, device=setup.embedder.device)
    work = partial(_prompts, template, max_tokens, run.batch_tokens)
    asked = {"template": template, "max_tokens": max_tokens}
    return run.over(setup.pool, "prompts", source, asked, work, vectors=True, tokens=tokens)


def _prompts(
    template: Template, max_tokens: int, budget: int, lm: LocalModel, pool: Pool, what: str
) -> Iterator[tuple[int, np.ndarray | str]]:
    rows = [_prompt(lm, *row, template, max_tokens) for row in _asked(pool)]
    places = [place for place, row in enumerate(rows) if len(row.ids) > 1]
    for place in sorted(set(range(len(rows))) - set(places)):
        yield place, "the prompt has no token that can be scored"
    given = [rows[place] for place in places]
    losses = dict(token_losses(lm, given, budget, what and f"{what}: losses"))
    for place, state in hidden_states(lm, given, "mean", budget, what and f"{what}: states"):
        yield places[place], np.append(state, losses[place].mean()).astype(np.float32)


def _asked(pool: Pool) -> Iterator[tuple[str, str]]:
    """Each prompt, and the part of it that is a context of its own."""
    for sample in pool:
        yield sample.prompt, sample.input


def _prompt(lm: LocalModel, text: str, input: str, template: Template, max_tokens: int) -> Supervised:
    limit = min(max_tokens, lm.context or max_tokens)
    ids = lm.tokenizer(prompt_text(text, input, "none" if template == "chat" else template))["input_ids"][
        :limit
    ]
    return Supervised(ids, [1] * len(ids))


def clusters(states: np.ndarray, k: int) -> np.ndarray:
    """(n,) the cluster of each row. states: (n, dim)."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # sums are then in one order
        found: np.ndarray = KMeans(n_clusters=min(k, len(states)), random_state=0).fit(states).labels_
    return found


def spread(numbers: np.ndarray, perplexities: np.ndarray, n: int) -> np.ndarray:
    """Rows, n of each cluster with a middling perplexity, in the order of clusters and rows.

    numbers, perplexities: (n_rows,).
    """
    return np.concatenate(
        [_middling(np.flatnonzero(numbers == c), perplexities, n) for c in np.unique(numbers)]
    )


def _middling(rows: np.ndarray, perplexities: np.ndarray, n: int) -> np.ndarray:
    if len(rows) < n:
        return rows
    own = perplexities[rows]
    low, high = np.percentile(own, [LOW, HIGH])
    middle = rows[(own >= low) & (own <= high)]
    return middle if len(middle) < n else middle[:: len(middle) // n][:n]
