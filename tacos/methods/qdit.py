"""QDIT: quality and coverage of the whole pool (arXiv 2311.14736).

    group      `none`
    score      `pool_quality`         the paper has an LLM or a reward model rate: score.by=rating
    allocate   `facility_location`    (1 - alpha) coverage + alpha quality     (tacos/allocation/facility_location.py)

alpha is 0.7, as MIG's authors set it to reproduce QDIT with Deita's score.
"""

from __future__ import annotations

from tacos.allocation.facility_location import FacilityLocation
from tacos.grouping.none import NoGroups
from tacos.methods.base import preset
from tacos.methods.recipe import Recipe
from tacos.scoring.pool_quality import PoolQuality

preset(
    "qdit",
    Recipe(group=NoGroups(), score=PoolQuality(), allocate=FacilityLocation()),
    "quality, and rows that are like all of the pool",
    "arXiv 2311.14736",
)
