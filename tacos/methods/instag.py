"""InsTag: the rows of most tags that together cover the tags (arXiv 2308.07074, section 4.1). No code was released.

    group      `tags`           every normalized tag is a group by itself
    score      `group_count`    number of normalized tags
    allocate   `coverage`       rows that add a tag, pass after pass     (tacos/allocation/coverage.py)

Without `group.tagging.llm` keyphrases are the tags.
"""

from __future__ import annotations

from tacos.allocation.coverage import CoverGroups
from tacos.grouping.cluster import ClusteringSettings
from tacos.grouping.tags import TagGroups
from tacos.methods.base import preset
from tacos.methods.recipe import Recipe
from tacos.scoring.group_count import GroupCount

preset(
    "instag",
    Recipe(
        group=TagGroups(clustering=ClusteringSettings(algorithm="none")),
        score=GroupCount(),
        allocate=CoverGroups(),
    ),
    "rows of many tags that cover all tags",
    "arXiv 2308.07074",
)
