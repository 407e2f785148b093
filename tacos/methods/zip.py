"""ZIP: rows that make the selection compress least (arXiv 2407.06645).

    group      `none`
    score      -
    allocate   `zip`        K1 10,000, K2 200, K3 100     (tacos/allocation/zip.py)

`allocate.variant=released` counts as used what the authors' code does.
"""

from __future__ import annotations

from tacos.allocation.zip import ZipSelection
from tacos.grouping.none import NoGroups
from tacos.methods.base import preset
from tacos.methods.recipe import Recipe

preset(
    "zip",
    Recipe(group=NoGroups(), score=None, allocate=ZipSelection()),
    "rows that compress least together",
    "arXiv 2407.06645",
)
