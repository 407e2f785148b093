"""What is collected from the folders of a run: rows that seeds share, rows that failed, verdicts unread."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from eval.results import Results
from tacos.answering.judge import ReferenceJudge, Verdict
from tacos.artifacts import ArtifactStore
from tacos.config import parse
from tacos.pipeline.collect import failed_rows
from tacos.pipeline.graph import ArmStages
from tacos.pipeline.run import run_experiment
from tacos.pipeline.settings import ExperimentSettings
from tacos.stage import Job, Outcome, Stage, Tools
from tacos.usage import Ledger
from tests.conftest import LetterEmbedder
from tests.pipeline.helpers import write_pool


def run(folder: Path, **changed: Any) -> Results:
    data = {
        "name": "small",
        "baseline": "random",
        "controls": [],
        "tracking": {"mode": "disabled"},
        "artifacts": str(folder / "artifacts"),
        "runs": str(folder / "runs"),
    }
    return run_experiment(parse(ExperimentSettings, data | changed))[0]


def run_trained(folder: Path, questions: Any = None, **changed: Any) -> Results:
    """Two arms of 10 rows, trained for one step and asked three questions of the pool's, or those that are given."""
    asked = {"holdout": 3} if questions is None else {"questions": questions}
    tiny = {"vocab_size": 400, "hidden": 32, "layers": 1, "heads": 2, "steps": 2, "block": 64}
    step = {"budget": "loss_tokens", "steps": 1, "loss_tokens_per_step": 200}
    settings = {
        "pool": {"source": str(write_pool(folder / "pool.jsonl", 40)), **asked},
        "arms": {name: {"method": name} for name in ("longest", "random")},
        "budget": 10,
        "base": {"tiny": tiny},
        "train": {"lr": 1e-3, "max_length": 64, **step},
        "eval": {"generate": {"max_new_tokens": 4}},
    }
    return run(folder, **(settings | changed))


@pytest.fixture(scope="module")
def selected(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Three seeds: `longest` and `full` take the same rows for each."""
    return run(
        tmp_path_factory.mktemp("selected"),
        pool={"source": "builtin", "builtin": {"size": 260, "test_size": 20, "corpus_size": 100}},
        arms={name: {"method": name} for name in ("longest", "random", "full")},
        budget=60,
        seeds=[0, 1, 2],
        train=None,
    )


def test_rows_that_every_seed_selects_count_once(selected: Results) -> None:
    for summary in selected.summary:
        runs = [r for r in selected.runs if r.arm == summary.arm]
        interval, single = summary.interval("defect_rate"), runs[0].measures["defect_rate"].interval
        assert interval is not None and single is not None
        means = [r.measures["defect_rate"].value or 0.0 for r in runs]
        assert interval.mean == pytest.approx(sum(means) / 3)
        if summary.arm == "random":
            assert runs[0].audit.rows < interval.n < 3 * runs[0].audit.rows
        else:
            assert interval.n == runs[0].audit.rows
            assert interval.high - interval.low == pytest.approx(single.high - single.low, rel=0.15)


def test_differences_are_over_the_rows_of_both_arms(selected: Results) -> None:
    arms = {s.arm: s for s in selected.summary}
    gain, base = arms["longest"].gain("defect_rate"), arms["random"].interval("defect_rate")
    own = arms["longest"].interval("defect_rate")
    assert gain is not None and base is not None and own is not None
    assert arms["random"].gain("defect_rate") is None
    assert base.n < gain.n < base.n + 60
    assert gain.mean == pytest.approx(own.mean - base.mean)


def stage(name: str, failed: int, **inputs: Stage) -> Stage:
    work: Callable[[Job], Outcome] = lambda job: Outcome(rows_failed=failed)  # noqa: E731
    return Stage(name, work, {}, inputs)


def test_failed_rows_of_a_selection_its_answers_and_its_judge(tmp_path: Path) -> None:
    load = stage("load", 7)
    tag = stage("tag", 12, pool=load)
    select = stage("select", 0, pool=load, scores=stage("compare", 3, tags=tag))
    train = stage("train", 5, selection=select)
    answer = stage("answer", 0, model=train)
    judge = stage("judge", 2, answers=answer)
    arm = ArmStages("tacos", "tacos", 0, select, train=train, answer=answer, judge=judge)
    store, llm = ArtifactStore(tmp_path), lambda name: pytest.fail("no LLM is needed")
    for target in arm.stages().values():
        store.run(target, Tools(Ledger(), LetterEmbedder, llm))
    assert failed_rows(arm, store) == {"tag": 12, "compare": 3, "judge": 2}
    assert failed_rows(ArmStages("zero-shot", "zero-shot", 0, None, None, answer), store) == {}


def test_a_judge_that_cannot_be_read_leaves_a_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ReferenceJudge, "judge", lambda self, items: [Verdict(error="unread")] * len(items))
    results = run_trained(tmp_path)
    judged = results.runs[0].measures["winning_score"]
    assert (judged.unread, judged.value, judged.interval) == (3, None, None)
    assert results.runs[0].failed == {"judge": 3} and results.summary[0].interval("winning_score") is None
    report = (tmp_path / "runs" / "small" / "report.md").read_text()
    assert "longest, seed 0, has no winning score: 3 questions unread" in report
    written = pq.read_table(tmp_path / "runs" / "small" / "samples.parquet").to_pylist()
    answered = [(r["arm"], r["measure"], r["value"]) for r in written]
    assert {name for _, name, _ in answered} == {"faulty_answers"}  # the three without a verdict have no row
    faulty = {r.arm: r.measures["faulty_answers"].value for r in results.runs}
    for arm, mean in faulty.items():
        own = [value for name, _, value in answered if name == arm]
        assert len(own) == 3 and sum(own) / 3 == pytest.approx(mean)
