"""What the stages of a selection told of its certainty: of the rows near the cut, of quotas, of standard errors."""

from __future__ import annotations

from typing import Any

from tacos.artifacts import ArtifactStore
from tacos.selection import Calibration, Certainty, QuotaGap
from tacos.stage import Stage


def certainty_of(select: Stage | None, store: ArtifactStore) -> dict[str, Any]:
    """The fields of `ArmRun` of these names, each None where it is not known."""
    if select is None:
        return {}
    told = store.record(select).outcome.metrics
    compared = next((stage for stage in select.walk() if stage.name == "compare"), None)
    readout = store.record(compared).outcome.metrics.get("readout", {}) if compared else {}
    records = {"certainty": Certainty, "quota_gap": QuotaGap, "calibration": Calibration}
    found = {**told, **readout}
    return {name: record(**found[name]) for name, record in records.items() if name in found}
