"""Methods that rank by one score: by a local model, or by an LLM that rates.

    ifd              `ifd`            Cherry: how little the instruction helps with its answer, to a base with a little
                                      experience (arXiv 2308.12032)
    superfiltering   `superfilter`    the same by GPT-2 (arXiv 2402.00530); superfiltering-d (Superfiltering.D) spreads
                                      over the best fifth by facility location
    selectit         `selectit`       how sure the base model is of its rating (arXiv 2402.16705)
    deita            `deita`          complexity times quality, by two trained models, and no row too like one that
                                      was taken (arXiv 2312.15685)
    alpagasus        `rating`         accuracy from 0 to 5 by an LLM, 4.5 and above (arXiv 2307.08701)

What each score is, with the quirks of its released code, stands in `tacos/scoring/`. Released selections are shares of
the pool; here the budget says how many rows.

AlpaGasus asks for the rating on the first line, and a reason after it; our prompt has the reason first. Its 9,229 rows
are those that ChatGPT rated 4.5 or higher. Deita compares the last token's state of its model; here `allocate.embedder`
embeds the rows (`allocate.vectors` takes a file of such states).
"""

from __future__ import annotations

from tacos.allocation.cosine_filter import CosineFilter
from tacos.allocation.facility_location import FacilityLocation
from tacos.allocation.top import Top
from tacos.cost import Cost
from tacos.grouping.none import NoGroups
from tacos.llm.base import Sampling
from tacos.methods.base import preset
from tacos.methods.recipe import Recipe
from tacos.scoring.deita import Deita
from tacos.scoring.experience import Experience
from tacos.scoring.ifd import Ifd
from tacos.scoring.rating import SampleRating
from tacos.scoring.selectit import SelectIt
from tacos.scoring.superfilter import Superfilter

preset(
    "ifd",
    Recipe(group=NoGroups(), score=Ifd(experience=Experience()), allocate=Top()),
    "where the instruction helps least with its answer (Cherry)",
    "arXiv 2308.12032",
    cost=Cost(passes=2, trainings=1, note="2 of the passes read prompts alone"),
)
preset(
    "superfiltering",
    Recipe(group=NoGroups(), score=Superfilter(), allocate=Top()),
    "IFD by GPT-2",
    "arXiv 2402.00530",
)
preset(
    "superfiltering-d",
    Recipe(
        group=NoGroups(),
        score=Superfilter(),
        allocate=FacilityLocation(alpha=0.0, similarity="euclidean", best=0.2),
    ),
    "the best fifth by GPT-2, and of it rows that are like all of it",
    "arXiv 2402.00530",
)
preset(
    "selectit",
    Recipe(group=NoGroups(), score=SelectIt(), allocate=Top()),
    "where the base model rates high and is sure of it",
    "arXiv 2402.16705",
)
preset(
    "deita",
    Recipe(group=NoGroups(), score=Deita(), allocate=CosineFilter()),
    "complexity times quality, by two trained models; no row too like another",
    "arXiv 2312.15685",
)
ACCURACY = SampleRating(
    prompt="rate_accuracy", low=0, high=5, sampling=Sampling(temperature=0.0, max_tokens=256)
)
preset(
    "alpagasus",
    Recipe(group=NoGroups(), score=ACCURACY, allocate=Top(least=4.5, ties="random")),
    "accuracy by an LLM, 4.5 of 5 and above",
    "arXiv 2307.08701",
)
