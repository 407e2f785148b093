"""One contract for every registered method, and TACOS with a scripted LLM from end to end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tacos.artifacts import ArtifactStore
from tacos.config import parse
from tacos.errors import BudgetError, ConfigError, LLMError, PoolError, TacosError
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.methods import METHODS
from tacos.pipeline.graph import selection_stage
from tacos.pipeline.plan import plan
from tacos.pipeline.settings import SelectSettings
from tacos.stage import Stage
from tacos.store.tables import read_scores
from tests.pipeline.helpers import LLM_TACOS, LLMS, TOPICS, reply, scripted_tools, write_pool
from tests.scoring import tiny_models

TAGS = {key: value for key, value in LLM_TACOS["group"].items() if key != "clustering"}
TINY_BASE: dict[str, Any] = {
    "base": {"tiny": {"vocab_size": 300, "hidden": 16, "layers": 1, "heads": 2, "steps": 5, "block": 16}}
}
TRAIN: dict[str, Any] = {"train": {"epochs": 1, "max_length": 64, "device": "cpu"}}
SMALL: dict[str, dict[str, Any]] = {
    "tacos": LLM_TACOS | {"group": LLM_TACOS["group"] | {"clustering": {"k": 3}}},
    "tacos-refined": LLM_TACOS | {"refine": {"llm": "scorer"}},
    "longest-refined": {"refine": {"llm": "scorer"}},
    "car": {"group": {"k": 3}, "score": {"fit": {"fit_rows": 20}}},
    "mig": {"group": TAGS, "score": {"fit": {"fit_rows": 20}}},
    "instag": {"group": TAGS},
    "kmeans-random": {"group": {"k": 3}},
    "kmeans-quality": {"group": {"k": 3}, "score": {"fit": {"fit_rows": 20}}},
    "qdit": {"score": {"fit": {"fit_rows": 20}}},
    "dpp": {"score": {"fit": {"fit_rows": 20}}},
    "recipe": {"group": "none", "score": "length", "allocate": "top"},
    "alpagasus": {"score": {"high": 100}},
    "ifd": TINY_BASE | TRAIN | {"score": {"ceiling": None, "experience": {"clusters": 2, "per_cluster": 3}}},
    "diverse-evol": TINY_BASE | TRAIN | {"settings": {"initial": 4, "per_round": 4}},
    "less": TINY_BASE
    | TRAIN
    | {"score": {"epochs": 1, "dim": 16, "template": "auto", "train": {"lora": {"r": 2}}}},
    "rds": TINY_BASE | {"score": {"template": "auto"}},
    "superfiltering": TINY_BASE | {"score": {"model": None, "ceiling": None}},
    "superfiltering-d": TINY_BASE | {"score": {"model": None, "ceiling": None}, "allocate": {"best": 1.0}},
    "selectit": TINY_BASE,
    "iterselecttune": {
        **TINY_BASE,
        "settings": {"base": {"generate": {"max_new_tokens": 4}}, "batch": 4},
    },
}
BUDGET = 8


def settings(pool: Path, method: str, **changes: Any) -> SelectSettings:
    if method == "length-matched":
        changes = {"allocate": {"like": str(pool)}} | changes
    data = {
        "pool": {"source": str(pool)},
        "method": method,
        "budget": BUDGET,
        "llms": LLMS,
        **SMALL.get(method, {}),
    }
    if method in ("embedding", "rds", "less"):
        queries = write_pool(pool.with_name("queries.jsonl"), 3)
        data["score"] = {**data.get("score", {}), "queries": str(queries)}
    if method == "deita":  # which reads two models of its own
        lm = str(tiny_models.build(pool.parent / "lm", "gpt2"))
        data |= {"score": {"complexity": lm, "quality": lm, "prompts": tiny_models.TEMPLATES}}
    return parse(SelectSettings, data | changes)


def run(
    chosen: SelectSettings, root: Path, model: ScriptedLLM | None = None, retry_failed: bool = False
) -> tuple[list[dict[str, Any]], Stage]:
    stage = selection_stage(chosen)
    tools = scripted_tools(root / "replies.sqlite", model or ScriptedLLM(reply))
    tools.llm("any").retry_unread = retry_failed
    folder = ArtifactStore(root / "artifacts", retry_failed).run(stage, tools)
    return [json.loads(line) for line in (folder / "selection.jsonl").read_text().splitlines()], stage


@pytest.mark.parametrize("method", list(METHODS))
class TestEveryMethod:
    def test_rows_budget_ranks_and_ids(self, method: str, tmp_path: Path) -> None:
        rows, _ = run(settings(write_pool(tmp_path / "p.jsonl"), method), tmp_path)
        assert len(rows) == (24 if method == "full" else BUDGET)
        assert [r["selection"]["rank"] for r in rows] == list(range(1, len(rows) + 1))
        assert len({r["id"] for r in rows}) == len(rows)
        for row in rows:
            assert set(row) - {"refinement"} == {"id", "messages", "source", "selection"}
            assert set(row["selection"]) == {"rank", "score", "group", "place", "reason"}
            assert row["selection"]["reason"]
            assert [m["role"] for m in row["messages"]] == ["user", "assistant"]

    def test_the_same_seed_selects_the_same_bytes(self, method: str, tmp_path: Path) -> None:
        pool = write_pool(tmp_path / "p.jsonl")
        first, one = run(settings(pool, method, seed=3), tmp_path / "a")
        second, two = run(settings(pool, method, seed=3), tmp_path / "b")
        assert one.fingerprint == two.fingerprint
        assert first == second

    def test_a_budget_above_the_pool_is_refused(self, method: str, tmp_path: Path) -> None:
        if method == "full":
            pytest.skip("takes everything, whatever the budget")
        with pytest.raises(BudgetError, match=r"budget 25 is above the 24 .* at most 24"):
            run(settings(write_pool(tmp_path / "p.jsonl"), method, budget=25), tmp_path)

    def test_an_unknown_setting_is_named(self, method: str, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"unknown setting 'settings\.nonsense'"):
            run(settings(write_pool(tmp_path / "p.jsonl"), method, settings={"nonsense": 1}), tmp_path)

    def test_the_name_of_the_file_is_no_part_of_the_answer(self, method: str, tmp_path: Path) -> None:
        stages = [
            selection_stage(settings(write_pool(tmp_path / name), method)) for name in ("p.jsonl", "q.jsonl")
        ]
        assert stages[0].fingerprint == stages[1].fingerprint


def test_longest_takes_the_longest(tmp_path: Path) -> None:
    rows, _ = run(settings(write_pool(tmp_path / "p.jsonl"), "longest"), tmp_path)
    scores = [r["selection"]["score"] for r in rows]
    assert scores == sorted(scores, reverse=True)
    assert {r["messages"][0]["content"].split()[-1] for r in rows} == {str(i) for i in range(16, 24)}


def test_random_draws_differ_by_seed(tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "p.jsonl")
    draws = [{r["id"] for r in run(settings(pool, "random", seed=s), tmp_path)[0]} for s in (0, 1)]
    assert draws[0] != draws[1]


def tacos(pool: Path, **changes: Any) -> SelectSettings:
    return settings(pool, "tacos", **LLM_TACOS | changes)


def test_tacos_tags_pairs_inside_topics_and_takes_the_best_of_each(tmp_path: Path) -> None:
    model = ScriptedLLM(reply)
    rows, _ = run(tacos(write_pool(tmp_path / "p.jsonl")), tmp_path, model)
    assert model.calls == 24 + 12  # one per sample, one per pair
    topics = [next(t for t in TOPICS if t in r["messages"][0]["content"]) for r in rows]
    assert sorted(topics) == sorted(list(TOPICS) * 2)
    # In each topic of six the two longest answers belong to rows 16-23.
    assert {int(r["messages"][0]["content"].split()[-1]) for r in rows} == set(range(16, 24))
    groups = {r["selection"]["group"].split(": ")[1] for r in rows}
    assert groups == {"poetri", "cook", "algebra", "travel"}  # Porter stems


def test_another_budget_or_allocation_pays_no_call_again(tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "p.jsonl")
    model = ScriptedLLM(reply)
    run(tacos(pool), tmp_path, model)
    before = model.calls
    rows, _ = run(tacos(pool, budget=12), tmp_path, model)
    top, _ = run(tacos(pool, allocate="top"), tmp_path, model)
    assert model.calls == before
    assert len(rows) == 12
    assert [r["selection"]["score"] for r in top] == sorted(
        (r["selection"]["score"] for r in top), reverse=True
    )


def test_two_methods_share_the_pool_stage(tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "p.jsonl")
    run(settings(pool, "random"), tmp_path)
    run(settings(pool, "longest"), tmp_path)
    assert len(list((tmp_path / "artifacts" / "load").glob("*/done.json"))) == 1


def test_unreadable_replies_are_missing_scores_and_never_selected(tmp_path: Path) -> None:
    def sometimes(request: Any) -> str:
        text = request.messages[-1].content
        return "I would rather not say." if "<response_1>" in text and "number 20" in text else reply(request)

    rows, stage = run(tacos(write_pool(tmp_path / "p.jsonl")), tmp_path, ScriptedLLM(sometimes))
    store = ArtifactStore(tmp_path / "artifacts")
    compare = next(s for s in stage.walk() if s.name == "compare")
    scores = read_scores(store.folder(compare))
    missing = np.flatnonzero(np.isnan(scores.values)).tolist()
    assert missing == [16, 20]
    assert all("unreadable reply" in scores.errors[i] for i in missing)
    assert store.record(compare).outcome.rows_failed == 1
    assert not {16, 20} & {int(r["messages"][0]["content"].split()[-1]) for r in rows}


def test_a_model_that_fails_everywhere_stops_the_run_and_costs_nothing_twice(tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "p.jsonl")

    def broken(request: Any) -> str | Exception:
        return RuntimeError("down") if "<response_1>" in request.messages[-1].content else reply(request)

    with pytest.raises(LLMError, match="down"):
        run(tacos(pool), tmp_path, ScriptedLLM(broken))
    model = ScriptedLLM(reply)
    run(tacos(pool), tmp_path, model)
    assert model.calls == 12  # the tags were kept


def test_a_plan_counts_the_pairs_of_groups_that_are_known(tmp_path: Path) -> None:
    chosen = parse(
        SelectSettings,
        tacos(write_pool(tmp_path / "p.jsonl")).model_dump() | {"artifacts": str(tmp_path / "artifacts")},
    )
    run(chosen, tmp_path)
    shutil.rmtree(tmp_path / "artifacts" / "compare")
    planned = {stage.stage: stage for stage in plan(chosen)}
    assert planned["tag"].cached and planned["tag"].estimate.calls == 0
    assert planned["compare"].estimate.calls == 12


def test_failed_calls_are_asked_again_when_told_to(tmp_path: Path) -> None:
    """One call fails for good: its rows are missing, the run goes on, and nothing asks again by itself."""
    chosen, down = tacos(write_pool(tmp_path / "p.jsonl")), [True]

    def flaky(request: Any) -> str | Exception:
        text = request.messages[-1].content
        return (
            RuntimeError("down")
            if down[0] and "<response_1>" in text and "number 20" in text
            else reply(request)
        )

    model = ScriptedLLM(flaky)
    first, _ = run(chosen, tmp_path, model)
    down[0] = False
    again, _ = run(chosen, tmp_path, model)
    calls = model.calls
    retried, _ = run(chosen, tmp_path, model, retry_failed=True)
    assert first == again != retried
    assert model.calls == calls + 1
    assert retried == run(chosen, tmp_path / "clean")[0]
    assert run(chosen, tmp_path, model, retry_failed=True)[0] == retried
    assert model.calls == calls + 1


def test_replies_that_could_not_be_read_are_asked_for_again_when_told_to(tmp_path: Path) -> None:
    chosen, dull = tacos(write_pool(tmp_path / "p.jsonl")), [True]

    def vague(request: Any) -> str:
        text = request.messages[-1].content
        return (
            "Both are fine." if dull[0] and "number 20" in text and "<response_1>" in text else reply(request)
        )

    model = ScriptedLLM(vague)
    first, stage = run(chosen, tmp_path, model)
    compare = next(s for s in stage.walk() if s.name == "compare")
    assert ArtifactStore(tmp_path / "artifacts").record(compare).unanswered == 1
    dull[0], calls = False, model.calls
    assert run(chosen, tmp_path, model)[0] == first and model.calls == calls
    retried, _ = run(chosen, tmp_path, model, retry_failed=True)
    assert model.calls == calls + 1 and retried == run(chosen, tmp_path / "clean")[0] != first
    assert ArtifactStore(tmp_path / "artifacts").record(compare).unanswered == 0
    assert run(chosen, tmp_path, model, retry_failed=True)[0] == retried and model.calls == calls + 1


def test_the_bill_counts_replies_that_another_arm_paid_for(tmp_path: Path) -> None:
    pool, model = write_pool(tmp_path / "p.jsonl"), ScriptedLLM(reply)
    _, one = run(tacos(pool), tmp_path, model)
    _, two = run(tacos(pool, score={"llm": "scorer", "design": {"odd": "drop"}}), tmp_path, model)
    store = ArtifactStore(tmp_path / "artifacts")
    paid, cached = (store.record(next(s for s in x.walk() if s.name == "compare")).usage for x in (one, two))
    assert (paid.calls, cached.calls, cached.cached_calls) == (12, 0, 12)
    assert cached.cost_usd == 0 and cached.cached_cost_usd == pytest.approx(paid.cost_usd)
    assert cached.as_first_paid().cost_usd == pytest.approx(paid.as_first_paid().cost_usd)


def test_what_calls_cost_stands_in_the_done_record(tmp_path: Path) -> None:
    _, stage = run(tacos(write_pool(tmp_path / "p.jsonl")), tmp_path)
    store = ArtifactStore(tmp_path / "artifacts")
    usage = {s.name: store.record(s).usage for s in stage.walk()}
    assert (usage["tag"].calls, usage["compare"].calls, usage["select"].calls) == (24, 12, 0)
    assert usage["tag"].cost_usd == pytest.approx(
        (usage["tag"].prompt_tokens + 2 * usage["tag"].completion_tokens) / 1e6
    )


def test_what_a_reduction_leaves_is_not_blamed_on_tags(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    reduced = LLM_TACOS["group"] | {"reduce": True}
    score = {"llm": "scorer", "design": {"bridges": 0.5}}
    with pytest.raises(TacosError):  # one row is left of each topic, and none to compare it with
        run(tacos(write_pool(tmp_path / "p.jsonl"), group=reduced, score=score), tmp_path, ScriptedLLM(reply))
    said = "only 4 of 24 samples can be selected: 24 keep a tag (group.normalization), 24 of these stand in a cluster"
    assert said in caplog.text and "group.reduce leaves 4" in caplog.text


def test_groups_of_one_row_each_are_refused_with_what_to_do(tmp_path: Path) -> None:
    pool = write_pool(tmp_path / "p.jsonl", n=3)  # of three sources
    with pytest.raises(PoolError, match=r"none of 3 groups has two rows.*fewer groups \(group\.k"):
        run(settings(pool, "tacos", budget=2, group="source"), tmp_path)
