"""Stages beyond selection: the base model, training, answering, judging."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eval.questions import read_question_sets
from tacos import ray_cluster
from tacos.answering.asking import generate
from tacos.answering.candidate import GenerateSettings, in_process
from tacos.answering.heldout import heldout_loss
from tacos.answering.judge import (
    EXPECTED_VERDICT,
    FIELDS,
    Comparison,
    LLMJudge,
    PairJudge,
    ReferenceJudge,
    judge_request,
)
from tacos.answering.orders import compare
from tacos.data.read import read_pool
from tacos.errors import ConfigError, PoolError
from tacos.llm.backends import engine
from tacos.llm.estimate import Asked
from tacos.llm.settings import LLMSettings
from tacos.models.expected import MADE, Model, Passes, expected_model
from tacos.models.flops import passes as counted
from tacos.models.wrapping import wrap_pool
from tacos.part import Size
from tacos.pipeline.pool import BUILTIN, questions_of, reference_pool
from tacos.pipeline.pool_settings import PoolSettings
from tacos.pipeline.settings import TINY, BaseModelSettings, EvalSettings, ExperimentSettings
from tacos.stage import Job, Outcome, Stage
from tacos.store import tables
from tacos.store.files import read_jsonl, write_jsonl
from tacos.store.fingerprint import named_by_content
from tacos.text import exact_match
from tacos.types import Answer, Pool, Question
from tacos.usage import Usage
from train.expected import training_passes
from train.launch import fine_tune
from train.settings import TrainRun, TrainSettings
from train.tiny import TinySettings, Untrained, build_tiny


def base_stage(pool: Stage, settings: BaseModelSettings) -> Stage | None:
    """The tiny model built on the spot; None where the base is a model by name."""
    return tiny_base(pool, settings.tiny) if settings.model == TINY else None


def tiny_base(pool: Stage, settings: TinySettings) -> Stage:
    """The tiny model built on the spot, `model/`; the same stage for an experiment and for a method."""

    def work(job: Job) -> Outcome:
        texts = corpus_of(job.inputs["pool"], job.pool())
        device = "cpu" if job.tools.device == "auto" else job.tools.device
        metrics = build_tiny(texts, settings, job.out / "model", device)
        tokens, size = settings.tokens, int(metrics["parameters_at_work"])
        job.tools.ledger.add(counted(size, tokens, tokens))
        return Outcome(rows_in=len(texts), rows_out=1, metrics=metrics)

    def passes(rows: Pool, done: Mapping[str, Path]) -> Passes:
        made = Model("", make=Untrained(settings), name=MADE, dtype="float32", device="cpu")
        return Passes(made, settings.tokens, settings.tokens)

    identity = settings.model_dump()
    return Stage("base", work, identity, {"pool": pool}, version=2, passes=passes)  # 2: Muon in float32


def corpus_of(folder: Path, pool: Pool) -> list[str]:
    """Text to pretrain a tiny base model on: the builtin pool's own, else the pool's texts in plain form."""
    path = folder / "corpus.jsonl"
    if path.exists():
        return [row["text"] for row in read_jsonl(path)]
    return [
        re.sub(r"\n{3,}", "\n\n", f"{p}\n\n{r}") for p, r in zip(pool.prompts, pool.responses, strict=True)
    ]


def train_stage(
    selection: Stage,
    base: Stage | None,
    model: str,
    settings: TrainSettings,
    seed: int,
    size: Size | None = None,
) -> Stage:
    """The base fine-tuned on a selection: `model/`, `trained.json`, `history.jsonl`.

    size: how many rows the selection will have, for `tacos plan`; None is all of the pool.
    """
    inputs = {"selection": selection} | ({"base": base} if base else {})
    identity = {"train": settings.identity(), "seed": seed}
    if not base:
        identity["model"] = named_by_content(model)

    def work(job: Job) -> Outcome:
        data = job.inputs["selection"] / tables.SELECTION
        rows = len(read_selection(data))
        engine.release()  # what scored or judged gives the memory back
        ray_cluster.release()
        trained = fine_tune(
            TrainRun(
                data=str(data),
                model=str(job.inputs["base"] / "model") if base else model,
                out=str(job.out),
                seed=seed,
                train=settings,
                tracking=None,
            )
        )
        job.tools.ledger.add(
            Usage(forward_tokens=trained.tokens, backward_tokens=trained.tokens, flops=trained.flops or 0.0)
        )
        held = trained.validation_samples
        return Outcome(rows_in=rows, rows_out=trained.samples + held, rows_failed=trained.dropped)

    def passes(pool: Pool, done: Mapping[str, Path]) -> Passes:
        read = expected_model(base or model, pool, done)
        if "selection" in done:
            chosen = read_selection(done["selection"] / tables.SELECTION)
            return training_passes(read, chosen, len(chosen), settings)
        known = size(pool) if callable(size) else size
        return training_passes(read, pool, len(pool) if known is None else min(known, len(pool)), settings)

    return Stage("train", work, identity, inputs, passes=passes)


def read_selection(path: Path) -> Pool:
    """Raises: PoolError when nothing was selected."""
    if not path.read_text(encoding="utf-8").strip():
        raise PoolError(f"{path} holds no sample: nothing was selected")
    return read_pool(str(path)).pool


def answer_stage(
    model: Stage | str, pool: Stage, settings: EvalSettings, train: TrainSettings, seed: int
) -> Stage:
    """Answers to the test questions, exact matches where an answer can be checked, and held-out loss."""
    inputs = {"pool": pool} | ({"model": model} if isinstance(model, Stage) else {})
    asked = as_taught(settings.generate, train)
    wrap = train.wrap if asked.wrap == "auto" else asked.wrap
    identity: dict[str, Any] = {
        "generate": asked.model_dump(exclude={"batch_size"}),
        "max_length": train.max_length,
        "seed": seed,
    }
    if isinstance(model, str):
        identity["model"] = named_by_content(model)

    def work(job: Job) -> Outcome:
        questions = questions_of(job.inputs["pool"])
        folder = str(job.inputs["model"] / "model") if isinstance(model, Stage) else model
        device = job.tools.device
        name = Path(folder).parent.name if isinstance(model, Stage) else model
        answers = generate(in_process(folder, asked, device), questions, name, seed)
        matches = match_answers(questions, answers)
        write_jsonl(job.out / "answers.jsonl", (a.model_dump() for a in answers))
        write_jsonl(
            job.out / "matches.jsonl", ({"question_id": q, "exact_match": m} for q, m in matches.items())
        )
        references = wrap_pool(reference_pool(questions), wrap)
        loss = None
        if len(references):
            loss = heldout_loss(folder, references, train.max_length, device=device, template=asked.template)
        metrics: dict[str, Any] = {"heldout_loss": loss}
        if matches:
            metrics["exact_match"] = sum(matches.values()) / len(matches)
        return Outcome(rows_in=len(questions), rows_out=len(answers), metrics=metrics)

    return Stage("answer", work, identity, inputs)


def as_taught(asked: GenerateSettings, train: TrainSettings) -> GenerateSettings:
    """The base as it is, which brings no template, is asked as the others were taught."""
    template = train.template if asked.template == "auto" else asked.template
    wrap = train.wrap if asked.wrap == "auto" else asked.wrap
    return asked.model_copy(update={"template": template, "wrap": wrap})


def match_answers(questions: list[Question], answers: list[Answer]) -> dict[str, bool]:
    """Question id -> whether the last reply gives the answer; questions without one are left out."""
    return {
        q.id: exact_match(a.turns[-1], q.answer)
        for q, a in zip(questions, answers, strict=True)
        if q.answer is not None
    }


def judge_stage(
    answers: Stage,
    opponent: Stage,
    pool: Stage,
    experiment: ExperimentSettings,
    llms: Mapping[str, LLMSettings],
) -> Stage:
    """Every question judged in both orders: `reviews.jsonl`.

    Raises: ConfigError when the judge is an LLM that is not configured.
    """
    settings = experiment.eval.judge
    identity: dict[str, Any] = settings.model_dump(include={"by", "rule", "unparsed"})
    estimate = None
    if settings.by == "llm":
        if settings.llm not in llms:
            raise ConfigError(f"eval.judge.by=llm needs llms.{settings.llm}: add its model and endpoint")
        settings.check(FIELDS, "eval.judge")
        identity |= settings.asked(llms[settings.llm])
        estimate = _judge_estimate(experiment, llms[settings.llm])

    def work(job: Job) -> Outcome:
        judge: PairJudge = ReferenceJudge()
        if settings.by == "llm":
            judge = LLMJudge(job.tools.llm(settings.llm), settings)
        items = comparisons(questions_of(job.inputs["pool"]), job.inputs["answers"], job.inputs["opponent"])
        judged = compare(judge, items, settings.rule, settings.unparsed)
        ids = [q.id for q in questions_of(job.inputs["pool"])]
        rows = ({"question_id": i, **j.model_dump()} for i, j in zip(ids, judged, strict=True))
        write_jsonl(job.out / "reviews.jsonl", rows)
        failed = sum(j.result == "unparsed" for j in judged)
        return Outcome(
            rows_in=len(items),
            rows_out=len(items) - failed,
            rows_failed=failed,
            metrics={"judge": judge.name},
        )

    inputs = {"answers": answers, "opponent": opponent, "pool": pool}
    return Stage("judge", work, identity, inputs, estimate=estimate)


def _judge_estimate(experiment: ExperimentSettings, llm: LLMSettings) -> Any:
    judge = experiment.eval.judge

    def estimate(pool: Pool, done: Mapping[str, Path]) -> Asked:
        """Both orders of every question; before there are answers they are taken to be half as long as they may
        be, and questions that are not there yet to have 200 characters, no two alike: equal calls are paid once."""
        known = questions_of(done["pool"]) if "pool" in done else []
        if known and {"answers", "opponent"} <= set(done):
            items = comparisons(known, done["answers"], done["opponent"])
        else:
            asked = ["\n\n".join(q.turns) for q in known]
            asked = asked or [f"{i:0200}" for i in range(expected_questions(experiment.pool))]
            answer = "x" * (4 * experiment.eval.generate.max_new_tokens // 2)
            items = [Comparison(question=q, answer_1=answer, answer_2=f"{answer}.") for q in asked]
        both = [*items, *(item.swapped() for item in items)]
        return Asked(
            llm, (judge_request(item, judge) for item in both), EXPECTED_VERDICT, llm=judge.llm or ""
        )

    return estimate


def expected_questions(pool: PoolSettings) -> int:
    """Test questions a pool will have, before it is loaded."""
    if pool.questions:
        return len(read_question_sets(pool.question_files))
    return pool.builtin.test_size if pool.source == BUILTIN else pool.holdout


def comparisons(questions: list[Question], answers: Path, opponent: Path) -> list[Comparison]:
    mine, theirs = answers_of(answers), answers_of(opponent)
    return [
        Comparison(
            question="\n\n".join(q.turns),
            answer_1="\n\n".join(mine[q.id].turns),
            answer_2="\n\n".join(theirs[q.id].turns),
            reference=q.reference,
            answer=q.answer,
        )
        for q in questions
    ]


def answers_of(folder: Path) -> dict[str, Answer]:
    rows = (Answer.model_validate(row) for row in read_jsonl(folder / "answers.jsonl"))
    return {row.question_id: row for row in rows}
