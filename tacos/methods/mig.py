"""MIG: most information over a graph of tags (arXiv 2504.13835).

    group      `tags`           every normalized tag is a group by itself
    score      `pool_quality`   the paper has Deita's score
    allocate   `mig`            the largest slope of information     (tacos/allocation/mig.py)

The pool-fitted quality is in log-odds, which may be below 0, so that its rank is the weight here. Without
`group.tagging.llm` keyphrases are the tags.
"""

from __future__ import annotations

from tacos.allocation.mig import Mig
from tacos.grouping.cluster import ClusteringSettings
from tacos.grouping.tags import TagGroups
from tacos.methods.base import preset
from tacos.methods.recipe import Recipe
from tacos.scoring.pool_quality import PoolQuality

preset(
    "mig",
    Recipe(
        group=TagGroups(clustering=ClusteringSettings(algorithm="none")),
        score=PoolQuality(),
        allocate=Mig(quality="rank"),
    ),
    "quality, and most information over a graph of tags",
    "arXiv 2504.13835",
)
