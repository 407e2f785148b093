"""tacos from Python, as in a notebook: select, look at the plan, run an experiment, read its tables.

    python scripts/examples/from_python.py [FOLDER]      everything is written into FOLDER, out/from_python by default

The experiment is a rehearsal, with a base model after four steps: its numbers say that all works, and no more. No GPU,
no key, no network.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

import tacos

TINY = {"vocab_size": 400, "hidden": 32, "layers": 1, "heads": 2, "steps": 4, "block": 64}
EXPERIMENT: dict[str, Any] = {
    "name": "three-arms",
    "pool": {"source": "builtin", "builtin": {"size": 120, "test_size": 6, "corpus_size": 200}},
    "budget": 16,
    "baseline": "random",
    "controls": ["random"],
    "arms": {
        "longest": {"method": "longest"},
        "mine": {"method": "recipe", "group": "none", "score": "random", "allocate": "top"},
        "random": {"method": "random"},
    },
    "base": {"tiny": TINY},
    "train": {"budget": "loss_tokens", "steps": 2, "loss_tokens_per_step": 400, "max_length": 400},
    "eval": {"generate": {"max_new_tokens": 6}},
}
"""A config as a mapping, in the form of a YAML file."""


def select(places: Mapping[str, str], out: Path) -> None:
    """The longest responses of the generated pool, and why the first was taken."""
    small = {"pool.builtin.size": 300, **places}
    picked = tacos.select("builtin", "longest", 20, out=out, changes=small)
    print(f"{picked.selected} of {picked.pool} rows in {picked.out}")
    first = next(iter(tacos.read_pool(out)))
    print(f"{first.id}: {first.prompt!r}")


def experiment(places: Mapping[str, str]) -> pd.DataFrame:
    """Every measure of every arm; the stages first, of which nothing is done."""
    stages = pd.DataFrame(stage.model_dump() for stage in tacos.plan(EXPERIMENT, places))
    print(f"{(~stages.cached).sum()} of {len(stages)} stages to run")
    run = tacos.run(EXPERIMENT, {"seeds": [0, 1], **places})
    return run.arms.pivot(index="arm", columns="measure", values="mean")


def main(folder: Path) -> None:
    """folder: what takes the place of the working folder."""
    places: dict[str, Any] = {name: str(folder / name) for name in ("runs", "artifacts")}
    print("configs:", ", ".join(tacos.shipped_configs()))
    print("scorers:", ", ".join(tacos.SCORERS))
    print("length:", tacos.SCORERS.get("length").summary)
    select(places, folder / "longest.jsonl")
    print(experiment(places))
    results = tacos.load_results(folder / "runs" / "three-arms")
    print("measured:", ", ".join(measure.name for measure in results.measures))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("out/from_python"))
