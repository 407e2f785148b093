"""Clusters of embeddings with an equal share each: drawn, or the best of each.

    kmeans-random     group `embedding`   score -                allocate `uniform`, balanced per group
    kmeans-quality    group `embedding`   score `pool_quality`   allocate `per_group`

k is floor(sqrt(n / 2)), as in CaR, unless `group.k` says otherwise.
"""

from __future__ import annotations

from tacos.allocation.per_group import PerGroup
from tacos.allocation.uniform import Uniform
from tacos.grouping.embedding import EmbeddingGroups
from tacos.methods.base import preset
from tacos.methods.recipe import Recipe
from tacos.scoring.pool_quality import PoolQuality

preset(
    "kmeans-random",
    Recipe(group=EmbeddingGroups(), score=None, allocate=Uniform(balanced="group")),
    "an equal draw from each cluster of embeddings",
)
preset(
    "kmeans-quality",
    Recipe(group=EmbeddingGroups(), score=PoolQuality(), allocate=PerGroup()),
    "the best of each cluster of embeddings",
)
