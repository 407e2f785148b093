"""NovelSelect: rows that are novel to each other, in dense parts of the pool (arXiv 2502.17184).

    group      `none`
    score      -
    allocate   `novelty`        10 neighbours, density power 0.5, distance power 1     (tacos/allocation/novelty.py)

The released code draws the first row with seed 42.
"""

from __future__ import annotations

from tacos.allocation.novelty import Novelty
from tacos.grouping.none import NoGroups
from tacos.methods.base import preset
from tacos.methods.recipe import Recipe

preset(
    "novelselect",
    Recipe(group=NoGroups(), score=None, allocate=Novelty()),
    "rows that are novel to each other, in dense parts of the pool",
    "arXiv 2502.17184",
)
