"""k-center: rows that leave no row of the pool far away, whatever their quality (core sets, arXiv 1708.00489).

    group      `none`
    score      -
    allocate   `k_center`       greedy max-min distance     (tacos/allocation/k_center.py)

DiverseEvol (arXiv 2311.08182) repeats this on the hidden states of a model that it trains between rounds.
"""

from __future__ import annotations

from tacos.allocation.k_center import KCenter
from tacos.grouping.none import NoGroups
from tacos.methods.base import preset
from tacos.methods.recipe import Recipe

preset(
    "k-center",
    Recipe(group=NoGroups(), score=None, allocate=KCenter()),
    "rows far from each other, by embeddings",
    "arXiv 1708.00489",
)
