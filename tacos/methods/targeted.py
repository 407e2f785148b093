"""Targeted selection: rows that help with given query rows (`score.queries`).

    embedding   `embedding`   likest to the query rows by a text embedder
    rds         `rds`         likest by the base model's own hidden states (RDS+, arXiv 2503.01807)
    less        `less`        whose gradient lowers the loss of the query rows (LESS, arXiv 2402.04333)

The first two take turns between query rows, or between tasks where there are several; LESS takes the highest of all,
each row at what it is worth to the task that it helps most.
"""

from __future__ import annotations

from tacos.allocation.round_robin import RoundRobin
from tacos.allocation.top import Top
from tacos.grouping.none import NoGroups
from tacos.methods.base import preset
from tacos.methods.recipe import Recipe
from tacos.scoring.embedding import EmbeddingLikeness
from tacos.scoring.less import Less
from tacos.scoring.rds import Rds

preset(
    "embedding",
    Recipe(group=NoGroups(), score=EmbeddingLikeness(), allocate=RoundRobin()),
    "likest to query rows, by a text embedder",
    "arXiv 2503.01807",
)
preset(
    "rds",
    Recipe(group=NoGroups(), score=Rds(), allocate=RoundRobin()),
    "likest to query rows, by the base model's hidden states",
    "arXiv 2503.01807",
)
preset(
    "less",
    Recipe(group=NoGroups(), score=Less(), allocate=Top()),
    "whose gradient lowers the loss of query rows",
    "arXiv 2402.04333",
)
