"""The rows that every table needs: random draws, full, and longest (arXiv 2402.04833), as it is and refined.

`random-balanced` draws an equal share of each source that rows name; `length-matched` draws rows with the lengths of
another selection, the file in `allocate.like`.
"""

from __future__ import annotations

from tacos.allocation.all import Everything
from tacos.allocation.length_matched import LengthMatched
from tacos.allocation.top import Top
from tacos.allocation.uniform import Uniform
from tacos.grouping.none import NoGroups
from tacos.llm.base import Sampling
from tacos.methods.base import preset
from tacos.methods.recipe import Recipe
from tacos.methods.refining import Refine, RewriteInstruction, RewriteResponse
from tacos.scoring.length import Length

preset(
    "random",
    Recipe(group=NoGroups(), score=None, allocate=Uniform()),
    "uniform draw; use several seeds",
)
preset(
    "random-balanced",
    Recipe(group=NoGroups(), score=None, allocate=Uniform(balanced="source")),
    "uniform draw, an equal share of each source",
)
preset(
    "length-matched",
    Recipe(group=NoGroups(), score=None, allocate=LengthMatched()),
    "uniform draw with the lengths of another selection",
)
preset(
    "full",
    Recipe(group=NoGroups(), score=None, allocate=Everything()),
    "every row of the pool, whatever the budget",
)
LONGEST = Recipe(group=NoGroups(), score=Length(), allocate=Top())
ROOM = Sampling(temperature=0.7, top_p=0.8, max_tokens=2048)
"""A critique and a rewritten long response; 512 tokens would cut most of them."""
preset("longest", LONGEST, "the longest responses", "arXiv 2402.04833")
preset(
    "longest-refined",
    LONGEST,
    "the longest responses, rewritten by an LLM",
    "arXiv 2402.04833",
    Refine(response=RewriteResponse(sampling=ROOM), instruction=RewriteInstruction(sampling=ROOM)),
)
