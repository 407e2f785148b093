"""The whole pool as one group: no tags, no clusters (TACOS's ablation "without open tagging")."""

from __future__ import annotations

from tacos.part import Grouper, Setup, grouper
from tacos.stage import Stage


@grouper("none", summary="the whole pool as one group", needs="nothing")
class NoGroups(Grouper):
    """Nothing to set."""

    def build(self, setup: Setup) -> Stage | None:
        return None
