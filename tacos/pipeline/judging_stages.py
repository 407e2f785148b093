"""What an arm's answers to public benchmarks are judged by, as stages: the last ones of `tacos.pipeline.benchmarks`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.alpaca_eval.annotator import read_annotator
from eval.alpaca_eval.benchmark import CONTROLLED, AlpacaEvalSettings
from eval.alpaca_eval.files import BASELINE, DIFFICULTY, GAMED, read_outputs
from eval.alpaca_eval.judging import PreferenceSettings
from eval.benchmarks import BenchmarksSettings
from eval.mt_bench.benchmark import RATINGS, MTBenchSettings, rating_rows
from eval.mt_bench.judging import MTBenchJudgeSettings, judge_pairs
from eval.mt_bench.pair_benchmark import JUDGMENTS, POINTS_FILE, MTBenchPairsSettings, point_rows
from eval.mt_bench.write import write_pairs
from eval.pairwise.five_sets import SETS
from eval.pairwise.five_sets import read_outputs as read_set_outputs
from eval.pairwise.judging import SetAnswers, review_sets
from eval.pairwise.reviews import write_reviews
from eval.pairwise.sets_benchmark import FiveSetsSettings, reviews_file
from eval.questions import read_questions
from tacos.answering.candidate import GenerateSettings
from tacos.answering.given import read_given
from tacos.answering.judge import EXPECTED_VERDICT, FIELDS, LLMJudgeSettings
from tacos.assets import Assets
from tacos.llm.estimate import Asked
from tacos.llm.settings import LLMSettings
from tacos.pipeline.benchmark_calls import (
    RATING_TOKENS,
    alpaca_eval_calls,
    mt_bench_calls,
    mt_bench_pair_calls,
    set_calls,
)
from tacos.pipeline.evaluate import (
    ALPACA_EVAL,
    MT_BENCH,
    AnsweringSettings,
    EvaluateSettings,
    Evaluation,
    mt_bench_files,
)
from tacos.prompts import load
from tacos.stage import Job, Outcome, Stage, Tools
from tacos.store.files import write_json, write_jsonl
from tacos.store.fingerprint import file_digest
from tacos.types import Answer, Pool

QUESTIONS = "mt_bench/question.jsonl"
MT_BENCH_FILES = (QUESTIONS, "mt_bench/judge_prompts.jsonl", "mt_bench/reference_answer_gpt-4.jsonl")
FIVE_SETS = GenerateSettings.model_validate({"preset": "tacos", "wrap": "auto"})
"""How the sets are answered where the settings do not say."""


@dataclass(frozen=True)
class JudgingStages:
    """Makes the stages. llms: those of the experiment.

    Raises: ConfigError for a judge's prompt or an annotator that cannot be read.
    """

    asked: BenchmarksSettings
    llms: Mapping[str, LLMSettings]
    assets: Assets

    def mt_bench(self, asked: MTBenchSettings, answers: Stage) -> Stage:
        llm = self.llms[asked.judge]

        def work(job: Job) -> Outcome:
            run = self.evaluation(job.tools, asked.judge)
            scores = run.rate_mt_bench([job.inputs["answers"] / "answers.jsonl"], job.out)
            (score,) = scores.models.values()
            rows = rating_rows(job.out / "judgments.jsonl", mt_bench_files(self.assets.path).questions)
            write_jsonl(job.out / RATINGS, rows)
            figures = score.model_dump(include={"turn_1", "turn_2", "average", "missing", "judge"})
            return Outcome(
                rows_in=score.expected, rows_out=score.judged, rows_failed=score.unparsed, metrics=figures
            )

        def estimate(pool: Pool, done: Mapping[str, Path]) -> Asked:
            bench = mt_bench_files(self.assets.path)
            how = asked.generate or MT_BENCH
            return Asked(
                llm, mt_bench_calls(bench, asked, how, done.get("answers")), RATING_TOKENS, llm=asked.judge
            )

        identity = asked.model_dump(exclude={"judge", "generate"})
        identity |= {"files": self.digests(*MT_BENCH_FILES), "llm": llm.identity()}
        return Stage("mt_bench", work, identity, {"answers": answers}, version=2, estimate=estimate)

    def mt_bench_pairs(self, asked: MTBenchPairsSettings, own: Stage, other: Stage) -> Stage:
        """own, other: the answering stages of two arms; points are of the first's side."""
        llm = self.llms[asked.judge]

        def work(job: Job) -> Outcome:
            run = self.evaluation(job.tools, asked.judge)
            bench = mt_bench_files(self.assets.path)
            one, two = (answers_in(job.inputs[side]) for side in ("answers", "opponent"))
            files = (bench.questions, bench.references, bench.prompts)
            judged = judge_pairs(run.llm(asked.judge), one, two, *files, asked)
            write_pairs(job.out / JUDGMENTS, judged.rows)
            rows = point_rows(job.out / JUDGMENTS, bench.questions)
            write_jsonl(job.out / POINTS_FILE, rows)
            turns = [points for row in rows for name, points in row.items() if name.startswith("turn_")]
            unread = turns.count(None)
            return Outcome(rows_in=len(turns), rows_out=len(turns) - unread, rows_failed=unread)

        def estimate(pool: Pool, done: Mapping[str, Path]) -> Asked:
            bench = mt_bench_files(self.assets.path)
            how = (self.asked.mt_bench and self.asked.mt_bench.generate) or MT_BENCH
            return Asked(llm, mt_bench_pair_calls(bench, asked, how, done), RATING_TOKENS, llm=asked.judge)

        identity = asked.model_dump(exclude={"judge", "against"})
        identity |= {"files": self.digests(*MT_BENCH_FILES), "llm": llm.identity()}
        inputs = {"answers": own, "opponent": other}
        return Stage("mt_bench_pairs", work, identity, inputs, estimate=estimate)

    def alpaca_eval(self, asked: AlpacaEvalSettings, answers: Stage) -> Stage:
        llm = self.llms[asked.judge]
        way = read_annotator(asked.annotator, self.assets.path) if asked.annotator else asked

        def work(job: Job) -> Outcome:
            run = self.evaluation(job.tools, asked.judge)
            outputs = [job.inputs["answers"] / "outputs.json"]
            (score,) = run.annotate_alpaca_eval(outputs, job.out, "instruction", "cv").models.values()
            write_json(job.out / CONTROLLED, score.controlled)
            figures = score.model_dump(exclude={"faults", "notes", "reasons"})
            failed = score.unparsed - score.no_output
            return Outcome(rows_in=score.expected, rows_out=score.n, rows_failed=failed, metrics=figures)

        def estimate(pool: Pool, done: Mapping[str, Path]) -> Asked:
            baseline = read_outputs(self.assets.path(BASELINE))
            how = asked.generate or ALPACA_EVAL
            return Asked(llm, alpaca_eval_calls(baseline, way, how, done.get("answers")), 1, llm=asked.judge)

        identity: dict[str, Any] = {
            "files": self.digests(BASELINE, DIFFICULTY, GAMED),
            "llm": llm.identity(),
        }
        if asked.annotator:
            identity["annotator"] = way
        else:
            words = {"template": load(asked.prompt).template}
            identity |= asked.model_dump(exclude={"judge", "generate", "annotator", "prompt"}) | words
        return Stage("alpaca_eval", work, identity, {"answers": answers}, version=2, estimate=estimate)

    def five_sets(
        self, asked: FiveSetsSettings, own: Mapping[str, Stage], other: Mapping[str, Stage]
    ) -> Stage:
        """own, other: the answering stages of two arms; verdicts are of the first's side."""
        llm = self.llms.get(asked.judge)
        asked.check(FIELDS, "benchmarks.five_sets")

        def work(job: Job) -> Outcome:
            judge = self.evaluation(job.tools, asked.judge).pair_judge()
            made = review_sets(judge, [self.set_answers(name, job.inputs) for name in asked.sets])
            for run in made:
                write_reviews(job.out / reviews_file(run.file.set_name), run.file)
            reviews = [review for run in made for review in run.file.reviews]
            unread = sum(review.judged().result == "unparsed" for review in reviews)
            counts = {run.file.set_name: len(run.file.reviews) + len(run.missing) for run in made}
            return Outcome(
                rows_in=sum(counts.values()),
                rows_out=len(reviews) - unread,
                rows_failed=unread,
                metrics={"asked": counts, "judge": judge.name},
            )

        def estimate(pool: Pool, done: Mapping[str, Path]) -> Asked:
            assert llm is not None
            sets = {name: read_questions(self.assets.path(SETS[name].file)) for name in asked.sets}
            return Asked(
                llm,
                set_calls(sets, asked, asked.generate or FIVE_SETS, done),
                EXPECTED_VERDICT,
                llm=asked.judge,
            )

        files = {name: self.digests(SETS[name].file) for name in asked.sets}
        identity = {"files": files, **(asked.asked(llm) if llm else {"judge": asked.judge})}
        inputs = {f"answers_{name}": own[f"answer_{name}"] for name in asked.sets}
        inputs |= {f"opponent_{name}": other[f"answer_{name}"] for name in asked.sets}
        return Stage("five_sets", work, identity, inputs, estimate=estimate if llm else None)

    def set_answers(self, name: str, inputs: Mapping[str, Path]) -> SetAnswers:
        own, other = (
            read_set_outputs(inputs[f"{side}_{name}"] / "answers.jsonl") for side in ("answers", "opponent")
        )
        return SetAnswers(name, read_questions(self.assets.path(SETS[name].file)), own, other)

    def digests(self, *files: str) -> list[str]:
        return [file_digest(self.assets.path(file)) for file in files]

    def evaluation(
        self, tools: Tools, judge: str, how: GenerateSettings | None = None, seed: int = 0
    ) -> Evaluation:
        """What `tacos eval` works with, by the settings of the experiment."""
        asked = self.asked
        settings = EvaluateSettings(
            llms=dict(self.llms),
            judge=judge,
            answering=AnsweringSettings(generate=how, device=tools.device),
            mt_bench=asked.mt_bench or MTBenchJudgeSettings(),
            alpaca_eval=asked.alpaca_eval or PreferenceSettings(),
            pairwise=asked.five_sets or LLMJudgeSettings(),
            seed=seed,
        )
        return Evaluation(settings, self.assets, tools)


def answers_in(folder: Path) -> Mapping[str, Answer]:
    """Question id -> answer, of an answering stage."""
    (answers,) = read_given([folder / "answers.jsonl"]).models.values()
    return answers
