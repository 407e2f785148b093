"""The rows that give IFD's model its experience: as released, by hand, and the training around them.

`released_experience.json` holds rows of our own and what Cherry_LLM (2026-11-26, unchanged but for the classes that
load a model) gave for them on the LLaMA of `tiny_models`: the perplexity and the first state of each prompt, and the
rows of four clusters of five and of six clusters of four.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tacos.artifacts import ArtifactStore
from tacos.errors import ConfigError
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.part import Setup
from tacos.scoring.experience import Experience, read_prompts, spread
from tacos.scoring.ifd import Ifd
from tacos.scoring.model_run import ModelRun
from tacos.stage import Job, Outcome, Stage
from tacos.store import tables
from tacos.store.files import read_jsonl
from tacos.types import Pool, make_sample
from tests.pipeline.helpers import scripted_tools
from tests.scoring.scored import setup

RELEASED = json.loads((Path(__file__).parent / "released_experience.json").read_text(encoding="utf-8"))
POOL = Pool.from_samples(
    make_sample(row["instruction"], row["output"], input=row["input"], id=f"r{i}")
    for i, row in enumerate(RELEASED["rows"])
)


def made(stage: Stage, root: Path) -> Path:
    return ArtifactStore(root / "artifacts").run(
        stage, scripted_tools(root / "r.sqlite", ScriptedLLM(lambda _: ""))
    )


def trains(base: str, asked: list[Any]) -> Any:
    """A training that leaves the base as it is."""

    def train(rows: Stage, size: Any, changed: Any, seed: int) -> Stage:
        def work(job: Job) -> Outcome:
            asked.append(([row["id"] for row in read_jsonl(job.inputs["rows"] / tables.SELECTION)], changed))
            (job.out / "model").symlink_to(base)
            return Outcome()

        return Stage("train", work, {}, {"rows": rows})

    return train


def with_training(base: str, asked: list[Any]) -> Setup:
    return replace(setup(POOL, base), train=trains(base, asked))


def test_prompts_are_read_as_released(llama: str, tmp_path: Path) -> None:
    stage = read_prompts(setup(POOL, llama), ModelRun(), "alpaca", 512)
    vectors = tables.read_vectors(made(stage, tmp_path))
    assert np.exp(vectors[:, -1]) == pytest.approx(np.array(RELEASED["ppl"]), rel=1e-4)
    assert vectors[:, 0] == pytest.approx(np.array(RELEASED["state"]), abs=1e-4)


@pytest.mark.parametrize(("k", "n"), [(4, 5), (6, 4)])
def test_the_rows_are_the_released_ones(k: int, n: int, llama: str, tmp_path: Path) -> None:
    asked: list[Any] = []
    part = Ifd(experience=Experience(clusters=k, per_cluster=n), ceiling=None)
    made(part.build(with_training(llama, asked)), tmp_path)
    ((rows, changed),) = asked
    assert rows == [f"r{row}" for row in RELEASED[f"{k}x{n}"]]
    assert changed == {"budget": "samples", "epochs": 1.0, "keep_epochs": False}


def test_the_trained_model_is_the_one_that_scores(llama: str, tmp_path: Path) -> None:
    part = Ifd(experience=Experience(clusters=2, per_cluster=2), ceiling=None)
    scores = tables.read_scores(made(part.build(with_training(llama, [])), tmp_path))
    plain = tables.read_scores(made(Ifd(ceiling=None).build(setup(POOL, llama)), tmp_path))
    assert scores.values == pytest.approx(plain.values, abs=1e-6)  # the training left the base as it was


def test_middling_rows_by_hand() -> None:
    numbers = np.array([0] * 10 + [1] * 2)
    perplexities = np.array([9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 5, 5], dtype=float)
    # percentiles of the first cluster: 2.25 and 6.75, so rows 3 to 6 hold 6, 5, 4, 3 (and 2 is below); every second
    assert spread(numbers, perplexities, 2).tolist() == [3, 5, 10, 11]
    assert spread(numbers, perplexities, 3).tolist() == [3, 4, 5, 10, 11]
    assert spread(numbers, perplexities, 5).tolist() == [3, 4, 5, 6, 10, 11]  # all there are


def test_a_report_tells_whether_there_was_experience() -> None:
    assert Ifd(experience=Experience()).describe({}) == "ifd after experience"
    assert Ifd().describe({}) == "ifd"


def test_experience_is_of_the_base() -> None:
    with pytest.raises(ValueError, match="leave model out"):
        Ifd(model="gpt2", experience=Experience())


def test_a_run_that_does_not_train_gives_no_experience(llama: str) -> None:
    with pytest.raises(ConfigError, match=r"score\.by=ifd trains a model on the way, and train is null"):
        Ifd(experience=Experience()).build(setup(POOL, llama))
