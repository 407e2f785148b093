"""`tacos eval` with a model: answer a benchmark's questions, judge the answers, score what is on disk.

    out/answers.jsonl           FastChat's form; a run that is killed goes on where it stopped
    out/judgments.jsonl         MT-Bench: the judge's replies verbatim, one row a turn
    out/pair_judgments.jsonl    the same of pairs of models, both orders in a row
    out/outputs.json            AlpacaEval: the answers in its own form
    out/annotations.json        preferences against the baseline
    out/reviews_SET.json        two-order reviews of a question set

Scores are always read from these files, so that a run and its files cannot disagree. The judge's calls go
through the shared client: cached, counted and capped, as everywhere.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from eval.alpaca_eval.annotator import Preferring, read_annotator, with_judge
from eval.alpaca_eval.files import BASELINE, known_reference, read_outputs
from eval.alpaca_eval.join import Join
from eval.alpaca_eval.judging import PreferenceSettings, annotate
from eval.alpaca_eval.score import AlpacaEvalResult, score_files, with_counts
from eval.mt_bench.files import Problem
from eval.mt_bench.judging import MTBenchJudgeSettings, judge_pairs, judge_single
from eval.mt_bench.pairs import ModelPairScores, score_pairs
from eval.mt_bench.prompts import JudgePrompt, lengths_from_prompts, read_prompts
from eval.mt_bench.score import SingleScores, score_single
from eval.mt_bench.write import write_pairs, write_single
from eval.pairwise.five_sets import read_outputs as read_set_outputs
from eval.pairwise.five_sets import set_file
from eval.pairwise.judging import ReviewRun, review
from eval.questions import read_questions
from tacos.answering.answer_file import AnswerRun, answer_file
from tacos.answering.answers import Style, read_answers
from tacos.answering.candidate import Candidate, GenerateSettings, in_process, served
from tacos.answering.given import GivenAnswers, read_given
from tacos.answering.judge import FIELDS, LLMJudge, LLMJudgeSettings, PairJudge, ReferenceJudge
from tacos.assets import Assets
from tacos.errors import ConfigError, TacosError
from tacos.llm.base import LLM
from tacos.llm.settings import VLLMEngine
from tacos.pipeline.settings import ModelsSettings
from tacos.stage import Tools
from tacos.store.files import write_json
from tacos.tracking.settings import TrackingSettings
from tacos.types import Answer, Question, Record

log = logging.getLogger(__name__)


class AnsweringSettings(Record):
    """Who answers, and how."""

    by: Literal["transformers", "vllm", "llm"] = "transformers"
    """A model in this process, or the server of `llms.<name>`, then named by `--model <name>`."""
    generate: GenerateSettings | None = None
    """None is what the benchmark's protocol says."""
    strip_reasoning: bool = True
    """Take the reasoning block that a reply begins with (<think>...</think>) out of the answer; how many had one is
    in the report."""
    engine: VLLMEngine = VLLMEngine()
    """Of vllm."""
    device: str = "auto"


class EvaluateSettings(ModelsSettings):
    """configs/eval/*.yaml."""

    _annotators_judge = model_validator(mode="before")(with_judge)

    answering: AnsweringSettings = AnsweringSettings()
    judge: str = "judge"
    """Which of the configured `llms` judges; "reference" is the embedded one, for question sets and judge-check. An
    `alpaca_eval.annotator` names its model where the settings do not."""
    mt_bench: MTBenchJudgeSettings = MTBenchJudgeSettings()
    alpaca_eval: PreferenceSettings = PreferenceSettings()
    pairwise: LLMJudgeSettings = LLMJudgeSettings()
    seed: int = Field(0, ge=0)
    tracking: TrackingSettings = TrackingSettings()

    @field_validator("pairwise")
    @classmethod
    def _one_judge(cls, asking: LLMJudgeSettings) -> LLMJudgeSettings:
        if asking.llm is not None:
            raise ValueError(
                f"`judge` says who judges, whatever the benchmark: give judge={asking.llm} in place of llm"
            )
        return asking


MT_BENCH = GenerateSettings.model_validate({"preset": "fastchat"})
ALPACA_EVAL = GenerateSettings(temperature=0.7, max_new_tokens=2048, max_length=4096)
"""How a benchmark's questions are answered where the settings do not say."""


@dataclass(frozen=True)
class MTBench:
    """Upstream's files. references: question id -> GPT-4's answer."""

    questions: list[Question]
    prompts: dict[str, JudgePrompt]
    references: dict[str, Answer]


def mt_bench_files(path: Callable[[str], Path]) -> MTBench:
    """path: name -> file, such as `Assets.path`."""
    known = read_answers(path("mt_bench/reference_answer_gpt-4.jsonl")).answers
    return MTBench(
        questions=read_questions(path("mt_bench/question.jsonl")),
        prompts=read_prompts(path("mt_bench/judge_prompts.jsonl")),
        references={answer.question_id: answer for answer in known},
    )


@dataclass(frozen=True)
class Evaluation:
    """What every benchmark works with. Methods raise ConfigError for an LLM that is not configured, and LLMError
    when an endpoint fails as a whole; what was answered and judged before is kept."""

    settings: EvaluateSettings
    assets: Assets
    tools: Tools

    def answer_mt_bench(self, model: str, name: str, out: Path) -> Path:
        """The model's answers to the 80 questions."""
        self.llm(self.settings.judge)  # a judge that is missing is found before a question is answered
        return self._answer(model, name, mt_bench_files(self.assets.path).questions, MT_BENCH, out)

    def rate_mt_bench(self, answers: Sequence[Path], out: Path, against: str | None = None) -> SingleScores:
        """Have every turn of every model in `answers` rated; scores of `out/judgments.jsonl`."""
        bench, judge, rows = mt_bench_files(self.assets.path), self.llm(self.settings.judge), []
        given, problems = read_given(answers), list[Problem]()
        for own in given.models.values():
            judged = judge_single(
                judge, own, bench.questions, bench.references, bench.prompts, self.settings.mt_bench
            )
            problems += judged.problems
            rows += judged.rows
        _refuse_nothing(rows, given, problems)
        write_single(out / "judgments.jsonl", rows)
        scores = score_single([out / "judgments.jsonl"], bench.questions, against=against)
        return scores.model_copy(update=_beside(scores, given, problems))

    def compare_mt_bench(self, answers: Sequence[Path], out: Path) -> ModelPairScores:
        """Have every two models in `answers` compared in both orders; scores of `out/pair_judgments.jsonl`.

        Raises: TacosError unless there are two models.
        """
        bench, judge, rows = mt_bench_files(self.assets.path), self.llm(self.settings.judge), []
        given, problems = read_given(answers), list[Problem]()
        if len(given.models) < 2:
            raise TacosError(
                f"pairs need two models, and {', '.join(map(str, answers))} hold {', '.join(given.models)} alone: add "
                "the answers of another one"
            )
        for one, two in combinations(given.models.values(), 2):
            judged = judge_pairs(
                judge, one, two, bench.questions, bench.references, bench.prompts, self.settings.mt_bench
            )
            problems += judged.problems
            rows += judged.rows
        _refuse_nothing(rows, given, problems)
        write_pairs(out / "pair_judgments.jsonl", rows)
        lengths = lengths_from_prompts(bench.prompts)
        scores = score_pairs([out / "pair_judgments.jsonl"], bench.questions, lengths=lengths)
        return scores.model_copy(update=_beside(scores, given, problems))

    def answer_alpaca_eval(self, model: str, name: str, out: Path) -> Path:
        """The model's answers to the 805 instructions, as an outputs file; one that failed has `output` null."""
        self.llm(self.settings.judge)
        self.preferring()
        baseline = read_outputs(self.assets.path(BASELINE))
        questions = [Question(id=str(i), turns=(row["instruction"],)) for i, row in enumerate(baseline)]
        answers = read_given([self._answer(model, name, questions, ALPACA_EVAL, out)]).models[name]
        pairs = zip(baseline, questions, strict=True)
        rows = [_output_row(row, answers.get(question.id), name) for row, question in pairs]
        write_json(out / "outputs.json", rows)
        return out / "outputs.json"

    def annotate_alpaca_eval(
        self,
        outputs: Sequence[Path],
        out: Path,
        join: Join,
        c: float | Literal["cv", "published"],
        against: str | None = None,
    ) -> AlpacaEvalResult:
        """Have every answer compared with the baseline's; scores of `out/annotations.json`."""
        judge, baseline = self.llm(self.settings.judge), read_outputs(self.assets.path(BASELINE))
        rows: list[dict[str, Any]] = []
        for path in outputs:
            rows += [{"generator": path.stem, **row} for row in read_outputs(path, missing_ok=True)]
        judged = annotate(judge, rows, baseline, self.preferring())
        write_json(out / "annotations.json", [row.model_dump() for row in judged.rows])
        result = score_files([out / "annotations.json"], known_reference(self.assets), join, c, against)
        return with_counts(result, judged)

    def review(self, answers: Sequence[Path], set_name: str, questions: Path | None) -> ReviewRun:
        """Two answer files to one question set, judged in both orders.

        questions: of a set that is not a known one.
        """
        asked = read_questions(questions or self.assets.path(set_file(set_name)))
        first, second = (read_set_outputs(path) for path in answers)
        return review(self.pair_judge(), set_name, asked, first, second)

    def answer(
        self,
        model: str,
        name: str,
        questions: Sequence[Question],
        how: GenerateSettings,
        out: Path,
        style: Style = "fastchat",
        replace: bool = False,
    ) -> AnswerRun:
        """Answers in the file `out`. Raises: TacosError when the model answered none."""
        chosen = self.settings.answering.generate or how
        kept = chosen.strip_reasoning and self.settings.answering.strip_reasoning
        who = self.candidate(model, chosen.model_copy(update={"strip_reasoning": kept}))
        made = answer_file(who, questions, out, name, self.settings.seed, style, replace)
        for id_, why in made.failed.items():
            log.warning("question %s has no answer: %s", id_, why)
        if not made.answers:
            why = next(iter(made.failed.values()), "there is none")
            raise TacosError(f"{name} answered none of {len(questions)} questions: {why}")
        return made

    def _answer(
        self, model: str, name: str, questions: Sequence[Question], how: GenerateSettings, out: Path
    ) -> Path:
        self.answer(model, name, questions, how, out / "answers.jsonl")
        return out / "answers.jsonl"

    def candidate(self, model: str, asked: GenerateSettings) -> Candidate:
        how = self.settings.answering
        if how.by == "llm":
            return served(self.llm(model), asked)
        return in_process(model, asked, how.device, how.by, how.engine)

    def preferring(self) -> Preferring:
        """How AlpacaEval's judge is asked. Raises: ConfigError for an annotator that cannot be read."""
        asked = self.settings.alpaca_eval
        return read_annotator(asked.annotator, self.assets.path) if asked.annotator else asked

    def pair_judge(self, name: str | None = None) -> PairJudge:
        """name: one of `llms`, or "reference"; None is the settings' `judge`."""
        asked = name or self.settings.judge
        if asked == "reference":
            return ReferenceJudge()
        self.settings.pairwise.check(FIELDS, "pairwise")
        return LLMJudge(self.llm(asked), self.settings.pairwise)

    def llm(self, name: str) -> LLM:
        """Raises: ConfigError when it is not configured."""
        if name not in self.settings.llms:
            known = ", ".join(self.settings.llms) or "none"
            raise ConfigError(
                f"llms.{name} is not configured (known: {known}): give --config configs/eval/judge.yaml, or "
                f"llms.{name}.model=... and llms.{name}.endpoint=..."
            )
        return self.tools.llm(name)


def _output_row(question: Mapping[str, Any], answer: Answer | None, generator: str) -> dict[str, Any]:
    """A row of an outputs file; `output` is null where there is no answer."""
    row = {"dataset": question.get("dataset", ""), "instruction": question["instruction"]}
    row |= {"output": answer.turns[0] if answer else None, "generator": generator}
    if answer and answer.finish_reasons:
        row["finish_reason"] = answer.finish_reasons[0]
    return row | ({"reasoned": answer.reasoned} if answer and answer.reasoned else {})


def _refuse_nothing(rows: Sequence[object], given: GivenAnswers, problems: Sequence[Problem]) -> None:
    """Raises: TacosError where no answer could be judged."""
    if not rows:
        faults = "; ".join(
            f"{name}: {said}" for name, one in given.faults.items() if (said := one.describe())
        )
        raise TacosError(f"there is nothing to judge: {faults or problems[0].reason}")


def _beside(
    scores: SingleScores | ModelPairScores, given: GivenAnswers, problems: Sequence[Problem]
) -> dict[str, Any]:
    """What the judgments do not tell: what was wrong with the answers, and which were not judged and why."""
    notes = [Problem(where=str(path), reason=note) for path, note in given.notes]
    unjudged = [Problem(where=p.where, reason=f"not judged: {p.reason}") for p in problems]
    return {"faults": given.faults, "problems": (*notes, *unjudged, *scores.problems)}
