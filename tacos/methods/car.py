"""CaR: clustering and ranking (arXiv 2402.18191).

    score     the quality of every instruction pair (IQS), by a scorer trained on experts' revisions
    cluster   embeddings of whole pairs, PCA to 95% of the variance, k-means with k = floor(sqrt(n / 2))
    select    the n1 best of all, and the n2 best of each cluster that are not among them

The paper's scorer is an XLM-R with a head (`tacos iqs train --scorer encoder`); ours by default is a light one on
words, text features and frozen embeddings. Without a trained scorer the quality model of the embedded comparator,
fitted on the pool itself, ranks: it has seen no expert, and the log says so.

The paper's n1 = 1,000 and n2 = 1 took 1,017 of Alpaca's 52,002 rows. Here n1 follows from the budget, so that CaR
can be compared with others row for row; `top` sets it as in the paper.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from pydantic import Field

from tacos import steps
from tacos.allocation.top_and_best import TopAndBest
from tacos.grouping.cluster import write_groups
from tacos.grouping.embeddings import EmbeddingClusterSettings, cluster_embeddings
from tacos.methods.base import method
from tacos.scoring.iqs.base import Vectors
from tacos.scoring.iqs.folder import Card, load, read_card
from tacos.scoring.iqs.light import LightSettings
from tacos.scoring.learned import LearnedSettings
from tacos.stage import Job, Outcome, Stage
from tacos.types import Record, Scores

log = logging.getLogger(__name__)


class CarSettings(Record):
    """One section per step."""

    scorer: str | None = None
    """Folder that `tacos iqs train` wrote; None ranks by a quality model fitted on the pool itself."""
    learned: LearnedSettings = LearnedSettings()
    """That pool-fitted model."""
    clustering: EmbeddingClusterSettings = EmbeddingClusterSettings()
    top: int | None = Field(None, ge=0)
    """n1; None is as many as the budget has room for."""
    per_cluster: int = Field(1, ge=0)
    """n2."""


@method("car", CarSettings, "expert-trained quality; the top and each cluster's best", "arXiv 2402.18191")
def car(settings: CarSettings, bench: steps.Bench) -> Stage:
    scores = ranked(bench, settings)
    groups = clustered(bench, settings.clustering)
    allocator = TopAndBest(settings.top, settings.per_cluster)
    identity = {"by": "top_and_best", "top": settings.top, "per_cluster": settings.per_cluster}
    return steps.select(bench, "car", allocator, identity, groups, scores)


def ranked(bench: steps.Bench, settings: CarSettings) -> Stage:
    """IQS of every pair, `scores.parquet`; log-odds, of which only order and differences mean something.

    Raises: TacosError when the scorer's folder is none, or of another version.
    """
    if settings.scorer is None:
        return _ranked_by_pool(bench, settings.learned)
    folder = Path(settings.scorer)
    card = read_card(folder)
    embedded = shared_embeddings(bench, card)

    def work(job: Job) -> Outcome:
        pool = job.pool()
        scorer, _ = load(folder, job.tools.embedder())
        vectors = Vectors(*(steps.vectors(job.inputs[name]) for name in embedded)) if embedded else None
        return _write(job, scorer.score(pool.prompts, pool.responses, vectors))

    return Stage("iqs", work, {"scorer": card.fingerprint}, {"pool": bench.pool} | embedded)


def shared_embeddings(bench: steps.Bench, card: Card) -> dict[str, Stage]:
    """Prompts and responses as the scorer would embed them itself, and as other methods do; {} where it needs none, or
    those of another model."""
    if card.kind != "light":
        return {}
    light = LightSettings.model_validate(card.settings)
    if not light.floor_slope or light.embedder.identity() != bench.embedder.identity():
        return {}
    return {
        "prompts": steps.embed(bench, "prompt"),
        "responses": steps.embed(bench, "response", light.response_tokens),
    }


def _ranked_by_pool(bench: steps.Bench, settings: LearnedSettings) -> Stage:
    def work(job: Job) -> Outcome:
        log.warning(
            "no scorer trained on expert pairs is given (settings.scorer): pairs are ranked by a quality model that "
            "was fitted on the pool itself; `tacos iqs train` makes one"
        )
        return _write(job, np.load(job.inputs["quality"] / "quality.npy"))

    inputs = {"pool": bench.pool, "quality": steps.quality(bench, settings)}
    return Stage("iqs", work, {"scorer": "fitted on the pool"}, inputs)


def _write(job: Job, quality: np.ndarray) -> Outcome:
    pool = job.pool()
    unread = np.flatnonzero(np.isnan(quality)).tolist()
    steps.write_scores(
        job.out / "scores.parquet",
        pool,
        Scores(quality, dict.fromkeys(unread, "a side of the pair is empty")),
    )
    return Outcome(rows_in=len(pool), rows_out=len(pool) - len(unread), rows_failed=len(unread))


def clustered(bench: steps.Bench, settings: EmbeddingClusterSettings) -> Stage:
    """Clusters of whole pairs, `groups.jsonl`; each pair stands in one."""
    inputs = {"pool": bench.pool, "vectors": steps.embed(bench, "pair")}

    def work(job: Job) -> Outcome:
        groups = cluster_embeddings(steps.vectors(job.inputs["vectors"]), settings, bench.seed)
        write_groups(groups, job.out / "groups.jsonl")
        sizes = [len(members) for members in groups.members]
        metrics = {"groups": len(groups), "smallest": min(sizes, default=0), "largest": max(sizes, default=0)}
        return Outcome(rows_in=sum(sizes), rows_out=sum(sizes), metrics=metrics)

    return Stage("pairs", work, {**settings.model_dump(), "seed": bench.seed}, inputs)
