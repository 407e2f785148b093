"""TACOS: open tagging and comparative scoring (arXiv 2507.03673).

    tag -> normalise -> cluster the tags (K) -> compare pairs inside clusters -> allocate

Defaults follow the paper where it can be read, with the embedded parts in place of the LLMs;
`configs/select/tacos.yaml` puts the LLMs back, `configs/select/tacos_released.yaml` also takes the
released code's choices (frequency before rules, whole-phrase stem, cluster-signature reduction, stored
order, odd samples dropped, instruction without input).

The paper's figure 2 takes the top of all scores, the released code an equal share of each cluster;
scores of different clusters come from different comparisons, so the equal share is the default.
"""

from __future__ import annotations

from typing import Literal

from tacos import steps
from tacos.allocation.base import Allocator
from tacos.allocation.per_group import PerGroup
from tacos.allocation.top import Top
from tacos.grouping.cluster import ClusteringSettings
from tacos.grouping.normalize import NormalizationSettings
from tacos.grouping.tagging import TaggingSettings
from tacos.methods.base import method
from tacos.scoring.comparative import ComparativeSettings
from tacos.scoring.learned import LearnedSettings
from tacos.stage import Stage
from tacos.types import Record


class AllocationSettings(Record):
    """How the budget is spent."""

    by: Literal["per_group", "top"] = "per_group"
    """An equal share per cluster (released code), or the global top (figure 2)."""
    fill: bool = True
    """Per group: hand what small clusters leave over to the others, so that the budget is met."""


class TacosSettings(Record):
    """One section per step."""

    tagging: TaggingSettings = TaggingSettings()
    normalization: NormalizationSettings = NormalizationSettings()
    clustering: ClusteringSettings = ClusteringSettings()
    reduce: bool = False
    """Keep one sample per set of clusters, the longest (released code)."""
    scoring: ComparativeSettings = ComparativeSettings()
    learned: LearnedSettings = LearnedSettings()
    """The embedded comparator, used when scoring.by=learned."""
    allocation: AllocationSettings = AllocationSettings()


@method(
    "tacos",
    TacosSettings,
    "open tagging, comparative scoring inside clusters",
    "arXiv 2507.03673",
    "optional",
)
def tacos(settings: TacosSettings, bench: steps.Bench) -> Stage:
    tags = steps.tag(bench, settings.tagging)
    vocabulary = steps.normalized(bench, tags, settings.normalization)
    groups = steps.clustered(bench, vocabulary, settings.clustering, settings.reduce)
    scores = steps.compared(bench, groups, settings.scoring, settings.learned)
    by_group = settings.allocation.by == "per_group"
    allocator: Allocator = PerGroup(settings.allocation.fill) if by_group else Top()
    identity = settings.allocation.model_dump() if by_group else {"by": "top"}
    return steps.select(bench, "tacos", allocator, identity, groups, scores)
