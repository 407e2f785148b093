"""Public benchmarks as stages of an experiment: every arm's model answers, its answers are judged.

    train -> answer_mt_bench -> mt_bench                           ratings, 1-10
                             -> mt_bench_pairs-ARM                 beside another arm's answers, in both orders
             answer_alpaca_eval -> alpaca_eval                     preferences over GPT-4's answers
             answer_vicuna, answer_koala, ... -> five_sets-ARM     reviews against another arm's answers, in both orders
             lm_tasks                                              tasks of lm-eval, which nobody judges

The work is that of `tacos eval` (`Evaluation`), and so are the files in the stages' folders, which its commands score.
An answering stage rests on the model alone, so arms and experiments share it; a killed one goes on at the row where it
stopped. What the judge has said comes from the reply cache. Fingerprints cover the content of upstream's files, how
models answer, the judge and its words.

To add a benchmark: its settings (`eval.benchmarks`), a method here that makes its answers, and one of
`JudgingStages` that has them judged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.alpaca_eval.files import BASELINE, read_outputs
from eval.benchmarks import BenchmarksSettings
from eval.lm_tasks.measures import STAGE as LM_TASKS
from eval.mt_bench.pair_benchmark import stage_of as pairs_with
from eval.pairwise.five_sets import SETS
from eval.pairwise.sets_benchmark import stage_of
from eval.questions import read_questions
from tacos.answering.answers import read_answers
from tacos.answering.candidate import GenerateSettings
from tacos.assets import Assets
from tacos.llm.settings import LLMSettings
from tacos.pipeline.evaluate import ALPACA_EVAL, MT_BENCH, Evaluation
from tacos.pipeline.judging_stages import FIVE_SETS, QUESTIONS, JudgingStages
from tacos.pipeline.stages import as_taught
from tacos.pipeline.task_stages import tasks_stage
from tacos.stage import Job, Outcome, Stage
from tacos.store.fingerprint import named_by_content
from train.settings import TrainSettings

Answering = Callable[[Evaluation, str, str, Path], object]
"""Works with the model's folder or hub id, and its label, into a folder."""


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

    @property
    def judging(self) -> JudgingStages:
        return JudgingStages(self.asked, self.llms, self.assets)

    def question_files(self) -> dict[str, Path]:
        """Benchmark -> the file of its questions: of all, whichever are asked, so that a benchmark that is added later
        finds the pool, and all that rests on it, as they are. Those of lm-eval's tasks are not known before they are
        loaded."""
        files = {"mt_bench": QUESTIONS, "alpaca_eval": BASELINE}
        files |= {name: facts.file for name, facts in SETS.items()}
        asked = any(name != "lm_eval" for name in self.asked.asked)
        return {name: self.assets.path(file) for name, file in files.items()} if asked else {}

    def answers(self, model: Stage | str, train: TrainSettings, seed: int) -> dict[str, Stage]:
        """What a model answers, for every benchmark. train: how the experiment's models are taught."""
        asked, made = self.asked, dict[str, Stage]()

        def add(name: str, file: str, judge: str, how: GenerateSettings, work: Answering) -> None:
            stage = self._answer(name, file, judge, as_taught(how, train), work, model, seed)
            made[stage.name] = stage

        if mt := asked.mt_bench or asked.mt_bench_pairs:
            how = (asked.mt_bench and asked.mt_bench.generate) or MT_BENCH
            add("mt_bench", QUESTIONS, mt.judge, how, Evaluation.answer_mt_bench)
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
            made["mt_bench"] = self.judging.mt_bench(asked.mt_bench, own["answer_mt_bench"])
        if pairs := asked.mt_bench_pairs:
            for opponent in pairs.opponents(self.baseline):
                if opponent != arm:
                    other = answers[opponent]["answer_mt_bench"]
                    made[pairs_with(opponent)] = self.judging.mt_bench_pairs(
                        pairs, own["answer_mt_bench"], other
                    )
        if asked.alpaca_eval:
            made["alpaca_eval"] = self.judging.alpaca_eval(asked.alpaca_eval, own["answer_alpaca_eval"])
        if asked.five_sets:
            for opponent in asked.five_sets.opponents(self.baseline):
                if opponent != arm:
                    made[stage_of(opponent)] = self.judging.five_sets(asked.five_sets, own, answers[opponent])
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
            "questions": self.judging.digests(file),
            "generate": how.model_dump(exclude={"batch_size"}),
            "seed": seed if how.draws else 0,
        }
        if isinstance(model, str):
            identity["model"] = named_by_content(model)

        def answer(job: Job) -> Outcome:
            folder = str(job.inputs["model"] / "model") if isinstance(model, Stage) else model
            label = Path(folder).parent.name if isinstance(model, Stage) else Path(model).name
            work(self.judging.evaluation(job.tools, judge, how, job.seed), folder, label, job.out)
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
