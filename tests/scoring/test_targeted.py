"""Targeted scorers and their turns: as released, worked by hand, and what is refused.

`released_rds.json` holds rows and query rows of our own and what hamishivi/automated-instruction-selection (2026-11-26,
unchanged, float32, one row a batch) gave for them on the models of `tiny_models`: cosines of every query row with every
row, and twelve picks for one task of five query rows and for two tasks of three and two.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tacos.allocation.round_robin import RoundRobin, in_turn
from tacos.errors import BudgetError, ConfigError, PoolError
from tacos.models.batches import Supervised, hidden_states
from tacos.models.local import load_lm
from tacos.part import SCORERS
from tacos.scoring.embedding import EmbeddingLikeness
from tacos.scoring.rds import Rds
from tacos.scoring.targeted import TargetedScorer, refuse_test_questions
from tacos.selection import Groups, Scores, Targets
from tacos.types import Message, Pool, Question, Sample, make_sample
from tests.scoring import tiny_models
from tests.scoring.scored import scored, setup

RELEASED = json.loads((Path(__file__).parent / "released_rds.json").read_text(encoding="utf-8"))
JOB: Any = None


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("targeted")
    for kind in ("gpt2", "llama"):
        tiny_models.build(made / kind, kind)
    write(made / "dev.jsonl", RELEASED["queries"])
    write(made / "a.jsonl", RELEASED["queries"][:3])
    write(made / "b.jsonl", RELEASED["queries"][3:])
    return made


@pytest.fixture
def pool() -> Pool:
    return Pool.from_samples(
        Sample(id=row["id"], messages=tuple(Message(**message) for message in row["messages"]))
        for row in RELEASED["rows"]
    )


def turns(scores: Scores, budget: int = 12, **settings: Any) -> list[int]:
    rows = Groups.one(len(scores.values))
    return [pick.index for pick in RoundRobin(**settings).allocate(rows, scores, budget, JOB)]


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_rds_is_the_released_one_in_values_and_turns(
    kind: str, folder: Path, pool: Pool, tmp_path: Path
) -> None:
    part = Rds(model=str(folder / kind), queries=str(folder / "dev.jsonl"))
    scores = scored(part, pool, tmp_path)
    assert scores.targets is not None
    assert scores.targets.values == pytest.approx(np.array(RELEASED[kind]["cosines"]), abs=1e-5)
    assert scores.values == pytest.approx(scores.targets.values.max(axis=0), abs=1e-6)
    assert turns(scores) == RELEASED[kind]["one"]
    several = part.model_copy(
        update={"queries": {"a": str(folder / "a.jsonl"), "b": str(folder / "b.jsonl")}}
    )
    assert turns(scored(several, pool, tmp_path)) == RELEASED[kind]["several"]


def test_two_processes_read_the_same_states(folder: Path, pool: Pool, tmp_path: Path) -> None:
    part = Rds(model=str(folder / "llama"), queries=str(folder / "dev.jsonl"), workers=2)
    found = scored(part, pool, tmp_path).targets
    assert found is not None and found.values == pytest.approx(
        np.array(RELEASED["llama"]["cosines"]), abs=1e-5
    )


def test_weighted_states_by_hand(folder: Path) -> None:
    lm = load_lm(str(folder / "llama"), device="cpu")
    row = Supervised([5, 6, 7], [1, 1, 0])
    ((_, each),) = hidden_states(lm, [row], "none")
    ((_, pooled),) = hidden_states(lm, [row], "weighted")
    assert pooled == pytest.approx((each[0] + 2 * each[1]) / 3, abs=1e-6)


def test_tasks_are_the_sources_of_one_file(folder: Path, pool: Pool, tmp_path: Path) -> None:
    rows = [{**row, "source": "even" if i % 2 == 0 else "odd"} for i, row in enumerate(RELEASED["queries"])]
    part = Rds(model=str(folder / "gpt2"), queries=write(tmp_path / "named.jsonl", rows))
    targets = scored(part, pool, tmp_path).targets
    assert targets is not None and targets.tasks == ("even", "odd", "even", "odd", "even")
    assert targets.by_task["odd"] == pytest.approx(targets.values[[1, 3]].max(axis=0))


def test_values_of_a_task_by_hand() -> None:
    values = np.array([[0.1, 0.9], [0.5, 0.1], [0.2, 0.2]], dtype=np.float32)
    most = Targets(values, ("q0", "q1", "q2"), ("a", "a", "b"), "max")
    assert most.by_task["a"].tolist() == pytest.approx([0.5, 0.9]) and most.best == pytest.approx([0.5, 0.9])
    mean = Targets(values, ("q0", "q1", "q2"), ("a", "a", "b"), "mean")
    assert mean.by_task["a"].tolist() == pytest.approx([0.3, 0.5]) and mean.best == pytest.approx([0.3, 0.5])


def test_turns_by_hand() -> None:
    values = np.array([[0.9, 0.8, 0.1, 0.0], [0.9, 0.2, 0.8, 0.0]])
    rows, who = in_turn(values, 3)
    assert rows.tolist() == [0, 1, 2] and who.tolist() == [0, 0, 1]
    assert in_turn(values, 0)[0].tolist() == []
    assert in_turn(np.zeros((2, 4)), 4)[0].tolist() == [0, 1, 2, 3]


def plain_turns(values: np.ndarray, budget: int) -> list[int]:
    """The rule as it reads."""
    orders = [sorted(range(values.shape[1]), key=lambda row, own=own: (-own[row], row)) for own in values]
    taken: list[int] = []
    while len(taken) < budget:
        for order in orders:
            row = order.pop(0)
            if row not in taken and len(taken) < budget:
                taken.append(row)
    return taken


@pytest.mark.parametrize("seed", range(5))
def test_turns_are_those_of_the_plain_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 6, size=(int(rng.integers(1, 6)), 30)).astype(np.float64)  # with many ties
    for budget in (1, 7, 30):
        assert in_turn(values, budget)[0].tolist() == plain_turns(values, budget)


def test_a_row_without_a_value_takes_no_turn() -> None:
    values = np.array([[0.9, 0.5, 0.1]], dtype=np.float32)
    scores = Scores(np.array([np.nan, 0.5, 0.1]), {0: "refused"}, targets=Targets(values, ("q",), ("t",)))
    assert turns(scores, 2) == [1, 2]
    with pytest.raises(BudgetError, match="2 samples that have a score"):
        turns(scores, 3)


def test_picks_say_whose_turn_it_was() -> None:
    values = np.array([[0.9, 0.5], [0.1, 0.7]], dtype=np.float32)
    scores = Scores(values.max(axis=0).astype(float), targets=Targets(values, ("q0", "q1"), ("a", "b")))
    first, second = RoundRobin().allocate(Groups.one(2), scores, 2, JOB)
    assert (first.reason, second.reason) == ("in the turn of task a", "in the turn of task b")
    assert second.score == pytest.approx(0.7)
    first, _ = RoundRobin(over="queries").allocate(Groups.one(2), scores, 2, JOB)
    assert first.reason == "in the turn of query q0"


def test_an_embedder_or_vectors_of_ones_own(pool: Pool, folder: Path, tmp_path: Path) -> None:
    rows, asked = np.zeros((30, 2), dtype=np.float32), np.zeros((5, 2), dtype=np.float32)
    rows[:, 0], rows[3] = 2.0, (0, 5)
    asked[:, 1] = 1
    np.save(tmp_path / "v.npy", rows)
    np.save(tmp_path / "q.npy", asked)
    queries = str(folder / "dev.jsonl")
    part = EmbeddingLikeness(
        queries=queries, vectors=str(tmp_path / "v.npy"), query_vectors=str(tmp_path / "q.npy")
    )
    assert scored(part, pool, tmp_path).values.tolist() == [float(i == 3) for i in range(30)]
    with pytest.raises(ValueError, match="vectors of the pool and query_vectors, or neither"):
        EmbeddingLikeness(queries=queries, vectors="v.npy")


@pytest.mark.parametrize("name", [name for name in SCORERS if issubclass(SCORERS.get(name), TargetedScorer)])
def test_without_query_rows_a_targeted_scorer_is_refused(name: str, pool: Pool) -> None:
    with pytest.raises(ConfigError, match=rf"score\.by={name} selects for a target: set score\.queries"):
        SCORERS.get(name)().build(setup(pool, "base"))


@pytest.mark.parametrize("said", [["a.jsonl"], {"math": None}, "", 3])
def test_query_rows_are_files(said: Any) -> None:
    with pytest.raises(ValueError, match="give a file of samples, or files by task"):
        Rds(queries=said)


def test_query_rows_that_are_test_questions_are_refused() -> None:
    asked = "Name three causes of the First World War."
    queries = Pool.from_samples([make_sample("Hi", "Hello", id="a"), make_sample(asked.lower(), "x", id="b")])
    with pytest.raises(
        PoolError, match="1 of 2 query rows hold test questions, the first 'b' the question 't7'"
    ):
        refuse_test_questions(queries, [Question(id="t7", turns=(asked,))])
    refuse_test_questions(queries, [Question(id="t8", turns=("Name one.",))])


def test_one_file_by_name_is_one_task(pool: Pool, folder: Path, tmp_path: Path) -> None:
    rows = [{**row, "source": f"set {i % 2}"} for i, row in enumerate(RELEASED["queries"])]
    part = Rds(model=str(folder / "gpt2"), queries={"math": write(tmp_path / "named.jsonl", rows)})
    targets = scored(part, pool.take([0]), tmp_path).targets
    assert targets is not None and targets.tasks == ("math",) * 5
    assert targets.queries[0] == f"math/{RELEASED['queries'][0]['id']}"


def test_the_names_of_tasks_and_their_order_are_what_query_rows_are(pool: Pool, folder: Path) -> None:
    a, b = str(folder / "a.jsonl"), str(folder / "b.jsonl")
    asked: list[Any] = [a, {"target": a}, {"a": a, "b": b}, {"b": b, "a": a}]
    stages = [EmbeddingLikeness(queries=queries).queries_stage(setup(pool)) for queries in asked]
    assert len({stage.fingerprint for stage in stages}) == 4


def test_query_rows_that_are_left_out_are_told(
    pool: Pool, folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [*RELEASED["queries"], {"instruction": "Say nothing.", "output": ""}]
    part = Rds(model=str(folder / "gpt2"), queries=write(tmp_path / "some.jsonl", rows))
    targets = scored(part, pool.take([0]), tmp_path).targets
    assert targets is not None and len(targets.queries) == 5
    assert "some.jsonl: 1 of 6 query rows are left out: 1 " in caplog.text


@pytest.fixture
def refusing(folder: Path, tmp_path: Path) -> str:
    """A model whose template takes no system message."""
    lm = load_lm(str(folder / "llama"), device="cpu")
    plain = lm.tokenizer.chat_template
    lm.tokenizer.chat_template = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system message') }}{% endif %}"
        f"{plain}"
    )
    lm.model.save_pretrained(tmp_path / "refusing")
    lm.tokenizer.save_pretrained(tmp_path / "refusing")
    return str(tmp_path / "refusing")


def spoken(id_: str, *roles: str) -> Sample:
    return Sample(id=id_, messages=tuple(Message(role=role, content=f"a {role} says") for role in roles))


SYSTEM, PLAIN = spoken("s", "system", "user", "assistant"), spoken("p", "user", "assistant")


def test_rows_that_the_template_refuses_are_told_and_left_out(
    refusing: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    both = write(tmp_path / "both.jsonl", [row.model_dump(mode="json") for row in (SYSTEM, PLAIN)])
    part = Rds(model=refusing, template="auto", queries=both)
    scores = scored(part, Pool.from_samples([SYSTEM, PLAIN]), tmp_path)
    assert scores.targets is not None and scores.targets.queries == ("p",)
    assert scores.values == pytest.approx([np.nan, 1.0], nan_ok=True) and "no system" in scores.errors[0]
    assert "score.by=rds: 1 of 2 query rows could not be read and are left out" in caplog.text


@pytest.mark.parametrize(("asked", "given", "what"), [(SYSTEM, PLAIN, "query rows"), (PLAIN, SYSTEM, "rows")])
def test_where_no_row_can_be_read_the_reason_is_said(
    asked: Sample, given: Sample, what: str, refusing: str, tmp_path: Path
) -> None:
    part = Rds(
        model=refusing,
        template="auto",
        queries=write(tmp_path / "q.jsonl", [asked.model_dump(mode="json")]),
    )
    with pytest.raises(PoolError, match=f"could read none of the 1 {what}: .*no system message"):
        scored(part, Pool.from_samples([given]), tmp_path)


def test_query_vectors_of_another_length_are_refused(pool: Pool, folder: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.ones((30, 3), dtype=np.float32))
    np.save(tmp_path / "q.npy", np.ones((5, 2), dtype=np.float32))
    files = {"vectors": str(tmp_path / "v.npy"), "query_vectors": str(tmp_path / "q.npy")}
    part = EmbeddingLikeness(queries=str(folder / "dev.jsonl"), **files)
    with pytest.raises(ConfigError, match=r"query_vectors are of 2 numbers and score\.vectors of 3"):
        scored(part, pool, tmp_path)


def test_a_plan_counts_the_embedding_of_the_pool_alone(pool: Pool, folder: Path) -> None:
    stage = EmbeddingLikeness(queries=str(folder / "dev.jsonl")).build(setup(pool))
    found = [embed for embed in stage.walk() if embed.name == "embed"]
    assert [embed.inputs["pool"].name for embed in found if embed.passes] == ["load"] and len(found) == 2


def test_a_missing_file_of_query_rows_is_named(pool: Pool) -> None:
    with pytest.raises(PoolError, match=r"none\.jsonl"):
        EmbeddingLikeness(queries="out/none.jsonl").build(setup(pool))
