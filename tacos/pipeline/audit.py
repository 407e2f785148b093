"""What a selection holds: lengths, and the defects and skills of its rows where they are known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from eval.results import Audit
from tacos.store import tables
from tacos.types import Truth

BINS = (0, 5, 10, 20, 40, 80, 160, 320, 640)
"""Lower edges of the response length histogram, in words."""


def training_rows(folder: Path) -> dict[str, str]:
    """id -> response, of a selection."""
    return {sample.id: sample.response for sample in tables.read_selection(folder)}


def audit(rows: Mapping[str, str], truth: dict[str, Truth] | None) -> Audit:
    """Length of responses by id, and the defects and skills of these rows where they are known."""
    words = np.array([len(response.split()) for response in rows.values()])
    edges = [*BINS, np.inf]
    counts, _ = np.histogram(words, bins=edges)
    labels = [f"{low}-{high - 1}" for low, high in pairwise(BINS)] + [f"{BINS[-1]}+"]
    known: dict[str, Any] = {}
    if truth is not None and rows and rows.keys() <= truth.keys():
        found = [truth[i] for i in rows]
        known = {
            "defects": dict(Counter(r.defect for r in found if r.defect).most_common()),
            "skills": dict(Counter(r.skill for r in found).most_common()),
            "skills_total": len({t.skill for t in truth.values()}),
        }
    return Audit(
        rows=len(rows),
        mean_words=float(words.mean()) if len(words) else 0.0,
        word_histogram=dict(zip(labels, counts.tolist(), strict=True)),
        **known,
    )
