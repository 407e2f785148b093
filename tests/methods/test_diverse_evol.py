"""DiverseEvol: rounds that train, read and take the farthest rows, with a training that is a stand-in for the real one.

The k-center of a round is held to the released code in `tests/allocation/test_k_center.py`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tacos.artifacts import ArtifactStore
from tacos.errors import BudgetError, ConfigError
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.methods.diverse_evol import DiverseEvolSettings, diverse_evol
from tacos.models.batches import Supervised, hidden_states
from tacos.models.chat import encode
from tacos.models.local import load_lm
from tacos.stage import Job, Outcome, Stage
from tacos.store import tables
from tacos.store.files import read_jsonl
from tacos.types import Pool, make_sample
from tests.pipeline.helpers import scripted_tools
from tests.scoring.scored import setup

WORDS = [
    "sun",
    "hill",
    "water",
    "bread",
    "winter",
    "songs",
    "stones",
    "people",
    "loud",
    "old",
    "small",
    "down",
]
POOL = Pool.from_samples(
    make_sample(f"{WORDS[i % 12]} {WORDS[i * 5 % 11]}?", " ".join(WORDS[i % 7 :: 3]) + ".", id=f"r{i}")
    for i in range(30)
)
SETTINGS = DiverseEvolSettings(initial=4, per_round=4)


def run(llama: str, root: Path, budget: int) -> tuple[list[dict[str, Any]], Any]:
    """The selection, and the rows of each training."""
    asked: list[list[str]] = []

    def train(rows: Stage, size: Any, changed: Any, seed: int) -> Stage:
        def work(job: Job) -> Outcome:
            asked.append([row["id"] for row in read_jsonl(job.inputs["rows"] / tables.SELECTION)])
            (job.out / "model").symlink_to(llama)
            return Outcome()

        return Stage("train", work, dict(changed), {"rows": rows})

    given = replace(setup(POOL, llama), train=train, budget=budget)
    tools = scripted_tools(root / "r.sqlite", ScriptedLLM(lambda _: ""))
    folder = ArtifactStore(root / "artifacts").run(diverse_evol(SETTINGS, given), tools)
    return list(read_jsonl(folder / tables.SELECTION)), asked


def test_each_round_takes_the_rows_farthest_from_all_before(llama: str, tmp_path: Path) -> None:
    rows, _ = run(llama, tmp_path, 10)
    taken = [int(row["id"][1:]) for row in rows]
    assert taken[:4] == np.random.default_rng(0).permutation(30)[:4].tolist()
    lm = load_lm(llama, device="cpu")
    given = [encode(lm.tokenizer, sample.messages, 512) for sample in POOL]
    found = dict(hidden_states(lm, [Supervised(row.ids, [1] * len(row.ids)) for row in given], "mean"))
    states = np.stack([found[row] for row in range(30)]).astype(np.float64)
    wanted = taken[:4]
    while len(wanted) < 10:
        distances = np.linalg.norm(states[:, None] - states[wanted], axis=2).min(axis=1)
        wanted.append(int(distances.argmax()))
    assert taken == wanted
    reasons = [row["selection"]["reason"] for row in rows]
    assert set(reasons[:4]) == {"drawn to start with"}
    assert set(reasons[4:]) == {"far from what the model was trained on"}


def test_every_round_is_trained_on_all_rows_so_far_in_the_order_of_the_pool(
    llama: str, tmp_path: Path
) -> None:
    rows, asked = run(llama, tmp_path, 10)
    taken = [int(row["id"][1:]) for row in rows]
    assert asked == [[f"r{row}" for row in sorted(taken[:n])] for n in (4, 8)]  # not after the last


def test_a_budget_within_the_first_draw_trains_nothing(llama: str, tmp_path: Path) -> None:
    rows, asked = run(llama, tmp_path, 3)
    assert len(rows) == 3 and asked == []


def test_another_budget_shares_the_rounds(llama: str, tmp_path: Path) -> None:
    first, _ = run(llama, tmp_path, 8)
    more, asked = run(llama, tmp_path, 12)
    assert [row["id"] for row in more[:8]] == [row["id"] for row in first]
    assert len(asked) == 1  # the first training is there


def test_what_cannot_be_is_refused(llama: str, tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match="above the 30 samples in the pool"):
        run(llama, tmp_path, 31)
    with pytest.raises(ConfigError, match="diverse-evol trains a model on the way, and train is null"):
        diverse_evol(SETTINGS, replace(setup(POOL, llama), budget=10))
