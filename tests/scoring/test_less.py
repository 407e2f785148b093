"""LESS: projected gradients and scores as released, and the stages around them.

`released_less.json` holds query rows of our own and what princeton-nlp/LESS (2026-11-26) gave for them and the rows of
`released_rds.json` on the LLaMA of `tiny_models` with the adapters of `adapters`: every 64th of 256 projected numbers
(TRAK's `BasicProjector`, on a CPU), and the scores of `matching.py` over nine tasks. Its cast of gradients to 16 bits
was left out; with it the numbers differ by at most 0.0002 of the largest.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tacos.artifacts import ArtifactStore
from tacos.config import parse
from tacos.errors import ConfigError
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.models.batches import Supervised
from tacos.models.epochs import epoch, read_moments
from tacos.models.gradients import Projection, projected, trained_weights
from tacos.models.local import LocalModel, load_lm, with_adapter
from tacos.scoring.less import WARMUP, Less, _projected, closed
from tacos.scoring.states import laid_out
from tacos.selection import Scores
from tacos.stage import Job, Outcome, Stage
from tacos.store import tables
from tacos.types import Message, Pool, Sample, make_sample
from tests.pipeline.helpers import scripted_tools
from tests.scoring import tiny_models
from tests.scoring.adapters import write_epochs
from tests.scoring.scored import setup
from tests.scoring.test_targeted import RELEASED as ROWS
from tests.scoring.test_targeted import write
from train.settings import TrainSettings

RELEASED = json.loads((Path(__file__).parent / "released_less.json").read_text(encoding="utf-8"))


def pool_of(rows: list[dict[str, Any]]) -> Pool:
    return Pool.from_samples(
        Sample(id=row["id"], messages=tuple(Message(**message) for message in row["messages"]))
        for row in rows
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("less")
    write_epochs(str(tiny_models.build(made / "llama", "llama")), made)
    write(made / "queries.jsonl", RELEASED["queries"])
    return made


def loaded(folder: Path, number: int) -> LocalModel:
    return with_adapter(load_lm(str(folder / "llama"), "float32", "tulu", "cpu"), folder / epoch(number))


def laid(lm: LocalModel, pool: Pool) -> list[Supervised]:
    return [closed(lm, row, 1024) for row in laid_out(lm, pool, 1024) if not isinstance(row, str)]


@pytest.mark.parametrize("number", [1, 2])
def test_projected_gradients_are_the_released_ones(folder: Path, number: int) -> None:
    lm = loaded(folder, number)
    projection = Projection(sum(weight.numel() for _, weight in trained_weights(lm)), 256, lm.device)
    for key, rows, moments in (
        ("rows", ROWS["rows"], read_moments(lm)),
        ("queries", RELEASED["queries"], None),
    ):
        found = dict(projected(lm, laid(lm, pool_of(rows)), projection, moments, budget=700))
        wanted = np.array(RELEASED[f"{key}_{number}"])
        made = np.stack([found[row][::64] for row in range(len(rows))])
        assert made == pytest.approx(wanted, abs=1e-5 * np.abs(wanted).max())


def trained_as(folder: Path, asked: list[Any]) -> Any:
    """A training that leaves the two epochs of `folder`."""

    def train(rows: Stage, size: Any, changed: Any, seed: int) -> Stage:
        def work(job: Job) -> Outcome:
            asked.append((job.inputs["rows"], changed))
            (job.out / "epochs").symlink_to(folder / "epochs")
            return Outcome()

        return Stage("train", work, {"seed": seed}, {"rows": rows})

    return train


def run(part: Less, folder: Path, root: Path, asked: list[Any]) -> Scores:
    given = setup(pool_of(ROWS["rows"]), str(folder / "llama"))
    given = type(given)(**{**vars(given), "train": trained_as(folder, asked)})
    tools = scripted_tools(root / "replies.sqlite", ScriptedLLM(lambda request: ""))
    return tables.read_scores(ArtifactStore(root / "artifacts").run(part.build(given), tools))


def test_scores_are_the_released_ones_over_epochs_and_tasks(folder: Path, tmp_path: Path) -> None:
    asked: list[Any] = []
    part = Less(queries=str(folder / "queries.jsonl"), epochs=2, dim=256, share=0.2, max_tokens=1024)
    scores = run(part, folder, tmp_path, asked)
    assert scores.targets is not None and len(scores.targets.by_task) == 9
    assert scores.values == pytest.approx(np.array(RELEASED["scores"]), abs=3e-4)  # kept in 16 bits
    order = np.argsort(-scores.values, kind="stable").tolist()
    assert order[:10] == np.argsort(-np.array(RELEASED["scores"]), kind="stable")[:10].tolist()


def test_the_warm_up_is_a_draw_of_the_pool_trained_as_the_paper_says(folder: Path, tmp_path: Path) -> None:
    asked: list[Any] = []
    part = Less(queries=str(folder / "queries.jsonl"), epochs=2, dim=64, share=0.2, train={"lora": {"r": 8}})
    run(part, folder, tmp_path, asked)
    ((rows, changed),) = asked
    drawn = [json.loads(line)["id"] for line in (rows / tables.SELECTION).read_text().splitlines()]
    assert drawn == [f"r{row}" for row in np.random.RandomState(0).permutation(30)[:6]]
    settings = parse(TrainSettings, changed)
    assert (settings.lora.r, settings.lora.alpha, settings.epochs, settings.keep_epochs) == (8, 512, 2, True)
    assert settings.lora.target == tuple(WARMUP["lora"]["target"]) and settings.template == "tulu"


def test_newlines_after_turns_that_count_by_hand(folder: Path) -> None:
    lm = loaded(folder, 1)
    (newline,) = lm.tokenizer("\n", add_special_tokens=False)["input_ids"]
    two = Supervised([5, 9, newline, 6, newline, 9], [0, 1, 0, 0, 0, 1])  # one after a turn, one in a prompt
    assert closed(lm, two, 9) == ([*two.ids, newline], [0, 1, 1, 0, 0, 1, 1])
    assert closed(lm, two, 6) == (list(two.ids), [0, 1, 1, 0, 0, 1])
    context = Supervised([5, 9, newline, 6, 9], [0, 1, 0, 0, 0])  # the last turn is context only
    assert closed(lm, context, 9).mask == [0, 1, 1, 0, 0, 0]


def test_rows_longer_than_the_model_are_cut_before_gradients(folder: Path) -> None:
    lm = loaded(folder, 1)
    lm.model.config.max_position_embeddings = 40
    pool = Pool.from_samples([make_sample("Go on", "and on " * 40, id="long")])
    seen: list[int] = []
    lm.model.register_forward_pre_hook(
        lambda _, args, given: seen.append(given["input_ids"].shape[1]), with_kwargs=True
    )
    ((_, vector),) = _projected(16, 2048, 4096, True, False, lm, pool, "")
    assert not isinstance(vector, str) and vector.shape == (16,) and seen == [40]


def test_a_row_without_a_turn_that_counts_is_refused(folder: Path) -> None:
    said = (Message(role="user", content="Hi"), Message(role="assistant", content="Hello", weight=0))
    pool = Pool.from_samples([Sample(id="context", messages=said)])
    ((_, why),) = _projected(16, 2048, 4096, True, False, loaded(folder, 1), pool, "")
    assert why == "no token of a response that counts is within 1024 tokens"


@pytest.mark.parametrize(
    ("train", "said"),
    [
        ({"epochs": 2}, "epochs is score.epochs here"),
        ({"max_length": 64}, "max_length is score.max_tokens here"),
    ],
)
def test_what_gradients_are_read_by_is_no_setting_of_the_warm_up(train: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Less(train=train)


def test_a_run_that_does_not_train_has_no_warm_up(folder: Path) -> None:
    part = Less(queries=str(folder / "queries.jsonl"))
    with pytest.raises(ConfigError, match=r"score\.by=less trains a model on the way, and train is null"):
        part.build(setup(pool_of(ROWS["rows"]), str(folder / "llama")))
