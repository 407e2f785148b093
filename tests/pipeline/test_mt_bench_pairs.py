"""MT-Bench in pairs as stages of an experiment: FastChat's figure over the same rows, planned to the call."""

from __future__ import annotations

from pathlib import Path

import pytest

from eval.mt_bench.pair_benchmark import JUDGMENTS, MTBenchPairsSettings, benchmarks_of, point_rows
from eval.mt_bench.pairs import score_pairs
from eval.questions import read_questions
from eval.results import Results
from tacos.config import parse
from tacos.errors import ConfigError
from tacos.pipeline.plan import plan
from tacos.pipeline.run import run_experiment
from tacos.pipeline.settings import ExperimentSettings
from tacos.viewing.answers import AnswerQuery
from tacos.viewing.shelf import Shelf
from tests.llm.server import FaultServer
from tests.pipeline.benchmark_files import any_reply, tiny_experiment, write_assets
from tests.pipeline.helpers import write_pool


def test_pairs_are_stages_and_their_figure_is_that_of_tacos_eval(tmp_path: Path) -> None:
    write_pool(tmp_path / "pool.jsonl", 40)
    assets = write_assets(tmp_path / "assets")
    with FaultServer(answer=any_reply) as server:
        data = tiny_experiment(tmp_path, server.endpoint)
        data["benchmarks"] = {
            "mt_bench": data["benchmarks"]["mt_bench"],
            "mt_bench_pairs": {"judge": "judge", "against": ["random", "zero-shot"]},
        }
        settings = parse(ExperimentSettings, data)
        (first, *others) = [s for s in plan(settings, assets) if s.stage == "mt_bench_pairs"]
        assert (len(others), first.estimate.calls) == (
            3,
            12,
        )  # two arms against each; 3 questions, 2 turns, 2 orders
        results, _ = run_experiment(settings, assets=assets)
    scores(results, tmp_path)
    run = Shelf([tmp_path / "runs"])["small"]
    for question in run.answers(AnswerQuery(of="mt_bench", arm="random")).questions:
        own = {answer.arm: answer for answer in question.answers}
        said = {line.label: line.text for line in own["random"].verdicts}
        other = {line.label: line.text for line in own["zero-shot"].verdicts}
        assert set(said) == {"turn 1", "turn 2", "beside zero-shot, turn 1", "beside zero-shot, turn 2"}
        turned = {"won": "lost", "lost": "won", "tied": "tied", "not read": "not read"}
        for turn in (1, 2):  # each was judged for itself, in both orders
            ours, theirs = said[f"beside zero-shot, turn {turn}"], other[f"beside random, turn {turn}"]
            assert sorted(turned[word] for word in ours.split(" and ")) == sorted(theirs.split(" and "))
    measures = {m.name: m for m in results.measures if m.name.startswith("mt_bench_pairs")}
    assert [(name, m.neutral, m.difference) for name, m in measures.items()] == [
        ("mt_bench_pairs_random", 0.5, False),
        ("mt_bench_pairs_zero_shot", None, True),
    ]
    assert "mt_bench_pairs_random" not in next(r for r in results.runs if r.arm == "random").measures


def scores(results: Results, folder: Path) -> None:
    questions = read_questions(folder / "assets/mt_bench/question.jsonl")
    for run in results.runs:
        for opponent in {"random", "zero-shot"} - {run.arm}:
            path = folder / "artifacts" / run.artifacts[f"mt_bench_pairs-{opponent}"] / JUDGMENTS
            (known,) = score_pairs([path], questions).pairs
            found = run.measures[f"mt_bench_pairs_{opponent.replace('-', '_')}"]
            assert found.value == pytest.approx(known.win_rate_adjusted) and not known.error
            rows = point_rows(path, questions)
            assert {row["category"] for row in rows} == {"writing", "math", "stem"}


def test_opponents_are_arms_each_once(tmp_path: Path) -> None:
    assert [b.name for b in benchmarks_of(MTBenchPairsSettings(), "base line")] == [
        "mt_bench_pairs_base_line"
    ]
    for against, message in (
        (["randm"], r"benchmarks\.mt_bench_pairs\.against: 'randm' is not an arm"),
        (["random", "random"], "give each arm once"),
    ):
        data = tiny_experiment(tmp_path, "http://127.0.0.1:9/v1")
        data["benchmarks"] = {"mt_bench_pairs": {"judge": "judge", "against": against}}
        with pytest.raises(ConfigError, match=message):
            parse(ExperimentSettings, data)
