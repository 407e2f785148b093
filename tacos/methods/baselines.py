"""The rows that every table needs: random, full, and longest (arXiv 2402.04833)."""

from __future__ import annotations

from tacos.allocation.all import Everything
from tacos.allocation.top import Top
from tacos.allocation.uniform import Uniform
from tacos.grouping.none import NoGroups
from tacos.methods.base import preset
from tacos.methods.recipe import Recipe
from tacos.scoring.length import Length

preset(
    "random",
    Recipe(group=NoGroups(), score=None, allocate=Uniform()),
    "uniform draw; use several seeds",
)
preset(
    "full",
    Recipe(group=NoGroups(), score=None, allocate=Everything()),
    "every row of the pool, whatever the budget",
)
preset(
    "longest",
    Recipe(group=NoGroups(), score=Length(), allocate=Top()),
    "the longest responses",
    "arXiv 2402.04833",
)
