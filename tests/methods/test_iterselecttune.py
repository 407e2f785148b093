"""IterSelectTune: its two algorithms step by step, kills, and whether its classifier finds what is hard."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tacos.answering.candidate import GenerateSettings
from tacos.artifacts import ArtifactStore
from tacos.config import parse
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.llm.base import Request
from tacos.methods.hard_judges import says_the_same
from tacos.methods.hard_rounds import RoundRecord, State, read_records
from tacos.methods.hard_space import IterSelectTuneSettings, Space
from tacos.methods.iterselecttune import fill_up
from tacos.models.embedder import Embedder
from tacos.pipeline.graph import selection_stage
from tacos.pipeline.plan import plan
from tacos.pipeline.rounds import draw_rounds
from tacos.pipeline.settings import SelectSettings
from tacos.scoring.similarity import max_cosine
from tacos.stage import Stage
from tacos.store.files import read_jsonl
from tacos.types import Pool
from tests.methods import weak_base
from tests.pipeline.helpers import scripted_tools, write_pool

LLMS = {name: {"backend": "scripted", "model": name} for name in ("base", "judge")}
SETTINGS: dict[str, Any] = {
    "base": {"by": "llm"},
    "judge": {"by": "llm", "reask": 0},
    "batch": 8,
    "rounds": 3,
}
ROWS = 48


def chosen(pool: Path, budget: int = 30, artifacts: Path | None = None, **changes: Any) -> SelectSettings:
    data = {"pool": {"source": str(pool)}, "method": "iterselecttune", "budget": budget, "llms": LLMS}
    where = {"artifacts": str(artifacts)} if artifacts else {}
    return parse(SelectSettings, data | where | {"settings": SETTINGS | changes})


class Models:
    """Base model and judge in one. Poetry and cooking are easy; `judge` may say otherwise."""

    def __init__(self, judge: Callable[[str], str | Exception] | None = None):
        self.judge = judge or self.by_topic
        self.base_calls, self.judge_calls = [], []  # type: ignore[var-annotated]

    def __call__(self, request: Request) -> str | Exception:
        text = request.messages[-1].content
        if "<answer_1>" not in text:
            self.base_calls.append(text)
            return "BASE says something."
        self.judge_calls.append(text)
        return self.judge(text)

    @staticmethod
    def by_topic(text: str) -> str:
        easy = re.search(r"about (poetry|cooking)", text)
        return verdict(text, 5 if easy else 9)


def verdict(text: str, original: int, base: int = 5) -> str:
    """Grades in the order in which the answers are shown."""
    first = text.split("<answer_1>\n")[-1]
    shown = (base, original) if first.startswith("BASE") else (original, base)
    return json.dumps({"feedback": "ok", "score_1": shown[0], "score_2": shown[1]})


def run(
    settings: SelectSettings, root: Path, models: Models | None = None, **llm: Any
) -> tuple[list[dict[str, Any]], Stage]:
    stage, model = selection_stage(settings), ScriptedLLM(models or Models())
    tools = scripted_tools(root / "replies.sqlite", model, **llm)
    folder = ArtifactStore(root / "artifacts").run(stage, tools)
    return list(read_jsonl(folder / "selection.jsonl")), stage


def named(stage: Stage, name: str) -> Stage:
    return next(s for s in stage.walk() if s.name == name)


def folder(root: Path, stage: Stage, name: str) -> Path:
    return ArtifactStore(root / "artifacts").folder(named(stage, name))


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    return write_pool(tmp_path / "pool.jsonl", ROWS)


def number(row: dict[str, Any]) -> int:
    return int(row["messages"][0]["content"].split()[-1])


def test_rounds_judge_a_batch_each_and_inference_fills_the_budget(pool: Path, tmp_path: Path) -> None:
    models = Models()
    rows, stage = run(chosen(pool), tmp_path, models)
    records = read_records(folder(tmp_path, stage, "infer"))
    assert [len(r.batch) for r in records] == [8, 8, 8]
    assert (
        len({id_ for r in records for id_ in r.batch})
        == 24
        == len(models.judge_calls)
        == len(models.base_calls)
    )
    judged = {id_: label for r in records for id_, label in zip(r.batch, r.labels, strict=True)}
    groups = {row["id"]: row["selection"]["group"] for row in rows}
    assert len(rows) == 30
    for row in rows:
        hard = number(row) % 4 >= 2  # algebra and travel
        if row["id"] in judged:
            assert hard and judged[row["id"]] == 1 and groups[row["id"]].startswith("hard: round ")
        else:
            assert groups[row["id"]] == "predicted hard"
    assert {id_ for id_, label in judged.items() if label == 1} <= set(groups)
    assert not {id_ for id_, label in judged.items() if label == 0} & set(groups)


def test_later_batches_are_what_the_classifier_finds_hard(pool: Path, tmp_path: Path) -> None:
    _, stage = run(chosen(pool, subset=48), tmp_path)
    first, second, _ = read_records(folder(tmp_path, stage, "infer"))
    assert first.easy and second.hard == 8
    rows = list(read_jsonl(folder(tmp_path, stage, "round2") / "batch.jsonl"))
    assert [row["q"] for row in rows] == sorted((row["q"] for row in rows), reverse=True)
    assert all(row["q"] == pytest.approx(0.9 * row["m"] + 0.1 * row["r"], abs=1e-5) for row in rows)
    assert all(row["m"] is None for row in read_jsonl(folder(tmp_path, stage, "round1") / "batch.jsonl"))


def test_what_the_rounds_were_stands_beside_the_scores(pool: Path, tmp_path: Path) -> None:
    _, stage = run(chosen(pool), tmp_path)
    infer = folder(tmp_path, stage, "infer")
    draw_rounds(stage, ArtifactStore(tmp_path / "artifacts"), tmp_path)
    assert all((tmp_path / f"{name}.png").stat().st_size > 5000 for name in ("hard_shares", "hardness"))
    metrics = ArtifactStore(tmp_path / "artifacts").record(named(stage, "infer")).outcome.metrics
    assert (metrics["judge_calls"], metrics["full_labelling"], metrics["llm_calls"]) == (24, 48, 48)
    record = read_records(infer)[-1]
    assert record.check is not None and 0 <= record.check.auc <= 1 and record.seconds > 0
    assert "judge calls" in record.summary


def test_x_is_instruction_and_input_or_the_instruction_alone(tmp_path: Path) -> None:
    path = tmp_path / "pool.jsonl"
    rows = [
        {"instruction": f"Tell me about poetry number {i}", "input": f"context {i}", "output": f"verse {i}"}
        for i in range(24)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for fields, seen in (("both", True), ("instruction", False)):
        models = Models()
        _, stage = run(chosen(path, budget=10, fields=fields, rounds=1), tmp_path, models)
        asked = [*models.base_calls, *models.judge_calls]
        assert asked and all(("context" in text) == seen for text in asked)
        assert named(stage, "embed").settings["text"] == ("prompt" if seen else "instruction")


def test_a_binary_verdict_is_one_for_the_better_response(pool: Path, tmp_path: Path) -> None:
    def binary(text: str) -> str:
        assert "1 for the better answer" in text
        easy = re.search(r"about (poetry|cooking)", text)
        return verdict(text, original=0 if easy else 1, base=0)

    rows, stage = run(chosen(pool, judge={"by": "llm", "verdict": "binary"}), tmp_path, Models(binary))
    assert {number(row) % 4 for row in rows if row["selection"]["group"] != "predicted hard"} <= {2, 3}
    assert sum(r.hard for r in read_records(folder(tmp_path, stage, "infer")))
    graded, _ = run(
        chosen(pool, judge={"by": "llm", "verdict": "binary", "reask": 0}), tmp_path / "b", Models()
    )
    assert {row["selection"]["group"] for row in graded} == {
        "predicted hard"
    }  # 9 and 5 are no binary verdict


def test_a_run_killed_in_round_two_goes_on_in_round_two(pool: Path, tmp_path: Path) -> None:
    whole, _ = run(chosen(pool), tmp_path / "whole")

    def dies(text: str) -> str:
        if len(models.judge_calls) == 8 + 5:
            raise KeyboardInterrupt
        return Models.by_topic(text)

    models, killed = Models(), tmp_path / "killed"
    models.judge = dies
    with pytest.raises(KeyboardInterrupt):
        run(chosen(pool), killed, models)
    assert (killed / "artifacts" / "round1").exists()
    assert list((killed / "artifacts" / "round2").glob("*.partial/answers.jsonl"))
    before = {p: p.stat().st_mtime_ns for p in (killed / "artifacts" / "round1").glob("*/done.json")}
    asked = len(models.base_calls)
    models.judge = Models.by_topic
    again, _ = run(chosen(pool), killed, models)
    assert again == whole
    assert before == {p: p.stat().st_mtime_ns for p in before}
    assert asked == 16 and len(models.base_calls) == 24
    assert (
        len(models.judge_calls) == 24 + 1 and len(set(models.judge_calls)) == 24
    )  # the one that was cut off


def test_training_stops_when_little_is_hard(pool: Path, tmp_path: Path) -> None:
    models = Models(lambda text: verdict(text, original=5))
    rows, stage = run(chosen(pool), tmp_path, models)
    records = read_records(folder(tmp_path, stage, "infer"))
    assert len(records) == 1 and len(models.judge_calls) == 8
    assert records[0].stop == "0.0% of round 1 were hard, under 5.0%"
    assert records[0].check is None  # one class
    passed = ArtifactStore(tmp_path / "artifacts").record(named(stage, "round3")).outcome.metrics
    assert passed == {"passed_on": records[0].stop}
    assert {row["selection"]["group"] for row in rows} == {"predicted hard"} and len(rows) == 30


def test_of_a_hard_set_above_the_budget_the_highest_stay(pool: Path, tmp_path: Path) -> None:
    models = Models(lambda text: verdict(text, original=9))
    rows, stage = run(chosen(pool, budget=10), tmp_path, models)
    state = State.read(folder(tmp_path, stage, "round3"))
    assert len(state.hard) == 24 and len(rows) == 10
    ids = Pool.read(folder(tmp_path, stage, "load") / "pool.parquet").ids
    kept = {row["id"] for row in rows}
    m = {ids[row]: state.hardness[row] for row in state.hard.tolist()}
    assert min(m[i] for i in kept) >= max(m[i] for i in m.keys() - kept) - 1e-6


def test_rows_judged_easy_come_last(pool: Path, tmp_path: Path) -> None:
    rows, _ = run(chosen(pool, budget=ROWS), tmp_path)
    groups = [row["selection"]["group"] for row in rows]
    easy = [number(row) % 4 for row in rows if row["selection"]["group"] == "judged easy"]
    assert len(rows) == ROWS and easy and set(easy) <= {0, 1} and "predicted hard" in groups
    fewer, _ = run(chosen(pool, budget=ROWS - len(easy)), tmp_path)
    assert "judged easy" not in {row["selection"]["group"] for row in fewer}


def test_what_cannot_be_read_is_counted_and_no_label(pool: Path, tmp_path: Path) -> None:
    def sometimes(text: str) -> str:
        return "Hard to say." if "algebra" in text else Models.by_topic(text)

    _, stage = run(chosen(pool), tmp_path, Models(sometimes))
    records = read_records(folder(tmp_path, stage, "infer"))
    unread = sum(r.unread for r in records)
    assert unread and all(r.hard + r.easy + r.unread == 8 for r in records)
    store = ArtifactStore(tmp_path / "artifacts")
    assert sum(store.record(named(stage, f"round{r}")).outcome.rows_failed for r in (1, 2, 3)) == unread
    batch = list(read_jsonl(folder(tmp_path, stage, "round1") / "batch.jsonl"))
    assert all((row["hard"] is None) == ("no verdict" in (row["error"] or "")) for row in batch)


def test_a_base_model_that_fails_leaves_rows_without_a_label(pool: Path, tmp_path: Path) -> None:
    class Shy(Models):
        def __call__(self, request: Request) -> str | Exception:
            text = request.messages[-1].content
            silent = "<answer_1>" not in text and int(text.split()[-1]) % 8 in (0, 2, 3, 5, 7)
            return RuntimeError("down") if silent else super().__call__(request)

    # 30 of 48 rows are silent, so whichever 24 are drawn, at least 6 of them are.
    rows, stage = run(chosen(pool), tmp_path, Shy(), max_failed_share=1.0)
    records = read_records(folder(tmp_path, stage, "infer"))
    asked, unread = sum(len(r.batch) for r in records), sum(r.unread for r in records)
    assert unread and sum(r.judge_calls for r in records) == asked - unread
    assert len(rows) == 30


def test_both_orders_cost_twice_and_a_split_verdict_is_easy(pool: Path, tmp_path: Path) -> None:
    models = Models(lambda text: '{"feedback": "the first", "score_1": 9, "score_2": 3}')
    both = SETTINGS["judge"] | {"orders": 2}
    _, stage = run(chosen(pool, judge=both), tmp_path, models)
    record = read_records(folder(tmp_path, stage, "infer"))[0]
    assert (record.hard, record.easy, record.judge_calls) == (0, 8, 16)


def test_one_order_is_drawn_for_each_row(pool: Path, tmp_path: Path) -> None:
    models = Models()
    run(chosen(pool), tmp_path, models)
    first = ["<answer_1>\nBASE" in text for text in models.judge_calls]
    assert 4 < sum(first) < 20


def test_a_plan_counts_the_judge_calls(pool: Path, tmp_path: Path) -> None:
    planned = {s.stage: s.estimate.calls for s in plan(chosen(pool, artifacts=tmp_path / "a"))}
    assert {name: planned[name] for name in ("round1", "round2", "round3", "infer")} == {
        "round1": 8,
        "round2": 8,
        "round3": 8,
        "infer": 0,
    }
    embedded = chosen(pool, artifacts=tmp_path / "a", judge={"by": "reference"})
    assert sum(s.estimate.calls for s in plan(embedded)) == 0


def test_another_budget_or_one_more_round_judges_nothing_twice(pool: Path, tmp_path: Path) -> None:
    models = Models()
    run(chosen(pool), tmp_path, models)
    run(chosen(pool, budget=40), tmp_path, models)
    assert len(models.judge_calls) == 24
    run(chosen(pool, rounds=4), tmp_path, models)
    assert len(models.judge_calls) == 32


def test_quality_is_worked_out_by_hand() -> None:
    """Row 0 is hard. Row 1 points the same way, row 2 at 60 degrees, row 3 at a right angle."""
    vectors = np.array([[1, 0], [1, 0], [0.5, 0.75**0.5], [0, 1]], np.float32)
    space = Space(vectors, np.zeros(4, np.int64), IterSelectTuneSettings(alpha=0.9), seed=0)
    m = np.array([0.9, 0.5, 0.8, 0.55], np.float32)
    ranked = space.ranked(np.array([1, 2, 3]), np.array([0]), m)
    assert ranked.rows.tolist() == [2, 1, 3]
    assert ranked.r == pytest.approx([0.5, 1, 0], abs=1e-6)
    assert ranked.q == pytest.approx([0.77, 0.55, 0.495], abs=1e-6)


def test_inference_draws_every_cluster_and_never_a_judged_row() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(200, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    state = State.fresh(200)
    state.label[:20], state.round[:20] = [1, 0] * 10, 1
    state = dataclasses.replace(state, hardness=rng.random(200).astype(np.float32))
    space = Space(vectors, np.arange(200) % 4, IterSelectTuneSettings(batch=20, subset=40), seed=0)
    parts = fill_up(state, 110, space)
    assert [len(part.rows) for part in parts.values()] == [10, 100]
    predicted = parts["predicted hard"].rows
    assert len(set(predicted.tolist())) == 100 and predicted.min() >= 20
    assert np.bincount(predicted % 4).min() > 10
    assert state.hardness[predicted[:20]].mean() > state.hardness[20:].mean() + 0.1


@pytest.mark.parametrize(
    ("answer", "same"),
    [
        ("the capital of Peru is lima", True),
        ("The capital of Peru is Cusco.", True),  # five of six words: it reads form and knows no facts
        ("Lima.", False),  # 2 x 1 / (1 + 6)
        ("Bananas are yellow.", False),
    ],
)
def test_the_reference_judge_compares_words(answer: str, same: bool) -> None:
    assert says_the_same(answer, "The capital of Peru is Lima.", 0.6) == same


def test_embedded_parts_run_without_an_llm(tmp_path: Path, minilm: Embedder) -> None:
    """The quality model judges; the base answers from a folder."""
    made = weak_base.pool(0, 60)
    tiny = {"vocab_size": 400, "hidden": 16, "layers": 1, "heads": 2, "steps": 2, "block": 32}
    answers = {"generate": {"max_new_tokens": 4}}
    judge = {"by": "learned", "learned": {"fit_rows": 40}}
    source = weak_base.write(made, tmp_path / "pool.jsonl")
    settings = parse(
        SelectSettings,
        {
            "pool": {"source": str(source)},
            "method": "iterselecttune",
            "budget": 20,
            "base": {"tiny": tiny},
            "settings": {"base": answers, "judge": judge, "batch": 8, "rounds": 2},
        },
    )
    model = ScriptedLLM(lambda request: RuntimeError("no LLM is to be asked"))
    tools = dataclasses.replace(
        scripted_tools(tmp_path / "r.sqlite", model), embedder=lambda settings=None: minilm
    )
    stage = selection_stage(settings)
    store = ArtifactStore(tmp_path / "artifacts")
    assert len(list(read_jsonl(store.run(stage, tools) / "selection.jsonl"))) == 20
    labels = [label for record in read_records(folder(tmp_path, stage, "infer")) for label in record.labels]
    assert len(labels) == 16 and set(labels) <= {0, 1} and model.calls == 0


@dataclasses.dataclass(frozen=True)
class Found:
    """Of the rows nobody judged: AUC of M and of R against a full labelling."""

    m: float
    r: float
    judged: float
    """Share of the pool that the judge saw."""
    lift: float
    """Share of hard rows among those selected, over that of the pool."""
    records: list[RoundRecord]


def examine(seed: int, base: Path, embedder: Embedder, root: Path) -> Found:
    made = weak_base.pool(seed, 1500)
    source = weak_base.write(made, root / f"pool{seed}.jsonl")
    answer = {"max_new_tokens": 8}
    settings = chosen(
        source, budget=450, base={"model": str(base), "generate": answer}, batch=120
    ).model_copy(update={"seed": seed})
    stage, model = selection_stage(settings), ScriptedLLM(weak_base.Oracle(made))
    tools = dataclasses.replace(
        scripted_tools(root / f"{seed}.sqlite", model), embedder=lambda settings=None: embedder
    )
    selected = list(read_jsonl(ArtifactStore(root / "artifacts").run(stage, tools) / "selection.jsonl"))
    pool = Pool.read(folder(root, stage, "load") / "pool.parquet")
    hard = weak_base.full_labelling(pool, made, base, GenerateSettings(**answer))
    state = State.read(folder(root, stage, "round3"))
    assert (hard[state.labelled] == (state.label[state.labelled] == 1)).all()
    unseen = np.flatnonzero(state.round == 0)
    r = max_cosine(np.load(folder(root, stage, "embed") / "vectors.npy"), unseen, state.hard)
    return Found(
        m=float(roc_auc_score(hard[unseen], state.hardness[unseen])),
        r=float(roc_auc_score(hard[unseen], r)),
        judged=model.calls / len(pool),
        lift=float(hard[[pool.position[row["id"]] for row in selected]].mean() / hard.mean()),
        records=read_records(folder(root, stage, "infer")),
    )


@pytest.mark.slow
def test_the_classifier_finds_what_the_base_model_cannot_do(tmp_path: Path, minilm: Embedder) -> None:
    """Measured 2026-11-21 over seeds 0 to 2: M 0.77, 0.75, 0.78; R 0.65, 0.66, 0.70; 0.5 is chance, and a fifth of
    the responses is spoiled, which the instruction does not tell."""
    base = weak_base.build_weak(tmp_path / "weak")
    found = [examine(seed, base, minilm, tmp_path) for seed in (0, 1, 2)]
    assert all(f.judged < 0.25 for f in found)
    assert all(f.m > 0.68 for f in found)
    assert all(f.m > f.r + 0.02 for f in found)
    assert all(f.lift > 1.5 for f in found)
    for f in found:
        assert f.records[1].hard > f.records[0].hard  # M chooses better than chance did
        assert f.records[-1].check is not None and f.records[-1].check.auc > 0.55
