"""Public benchmarks as stages of an experiment: the figures of `tacos eval`, paid once, resumed after a kill."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from eval.alpaca_eval.files import known_reference
from eval.alpaca_eval.score import AlpacaEvalScore, score_files
from eval.benchmarks import benchmarks
from eval.mt_bench.score import ModelScore, score_single
from eval.pairwise.reviews import read_reviews
from eval.pairwise.score import PairwiseScores, score_reviews
from eval.questions import read_questions
from eval.results import ArmRun, Results
from tacos.assets import Assets
from tacos.config import parse
from tacos.errors import ConfigError
from tacos.pipeline.batch import export
from tacos.pipeline.graph import Experiment
from tacos.pipeline.plan import PlannedStage, plan
from tacos.pipeline.run import run_experiment
from tacos.pipeline.settings import ExperimentSettings
from tacos.pipeline.text_tables import judgment_tables
from tacos.store.fingerprint import plain
from tacos.viewing.answers import AnswerQuery
from tacos.viewing.shelf import Shelf
from tests.llm.server import FaultServer
from tests.pipeline.benchmark_files import tiny_experiment, verdict, write_assets
from tests.pipeline.helpers import write_pool

SETS = ("vicuna", "koala")


class Whole:
    """An experiment run without a stop."""

    def __init__(self, folder: Path):
        write_pool(folder / "pool.jsonl", 40)
        self.folder, self.assets = folder, write_assets(folder / "assets")
        with FaultServer(answer=verdict) as server:
            settings = parse(ExperimentSettings, tiny_experiment(folder, server.endpoint))
            self.planned: list[PlannedStage] = plan(settings, self.assets)
            self.results: Results = run_experiment(settings, assets=self.assets)[0]
            self.asked = server.asked
            self.left = plan(settings, self.assets)

    def run(self, arm: str) -> ArmRun:
        return next(run for run in self.results.runs if run.arm == arm)

    def file(self, arm: str, stage: str, name: str) -> Path:
        return self.folder / "artifacts" / self.run(arm).artifacts[stage] / name

    def mt_bench(self, arm: str) -> ModelScore:
        questions = read_questions(self.assets.path("mt_bench/question.jsonl"))
        scores = score_single([self.file(arm, "mt_bench", "judgments.jsonl")], questions)
        return next(iter(scores.models.values()))

    def alpaca_eval(self, arm: str) -> AlpacaEvalScore:
        annotations = self.file(arm, "alpaca_eval", "annotations.json")
        return next(iter(score_files([annotations], known_reference(self.assets)).models.values()))

    def sets(self, arm: str, opponent: str) -> PairwiseScores:
        files = [self.file(arm, f"five_sets-{opponent}", f"reviews_{name}.json") for name in SETS]
        questions = {name: read_questions(self.assets.path(f"test_sets/{name}.jsonl")) for name in SETS}
        return score_reviews([read_reviews(file) for file in files], questions)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return Whole(tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("arm", ["longest", "random", "zero-shot"])
def test_the_figures_are_those_of_tacos_eval_on_the_same_files(whole: Whole, arm: str) -> None:
    found, rated, preferred = whole.run(arm).measures, whole.mt_bench(arm), whole.alpaca_eval(arm)
    assert found["mt_bench"].beside == {"all_ratings": pytest.approx(rated.average)}
    assert found["mt_bench_turn_1"].value == pytest.approx(rated.turn_1)
    assert found["mt_bench_turn_2"].value == pytest.approx(rated.turn_2)
    assert found["alpaca_eval_win_rate"].value == pytest.approx(preferred.win_rate)
    assert found["alpaca_eval_length_controlled"].value == pytest.approx(preferred.length_controlled_winrate)
    for opponent in {"random", "zero-shot"} - {arm}:
        scores, name = whole.sets(arm, opponent), f"five_sets_{opponent.replace('-', '_')}"
        pooled = scores.pooled
        assert pooled.winning_score and found[name].value == pytest.approx(pooled.winning_score.mean)
        assert found[name].counts == {"win": pooled.win, "tie": pooled.tie, "lose": pooled.lose}
        for one in SETS:
            expected = scores.sets[one].winning_score
            assert expected and found[f"{name}_{one}"].value == pytest.approx(expected.mean)


def test_an_arm_without_a_comparison_has_no_value_of_it(whole: Whole) -> None:
    assert not [name for name in whole.run("random").measures if name.startswith("five_sets_random")]
    assert {"five_sets_zero_shot", "five_sets_zero_shot_koala"} <= whole.run("random").measures.keys()
    shown = {measure.name: measure for measure in whole.results.measures}
    assert (shown["five_sets_random"].neutral, shown["five_sets_zero_shot"].neutral) == (1.0, None)
    assert "winning_score" not in shown and "exact_match" not in shown  # no questions of its own


def test_an_unread_judgment_is_counted_and_in_no_figure(whole: Whole) -> None:
    for run in whole.results.runs:
        average, second = run.measures["mt_bench"], run.measures["mt_bench_turn_2"]
        assert (average.unread, second.unread, run.measures["mt_bench_turn_1"].unread) == (1, 1, 0)
        assert average.interval and average.interval.n == 2 and run.failed == {"mt_bench": 1}


def test_ids_of_values_name_the_benchmark(whole: Whole) -> None:
    """Own test questions may have the same numbers."""
    rows = pq.read_table(whole.folder / "runs" / "small" / "samples.parquet").to_pylist()
    ids = {row["measure"]: row["id"] for row in rows if row["arm"] == "longest"}
    assert (ids["mt_bench"], ids["alpaca_eval_win_rate"]) == ("mt_bench/82", "alpaca_eval/5")
    assert ids["five_sets_random"].split("/")[0] in SETS


def test_differences_from_the_baseline_are_paired(whole: Whole) -> None:
    longest, random = (
        {name: found.value or 0.0 for name, found in whole.run(arm).measures.items()}
        for arm in ("longest", "random")
    )
    (summary,) = [s for s in whole.results.summary if s.arm == "longest"]
    for name in ("mt_bench", "mt_bench_turn_1", "alpaca_eval_win_rate", "five_sets_zero_shot"):
        gain = summary.gain(name)
        assert gain is not None and gain.mean == pytest.approx(longest[name] - random[name])
    assert summary.gain("five_sets_random") is None


def test_the_plan_foresees_the_calls_and_nothing_is_paid_twice(whole: Whole) -> None:
    expected = {stage.stage: 0 for stage in whole.planned}
    for stage in whole.planned:
        expected[stage.stage] += stage.estimate.calls
    assert {name: n for name, n in expected.items() if n} == {
        "mt_bench": 3 * 6,
        "alpaca_eval": 3 * 6,
        "five_sets": 4 * 10,
    }
    # zero-shot against random is random against zero-shot in the other order; unread ratings are asked for again
    assert whole.asked.total() == 18 + 18 + 30 + 3 and set(whole.asked.values()) == {1}
    assert all(stage.cached for stage in whole.left)


def test_the_judges_calls_can_be_paid_as_batch_files(whole: Whole, tmp_path: Path) -> None:
    """Of answers that are there; those to the same questions twice stand in the files once."""
    write_pool(tmp_path / "pool.jsonl", 40)
    for done in (whole.folder / "artifacts").iterdir():
        if done.name not in ("mt_bench", "alpaca_eval", "five_sets") and done.is_dir():
            shutil.copytree(done, tmp_path / "artifacts" / done.name)
    settings = parse(ExperimentSettings, tiny_experiment(tmp_path, "http://127.0.0.1:9/v1"))
    made = export(settings, tmp_path / "batch", assets=whole.assets)
    assert set(made.stages) == {"mt_bench", "alpaca_eval", "five_sets"} and not made.waiting
    assert made.requests == 18 + 18 + 30


def test_a_killed_run_goes_on_and_ends_alike(whole: Whole, tmp_path: Path) -> None:
    write_pool(tmp_path / "pool.jsonl", 40)
    for stage in ("load", "score", "select", "base", "train"):  # so that it answers and judges soon
        shutil.copytree(whole.folder / "artifacts" / stage, tmp_path / "artifacts" / stage)
    half_way = threading.Event()
    with FaultServer(answer=verdict, delay_s=0.02) as server:
        server.on_hit = lambda count: half_way.set() if count >= 9 else None
        settings = tiny_experiment(tmp_path, server.endpoint)
        (tmp_path / "small.yaml").write_text(yaml.safe_dump(settings))
        command = [sys.executable, "-m", "tacos", "run", str(tmp_path / "small.yaml")]
        environment = os.environ | {"TACOS_ASSETS": str(whole.folder / "assets")}
        first = subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        assert half_way.wait(120)
        first.kill()
        first.wait()
        assert list((tmp_path / "artifacts" / "alpaca_eval").glob("*.partial"))
        results, _ = run_experiment(parse(ExperimentSettings, settings), assets=whole.assets)
        twice = [content for content, count in server.asked.items() if count > 1]
    assert len(twice) <= 2  # in flight when it was killed
    assert [run.measures for run in results.runs] == [run.measures for run in whole.results.runs]
    assert results.summary == whole.results.summary and results.measures == whole.results.measures


# Without running anything.


def settings_of(folder: Path, **changed: Any) -> ExperimentSettings:
    write_pool(folder / "pool.jsonl", 40)
    return parse(ExperimentSettings, tiny_experiment(folder, "http://127.0.0.1:9/v1", **changed))


def stages(settings: ExperimentSettings, assets: Assets | None) -> dict[str, dict[str, str]]:
    """Arm with seed -> stage -> fingerprint."""
    return {
        f"{arm.arm}-{arm.seed}": {name: stage.fingerprint for name, stage in arm.stages().items()}
        for arm in Experiment(settings, assets).arms
    }


def test_how_a_benchmark_is_asked_and_judged_changes_no_other_stage(tmp_path: Path) -> None:
    assets, benchmarks = write_assets(tmp_path / "assets"), tiny_experiment(tmp_path, "")["benchmarks"]
    other = {"mt_bench": {**benchmarks["mt_bench"], "generate": {"max_new_tokens": 3}}}
    before = stages(settings_of(tmp_path), assets)
    after = stages(settings_of(tmp_path, benchmarks=benchmarks | other), assets)
    for arm, own in before.items():
        assert list(own) == list(after[arm])
        changed = {name for name in own if own[name] != after[arm][name]}
        assert changed == {"answer_mt_bench", "mt_bench"}
    longest = list(before["longest-0"])
    assert longest.index("select") < longest.index("answer_mt_bench") < longest.index("five_sets-random")


def test_the_pool_is_held_apart_from_the_questions_of_the_benchmarks_asked(tmp_path: Path) -> None:
    assets = write_assets(tmp_path / "assets")
    pool = {"source": str(tmp_path / "pool.jsonl"), "holdout": 3}
    with_them = stages(settings_of(tmp_path, pool=pool), assets)["longest-0"]
    without = stages(settings_of(tmp_path, pool=pool, benchmarks={}), None)["longest-0"]
    assert list(without) == [name for name in with_them if name in without]
    assert not without.items() & with_them.items()


def test_a_benchmark_that_is_added_leaves_everything_else_as_it_is(tmp_path: Path) -> None:
    assets, pool = write_assets(tmp_path / "assets"), {"source": str(tmp_path / "pool.jsonl"), "holdout": 3}
    both = settings_of(tmp_path, pool=pool).benchmarks
    one = {"mt_bench": both.mt_bench.model_dump() if both.mt_bench else {}}
    before = stages(settings_of(tmp_path, pool=pool, benchmarks=one), assets)["longest-0"]
    after = stages(settings_of(tmp_path, pool=pool), assets)["longest-0"]
    assert before.items() < after.items() and {"train", "mt_bench", "judge"} <= before.keys()


def test_the_base_answers_once_for_all_seeds_where_nothing_is_drawn(tmp_path: Path) -> None:
    greedy = {"generate": {"max_new_tokens": 4}}
    both = {"mt_bench": greedy, "alpaca_eval": {"generate": {"max_new_tokens": 4, "temperature": 0.7}}}
    found = stages(settings_of(tmp_path, seeds=[0, 1], benchmarks=both), write_assets(tmp_path / "assets"))
    one, two = found["zero-shot-0"], found["zero-shot-1"]
    assert one["answer_mt_bench"] == two["answer_mt_bench"] and one["mt_bench"] == two["mt_bench"]
    assert one["answer_alpaca_eval"] != two["answer_alpaca_eval"]
    assert found["longest-0"]["answer_mt_bench"] != found["longest-1"]["answer_mt_bench"]


@pytest.mark.parametrize(
    ("file", "stage", "changes"),
    [
        ("mt_bench/question.jsonl", "answer_mt_bench", True),
        ("mt_bench/judge_prompts.jsonl", "answer_mt_bench", False),
        ("mt_bench/judge_prompts.jsonl", "mt_bench", True),
        ("alpaca_eval/df_gamed.csv", "alpaca_eval", True),
        ("alpaca_eval/df_gamed.csv", "answer_alpaca_eval", False),
        ("test_sets/koala.jsonl", "select", True),
        ("test_sets/koala.jsonl", "five_sets-random", True),
    ],
)
def test_the_content_of_upstreams_files_is_part_of_a_fingerprint(
    tmp_path: Path, file: str, stage: str, changes: bool
) -> None:
    chosen, assets = settings_of(tmp_path), write_assets(tmp_path / "assets")
    before = stages(chosen, assets)["longest-0"][stage]
    path = tmp_path / "assets" / file
    path.write_text(path.read_text() + "\n")
    assert (stages(chosen, assets)["longest-0"][stage] != before) == changes


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"mt_bench": {"judge": "jugde"}}, r"benchmarks\.mt_bench\.judge: 'jugde'.*did you mean 'judge'"),
        ({"alpaca_eval": {"judge": "reference"}}, r"benchmarks\.alpaca_eval\.judge: 'reference' is none of"),
        (
            {"five_sets": {"against": ["randm"]}},
            r"benchmarks\.five_sets\.against: 'randm' is not an arm.*'rand",
        ),
        ({"five_sets": {"sets": ["koalla"]}}, r"benchmarks\.five_sets\.sets: unknown question set.*'koala'"),
        ({"five_sets": {"llm": "judge"}}, r"benchmarks\.five_sets\.llm: .*give judge=judge"),
        ({"alpaca_eval": {"annotator": "x", "seed": 3}}, "no|annotator"),
        ({"mt_bensh": {}}, r"'benchmarks\.mt_bensh': did you mean 'mt_bench'"),
    ],
)
def test_what_cannot_be_is_refused_before_any_work(tmp_path: Path, said: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        settings_of(tmp_path, benchmarks=said)


def test_an_annotator_names_its_judge_and_the_resolved_config_runs_the_same(tmp_path: Path) -> None:
    board = {"alpaca_eval": {"annotator": "weighted_alpaca_eval_gpt4_turbo"}}
    chosen = settings_of(tmp_path, benchmarks=board, llms={})
    assert chosen.llms["judge"].model == "gpt-4-1106-preview"
    assert parse(ExperimentSettings, plain(chosen)) == chosen


def test_measures_of_sets_are_named_by_the_arm(tmp_path: Path) -> None:
    arms = {name: {"method": "random"} for name in ("a-b", "a_b", "c")}
    sets = {"sets": ["koala"], "against": ["a-b", "a_b"]}
    chosen = settings_of(tmp_path, arms=arms, baseline="c", benchmarks={"five_sets": sets})
    names = [b.name for b in benchmarks(chosen.benchmarks, "c") if b.name.startswith("five")]
    assert names == ["five_sets_a_b", "five_sets_a_b_2"]
    assert not [b for b in benchmarks() if b.name.startswith("five")]


def test_what_judges_said_stands_in_tables(whole: Whole) -> None:
    """As they go to Weights & Biases: a row per judgment, with its texts."""
    folder = whole.folder / "artifacts"
    stages = whole.run("longest").artifacts
    rated = judgment_tables(folder / stages["mt_bench"])["judgments"]
    assert len(rated) == sum(1 for _ in whole.file("longest", "mt_bench", "judgments.jsonl").open())
    assert all(row["judgment"] and row["score"] for row in rated)
    (preferred,) = judgment_tables(folder / stages["alpaca_eval"]).values()
    assert set(preferred[0]) == {"instruction", "output_1", "output_2", "preference"}
    reviews = judgment_tables(folder / stages["five_sets-random"])
    assert set(reviews) == {f"reviews_{name}" for name in SETS}
    assert all(row["Answer1"] and row["scores"] for rows in reviews.values() for row in rows)
    assert judgment_tables(folder / stages["select"]) == {}


def test_answers_and_what_was_said_of_them_can_be_looked_at(whole: Whole) -> None:
    run = Shelf([whole.folder / "runs" / "small"])["small"]
    assert run.overview().sets == run.book.sets
    assert {"mt_bench", "alpaca_eval", *SETS} <= set(run.book.sets)
    arm = next(one.arm for one in whole.results.runs if one.arm not in ("random", "zero-shot"))
    rated = run.answers(AnswerQuery(of="mt_bench", arm=arm))
    own = [answer for row in rated.questions for answer in row.answers if answer.arm == arm]
    known = whole.mt_bench(arm)
    assert rated.total == 3 and [len(row.turns) for row in rated.questions] == [2, 2, 2]
    turns = [float(line.text) for answer in own for line in answer.verdicts if line.text[0].isdigit()]
    assert sum(turns) / len(turns) == pytest.approx(known.average) and len(turns) == known.judged
    assert [line.label for line in own[0].verdicts][:2] == ["turn 1", "turn 2"] and own[0].verdicts[0].words
    judged = run.answers(AnswerQuery(of="alpaca_eval", arm=arm, limit=200))
    results = [a.result for row in judged.questions for a in row.answers if a.arm == arm]
    assert results.count("win") + results.count("tie") / 2 == pytest.approx(
        whole.alpaca_eval(arm).discrete_win_rate / 100 * len(results)
    )
    for name in SETS:
        (path,) = [whole.file(arm, "five_sets-random", f"reviews_{name}.json")]
        reviews = {str(r.question_id): r.judged() for r in read_reviews(path).reviews}
        page = run.answers(AnswerQuery(of=name, arm=arm))
        shown = {row.id: a for row in page.questions for a in row.answers if a.arm == arm}
        assert {id_: a.result for id_, a in shown.items()} == {id_: r.result for id_, r in reviews.items()}
        assert all(a.verdicts[0].label == "beside random, shown first" for a in shown.values())
    with pytest.raises(KeyError):
        run.answers(AnswerQuery(of="lima"))
