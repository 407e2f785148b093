"""DPP: rows of quality that span the largest volume (arXiv 2402.02318).

    group      `none`
    score      `pool_quality`
    allocate   `log_det`        greedy MAP of q_i cos(i, j) q_j     (tacos/allocation/log_det.py)

The pool-fitted quality is in log-odds, which may be below 0, so that its rank is the weight here.
"""

from __future__ import annotations

from tacos.allocation.log_det import LogDet
from tacos.grouping.none import NoGroups
from tacos.methods.base import preset
from tacos.methods.recipe import Recipe
from tacos.scoring.pool_quality import PoolQuality

preset(
    "dpp",
    Recipe(group=NoGroups(), score=PoolQuality(), allocate=LogDet(quality="rank")),
    "rows of quality that span the largest volume",
    "arXiv 2402.02318",
)
