"""Public benchmarks as stages of an experiment: every arm's model answers, its answers are judged.

    train -> answer_mt_bench -> mt_bench                           ratings, 1-10
             answer_alpaca_eval -> alpaca_eval                     preferences over GPT-4's answers
             answer_vicuna, answer_koala, ... -> five_sets-ARM     reviews against another arm's answers, in both orders
             lm_tasks                                              tasks of lm-eval, which nobody judges

The work is that of `tacos eval` (`Evaluation`), and so are the files in the stages' folders, which its commands score.
An answering stage rests on the model alone, so arms and experiments share it; a killed one goes on at the row where it
stopped. What the judge has said comes from the reply cache. Fingerprints cover the content of upstream's files, how
models answer, the judge and its words.

To add a benchmark: its settings (`eval.benchmarks`), and a method here that makes its stages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.alpaca_eval.annotator import read_annotator
from eval.alpaca_eval.benchmark import AlpacaEvalSettings
from eval.alpaca_eval.files import BASELINE, DIFFICULTY, GAMED, read_outputs
from eval.alpaca_eval.judging import PreferenceSettings
from eval.benchmarks import BenchmarksSettings
from eval.lm_tasks.measures import STAGE as LM_TASKS
from eval.lm_tasks.measures import task_benchmark
from eval.lm_tasks.run import run_tasks
from eval.lm_tasks.settings import LMTasksSettings
from eval.measures import Benchmark
from eval.mt_bench.benchmark import RATINGS, MTBenchSettings, rating_rows
from eval.mt_bench.judging import MTBenchJudgeSettings
from eval.pairwise.five_sets import SETS
from eval.pairwise.five_sets import read_outputs as read_set_outputs
from eval.pairwise.judging import SetAnswers, review_sets
from eval.pairwise.reviews import write_reviews
from eval.pairwise.sets_benchmark import FiveSetsSettings, reviews_file, stage_of
from eval.questions import read_questions
from tacos.answering.answers import read_answers
from tacos.answering.candidate import GenerateSettings
from tacos.answering.judge import EXPECTED_VERDICT, FIELDS, LLMJudgeSettings
from tacos.assets import Assets
from tacos.llm.estimate import Asked
from tacos.llm.settings import LLMSettings
from tacos.pipeline.benchmark_calls import RATING_TOKENS, alpaca_eval_calls, mt_bench_calls, set_calls
from tacos.pipeline.evaluate import (
    ALPACA_EVAL,
    MT_BENCH,
    AnsweringSettings,
    EvaluateSettings,
    Evaluation,
    mt_bench_files,
)
from tacos.pipeline.stages import as_taught
from tacos.prompts import load
from tacos.stage import ArtifactStore, Job, Outcome, Stage, Tools
from tacos.store.files import write_jsonl
from tacos.store.fingerprint import file_digest, named_by_content
from tacos.types import Pool
from train.settings import TrainSettings

QUESTIONS = "mt_bench/question.jsonl"
MT_BENCH_FILES = (QUESTIONS, "mt_bench/judge_prompts.jsonl", "mt_bench/reference_answer_gpt-4.jsonl")
FIVE_SETS = GenerateSettings.model_validate({"preset": "tacos", "wrap": "auto"})
"""How the sets are answered where the settings do not say."""
Answering = Callable[[Evaluation, str, str, Path], object]
"""Works with the model's folder or hub id, and its label, into a folder."""


def tasks_stage(asked: LMTasksSettings, model: Stage | str) -> Stage:
    """Tasks of lm-eval on a model: the files of `tacos eval lm-eval`."""
    identity = asked.identity() | ({} if isinstance(model, Stage) else {"model": named_by_content(model)})

    def work(job: Job) -> Outcome:
        folder = str(job.inputs["model"] / "model") if isinstance(model, Stage) else model
        name = Path(folder).parent.name if isinstance(model, Stage) else Path(model).name
        records = run_tasks(folder, asked, job.out, name, job.tools.device, job.tools.ledger)
        questions = len({(row.task, row.doc_id) for row in records.samples})
        return Outcome(rows_in=questions, rows_out=questions)

    return Stage(LM_TASKS, work, identity, {"model": model} if isinstance(model, Stage) else {})


def tasks_benchmarks(stages: Iterable[Mapping[str, Stage]], store: ArtifactStore) -> list[Benchmark]:
    """Of finished arms' stages: what lm-eval's tasks measured, which depends on the tasks."""
    folders = [store.folder(named[LM_TASKS]) for named in stages if LM_TASKS in named]
    return [task_benchmark(folders)] if folders else []


@dataclass(frozen=True)
class BenchmarkStages:
    """Makes the stages. llms: those of the experiment. baseline: its arm.

    Raises: ConfigError for a judge's prompt or an annotator that cannot be read; TacosError for a file of upstream's
        that cannot be had.
    """

    asked: BenchmarksSettings
    llms: Mapping[str, LLMSettings]
    assets: Assets
    baseline: str

    def question_files(self) -> dict[str, Path]:
        """Benchmark -> the file of its questions: of all, whichever are asked, so that a benchmark that is added later
        finds the pool, and all that rests on it, as they are. Those of lm-eval's tasks are not known before they are
        loaded."""
        files = {"mt_bench": QUESTIONS, "alpaca_eval": BASELINE}
        files |= {name: facts.file for name, facts in SETS.items()}
        asked = self.asked.mt_bench or self.asked.alpaca_eval or self.asked.five_sets
        return {name: self.assets.path(file) for name, file in files.items()} if asked else {}

    def answers(self, model: Stage | str, train: TrainSettings, seed: int) -> dict[str, Stage]:
        """What a model answers, for every benchmark. train: how the experiment's models are taught."""
        asked, made = self.asked, dict[str, Stage]()

        def add(name: str, file: str, judge: str, how: GenerateSettings, work: Answering) -> None:
            stage = self._answer(name, file, judge, as_taught(how, train), work, model, seed)
            made[stage.name] = stage

        if mt := asked.mt_bench:
            add("mt_bench", QUESTIONS, mt.judge, mt.generate or MT_BENCH, Evaluation.answer_mt_bench)
        if alpaca := asked.alpaca_eval:
            how = alpaca.generate or ALPACA_EVAL
            add("alpaca_eval", BASELINE, alpaca.judge, how, Evaluation.answer_alpaca_eval)
        if sets := asked.five_sets:
            for name in sets.sets:
                how = sets.generate or FIVE_SETS
                add(name, SETS[name].file, sets.judge, how, self._answer_set(name, how))
        if asked.lm_eval:
            made[LM_TASKS] = tasks_stage(asked.lm_eval, model)
        return made

    def judged(self, arm: str, answers: Mapping[str, Mapping[str, Stage]]) -> dict[str, Stage]:
        """The judging of an arm's answers. answers: arm -> its answering stages, all of one seed."""
        asked, own, made = self.asked, answers[arm], dict[str, Stage]()
        if asked.mt_bench:
            made["mt_bench"] = self._mt_bench(asked.mt_bench, own["answer_mt_bench"])
        if asked.alpaca_eval:
            made["alpaca_eval"] = self._alpaca_eval(asked.alpaca_eval, own["answer_alpaca_eval"])
        if asked.five_sets:
            for opponent in asked.five_sets.opponents(self.baseline):
                if opponent != arm:
                    made[stage_of(opponent)] = self._five_sets(asked.five_sets, own, answers[opponent])
        return made

    def _answer(
        self,
        name: str,
        file: str,
        judge: str,
        how: GenerateSettings,
        work: Answering,
        model: Stage | str,
        seed: int,
    ) -> Stage:
        """file: the asset that holds the questions. judge: who will judge, made before a question is answered."""
        identity: dict[str, Any] = {
            "questions": self._digests(file),
            "generate": how.model_dump(exclude={"batch_size"}),
            "seed": seed if how.draws else 0,
        }
        if isinstance(model, str):
            identity["model"] = named_by_content(model)

        def answer(job: Job) -> Outcome:
            folder = str(job.inputs["model"] / "model") if isinstance(model, Stage) else model
            label = Path(folder).parent.name if isinstance(model, Stage) else Path(model).name
            work(self._evaluation(job.tools, judge, how, job.seed), folder, label, job.out)
            questions = self._asked_in(name, file)
            answered = len(read_answers(job.out / "answers.jsonl").answers)
            return Outcome(rows_in=questions, rows_out=answered, rows_failed=questions - answered)

        return Stage(f"answer_{name}", answer, identity, {"model": model} if isinstance(model, Stage) else {})

    def _asked_in(self, name: str, file: str) -> int:
        path = self.assets.path(file)
        return len(read_outputs(path) if name == "alpaca_eval" else read_questions(path))

    def _answer_set(self, name: str, how: GenerateSettings) -> Answering:
        def work(run: Evaluation, model: str, label: str, out: Path) -> None:
            questions = read_questions(self.assets.path(SETS[name].file))
            run.answer(model, label, questions, how, out / "answers.jsonl")

        return work

    def _mt_bench(self, asked: MTBenchSettings, answers: Stage) -> Stage:
        llm = self.llms[asked.judge]

        def work(job: Job) -> Outcome:
            run = self._evaluation(job.tools, asked.judge)
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
            return Asked(llm, mt_bench_calls(bench, asked, how, done.get("answers")), RATING_TOKENS)

        identity = asked.model_dump(exclude={"judge", "generate"})
        identity |= {"files": self._digests(*MT_BENCH_FILES), "llm": llm.identity()}
        return Stage("mt_bench", work, identity, {"answers": answers}, version=2, estimate=estimate)

    def _alpaca_eval(self, asked: AlpacaEvalSettings, answers: Stage) -> Stage:
        llm = self.llms[asked.judge]
        way = read_annotator(asked.annotator, self.assets.path) if asked.annotator else asked

        def work(job: Job) -> Outcome:
            run = self._evaluation(job.tools, asked.judge)
            outputs = [job.inputs["answers"] / "outputs.json"]
            (score,) = run.annotate_alpaca_eval(outputs, job.out, "instruction", "cv").models.values()
            figures = score.model_dump(exclude={"faults", "notes", "reasons"})
            failed = score.unparsed - score.no_output
            return Outcome(rows_in=score.expected, rows_out=score.n, rows_failed=failed, metrics=figures)

        def estimate(pool: Pool, done: Mapping[str, Path]) -> Asked:
            baseline = read_outputs(self.assets.path(BASELINE))
            how = asked.generate or ALPACA_EVAL
            return Asked(llm, alpaca_eval_calls(baseline, way, how, done.get("answers")), 1)

        identity: dict[str, Any] = {
            "files": self._digests(BASELINE, DIFFICULTY, GAMED),
            "llm": llm.identity(),
        }
        if asked.annotator:
            identity["annotator"] = way
        else:
            words = {"template": load(asked.prompt).template}
            identity |= asked.model_dump(exclude={"judge", "generate", "annotator", "prompt"}) | words
        return Stage("alpaca_eval", work, identity, {"answers": answers}, estimate=estimate)

    def _five_sets(
        self, asked: FiveSetsSettings, own: Mapping[str, Stage], other: Mapping[str, Stage]
    ) -> Stage:
        """own, other: the answering stages of two arms; verdicts are of the first's side."""
        llm = self.llms.get(asked.judge)
        asked.check(FIELDS, "benchmarks.five_sets")

        def work(job: Job) -> Outcome:
            judge = self._evaluation(job.tools, asked.judge).pair_judge()
            made = review_sets(judge, [self._set_answers(name, job.inputs) for name in asked.sets])
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
            return Asked(llm, set_calls(sets, asked, asked.generate or FIVE_SETS, done), EXPECTED_VERDICT)

        files = {name: self._digests(SETS[name].file) for name in asked.sets}
        identity = {"files": files, **(asked.asked(llm) if llm else {"judge": asked.judge})}
        inputs = {f"answers_{name}": own[f"answer_{name}"] for name in asked.sets}
        inputs |= {f"opponent_{name}": other[f"answer_{name}"] for name in asked.sets}
        return Stage("five_sets", work, identity, inputs, estimate=estimate if llm else None)

    def _set_answers(self, name: str, inputs: Mapping[str, Path]) -> SetAnswers:
        own, other = (
            read_set_outputs(inputs[f"{side}_{name}"] / "answers.jsonl") for side in ("answers", "opponent")
        )
        return SetAnswers(name, read_questions(self.assets.path(SETS[name].file)), own, other)

    def _digests(self, *files: str) -> list[str]:
        return [file_digest(self.assets.path(file)) for file in files]

    def _evaluation(
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
