"""Groups by open tags (TACOS, arXiv 2507.03673): tag -> normalize -> cluster the tags -> samples by cluster.

A sample stands in every cluster that one of its tags falls in; one that keeps no tag stands in none and cannot be
selected. Figures of the paper: about 50,000 tags become under 6,000, in K = 50 clusters.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tacos.cost import Cost
from tacos.grouping.cluster import ClusteringSettings, cluster_tags, signature_reduction
from tacos.grouping.normalize import NormalizationSettings, normalize
from tacos.grouping.tagging import FIELDS, KeyphraseTagger, LLMTagger, TaggingSettings, tag_request
from tacos.llm.estimate import Asked
from tacos.llm.settings import LLMSettings
from tacos.models.embedded import embedded
from tacos.models.embedder import EmbedderSettings, unit_rows
from tacos.part import Grouper, Setup, grouper
from tacos.selection import Groups, Tags
from tacos.stage import Job, Outcome, Stage
from tacos.store import tables
from tacos.store.files import write_json
from tacos.types import Pool

log = logging.getLogger(__name__)
EXPECTED_REPLY = 150
"""Tokens; a handful of tags with a sentence each."""
EXPECTED_GROUPS = 2
"""Clusters a sample stands in, as long as there are none to count."""


@grouper(
    "tags",
    summary="clusters of open tags",
    paper="arXiv 2507.03673",
    needs="embeddings; an LLM with tagging.llm",
    cost=Cost(calls=1, embeddings=1, note="a call with tagging.llm, an embedding without"),
)
class TagGroups(Grouper):
    """One section per step."""

    seeded = True

    tagging: TaggingSettings = TaggingSettings()
    normalization: NormalizationSettings = NormalizationSettings()
    clustering: ClusteringSettings = ClusteringSettings()
    embedder: EmbedderSettings | None = None
    """What embeds tags, where they are merged and clustered; null is the run's, the paper's whaleloops/phrase-bert."""
    reduce: bool = False
    """Keep one sample per set of clusters, the longest (released code)."""

    @property
    def per_row(self) -> int:
        return min(EXPECTED_GROUPS, self.clustering.k)

    def describe(self, llms: Mapping[str, LLMSettings]) -> str:
        asked = self.tagging.llm is not None
        return f"tags ({self.tagging.asks(llms) if asked else 'KeyBERT keyphrases, embedded, no LLM'})"

    def inputs(self, setup: Setup) -> dict[str, Stage]:
        embedder, unit = self.embedder or setup.embedder, self.clustering.unit_vectors
        return {"tags": normalized(setup, tag(setup, self.tagging), self.normalization, embedder, unit)}

    def identity(self, setup: Setup) -> dict[str, Any]:
        return {**self.clustering.model_dump(), "reduce": self.reduce}

    def group(self, pool: Pool, job: Job) -> Groups:
        tags = tables.read_tags(job.inputs["tags"])
        vectors = tables.read_vectors(job.inputs["tags"])
        clustered = cluster_tags(tags, sorted(tags.counts()), vectors, self.clustering, job.seed)
        groups = signature_reduction(clustered, pool.responses) if self.reduce else clustered
        if 2 * len(groups.covered) < len(pool):
            log.warning(
                "only %d of %d samples can be selected: %d keep a tag (group.normalization), %d of these stand in a "
                "cluster (group.clustering), and group.reduce leaves %d",
                len(groups.covered),
                len(pool),
                tags.tagged(),
                len(clustered.covered),
                len(groups.covered),
            )
        return groups


def tag(setup: Setup, settings: TaggingSettings) -> Stage:
    """Tags per sample, from an LLM or from keyphrases: `tags.parquet`."""
    if settings.llm is not None:
        return _tag_by_llm(setup, settings)

    embedder = settings.embedder or setup.embedder

    def work(job: Job) -> Outcome:
        pool = job.pool()
        vectors = tables.read_vectors(job.inputs["vectors"])
        return _written(job, pool, KeyphraseTagger(settings, job.tools.embedder(embedder)).tag(pool, vectors))

    identity = {"by": "keyphrase", **settings.model_dump(include={"text", "top_n", "max_words", "min_df"})}
    inputs = {"pool": setup.pool, "vectors": embedded(setup.pool, embedder, settings.text)}
    return Stage("tag", work, identity, inputs)


def _tag_by_llm(setup: Setup, settings: TaggingSettings) -> Stage:
    assert settings.llm is not None
    name, llm = settings.llm, setup.llm(settings.llm, "group.tagging.llm")
    settings.check(FIELDS, "group.tagging")

    def work(job: Job) -> Outcome:
        pool = job.pool()
        return _written(job, pool, LLMTagger(settings, job.tools.llm(name)).tag(pool))

    def estimate(pool: Pool, done: Mapping[str, Path]) -> Asked:
        return Asked(llm, (tag_request(sample, settings) for sample in pool), EXPECTED_REPLY, llm=name)

    identity = {"by": "llm", "text": settings.text, **settings.asked(llm)}
    return Stage("tag", work, identity, {"pool": setup.pool}, estimate=estimate)


def _written(job: Job, pool: Pool, tags: Tags) -> Outcome:
    tables.write_tags(job.out, pool, tags)
    metrics = {"distinct_tags": len(tags.counts())}
    return Outcome(rows_in=len(pool), rows_out=tags.tagged(), rows_failed=len(tags.errors), metrics=metrics)


def normalized(
    setup: Setup, tags: Stage, settings: NormalizationSettings, embedder: EmbedderSettings, unit: bool
) -> Stage:
    """Tags after normalization with their vectors, and how many tags and tagged samples each step left.

    unit: whether the vectors have unit length.
    """

    def work(job: Job) -> Outcome:
        raw = tables.read_tags(job.inputs["tags"])
        model = job.tools.embedder(embedder)
        embed = Remembered(lambda texts: model(texts, unit=unit))
        result = normalize(raw, settings, embed if unit else lambda texts: unit_rows(embed(texts)))
        tables.write_tags(job.out, job.pool(), result.tags)
        tables.write_vectors(job.out, embed(sorted(result.tags.counts())))
        counts = {"distinct_tags": result.distinct, "tagged_samples": result.samples}
        top = {
            "top_before": dict(raw.counts().most_common(40)),
            "top_after": dict(result.tags.counts().most_common(40)),
        }
        write_json(job.out / "vocabulary.json", counts | top)
        return Outcome(rows_in=len(raw.rows), rows_out=result.tags.tagged(), metrics=counts)

    identity = {**settings.model_dump(), "embedder": embedder.identity(), "unit": unit}
    return Stage("normalize", work, identity, {"pool": setup.pool, "tags": tags})


class Remembered:
    """An embedder that embeds no text twice, for the many small calls over one vocabulary."""

    def __init__(self, embed: Callable[[list[str]], np.ndarray]):
        self.embed = embed
        self.known: dict[str, np.ndarray] = {}

    def __call__(self, texts: list[str]) -> np.ndarray:
        """(n_texts, dim) float32; (0, 0) for no text."""
        new = [text for text in dict.fromkeys(texts) if text not in self.known]
        if new:
            self.known |= dict(zip(new, self.embed(new), strict=True))
        return np.stack([self.known[text] for text in texts]) if texts else np.empty((0, 0), np.float32)
