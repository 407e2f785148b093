"""Hard or easy: what the base model answers, and whether a judge finds the response at hand better.

    prompt                "What is the capital of Peru?"
    response at hand      "The capital of Peru is Lima."
    the base answers      "Lima is the capital of Peru."          not better: easy, 0
    or                    "Peru is a country with a capital."     better: hard, 1

Equally good is easy. An answer that failed or a verdict that cannot be read is no label: it is counted, and the row
stays unlabelled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tacos.answering.answer_file import answer_file
from tacos.answering.candidate import Candidate, GenerateSettings, in_process, served
from tacos.answering.judge import EXPECTED_VERDICT, FIELDS, LLMJudge, judge_request
from tacos.errors import ConfigError
from tacos.llm.backends.engine import release
from tacos.llm.estimate import Asked
from tacos.llm.settings import VLLMEngine
from tacos.methods.hard_judges import (
    ByModel,
    ByReference,
    ByVerdict,
    HardJudge,
    HardJudgeSettings,
    Label,
    Text,
    comparison,
)
from tacos.models.embedded import texts_of
from tacos.part import Setup
from tacos.scoring.learned import fit_pool
from tacos.scoring.pool_quality import pool_vectors, read_pool_vectors
from tacos.stage import Job, Stage
from tacos.store.fingerprint import named_by_content
from tacos.types import Pool, Question, Record

MADE_HERE = "base"
"""The name of a base model that a stage of this run makes."""


class BaseAnswerSettings(Record):
    """The model that is to be fine-tuned, as it is now."""

    model: str | None = None
    """Hub id or folder; None is the base of the run (`base.model`), which will be fine-tuned."""
    by: Literal["transformers", "vllm", "llm"] = "transformers"
    """In this process, or from the endpoint of `llms.<llm>`, which then names the model."""
    llm: str = "base"
    engine: VLLMEngine = VLLMEngine()
    generate: GenerateSettings = GenerateSettings(max_new_tokens=256)
    """Greedy by default. Answers that are cut off lose to the response at hand and count as hard."""


@dataclass(frozen=True)
class Labeller:
    """A base model and a judge, as a stage needs them."""

    base: BaseAnswerSettings
    judge: HardJudgeSettings
    setup: Setup
    text: Text = "prompt"

    def inputs(self) -> dict[str, Stage]:
        """Stages that have to be done first."""
        found = {}
        if self.base.by != "llm" and self.base.model is None and isinstance(self.setup.base, Stage):
            found["base"] = self.setup.base
        if self.judge.by == "learned":
            found |= pool_vectors(self.setup, self.judge.learned)
        return found

    @property
    def model(self) -> str:
        """The base by name; the stage that makes it has another. Raises: ConfigError where none is named."""
        named = self.base.model or (self.setup.base if isinstance(self.setup.base, str) else MADE_HERE)
        if not named:
            raise ConfigError("iterselecttune asks a base model: set base.model, or settings.base.model")
        return named

    def identity(self) -> dict[str, Any]:
        """What changes a label. Raises: ConfigError for an LLM that is not configured."""
        return {"base": self._base_identity(), "judge": self._judge_identity(), "text": self.text}

    def _base_identity(self) -> dict[str, Any]:
        base = self.base
        made = {"by": base.by, "generate": base.generate.model_dump(exclude={"batch_size"})}
        if base.by == "llm":
            return made | {"llm": self.setup.llm(base.llm, "base.by=llm").identity()}
        if base.by == "vllm":
            return made | {
                "model": base.engine.named(self.model),
                "max_model_len": base.engine.max_model_len,
            }
        return made | {"model": named_by_content(self.model)}

    def _judge_identity(self) -> dict[str, Any]:
        judge = self.judge
        if judge.by == "reference":
            return judge.model_dump(include={"by", "agree"})
        if judge.by == "learned":
            return {"by": judge.by, "learned": judge.learned.identity()}
        judge.check(FIELDS, "settings.judge")
        kept = judge.model_dump(include={"by", "verdict", "orders", "rule"})
        return kept | judge.asked(self.setup.llm(judge.llm, "settings.judge.llm"))

    def label(self, job: Job, pool: Pool, rows: np.ndarray) -> list[Label]:
        """One label per row. Answers are kept in `answers.jsonl` of the job's folder, verdicts in the reply cache: a
        run that was killed asks for neither again."""
        if not len(rows):
            return []
        batch = pool.take(rows)
        answers = self._answers(job, batch)
        answered = [i for i, id_ in enumerate(batch.ids) if id_ in answers]
        texts = [answers[batch.ids[i]] for i in answered]
        labels = [Label(error="the base model gave no answer")] * len(rows)
        judged = self._judge(job, pool).labels(rows[answered], batch.take(answered), texts)
        for i, label in zip(answered, judged, strict=True):
            labels[i] = replace(label, calls=self.judge.calls)
        return labels

    def _answers(self, job: Job, batch: Pool) -> Mapping[str, str]:
        """Sample id -> what the base model says."""
        texts = texts_of(batch, self.text)
        asked = [Question(id=id_, turns=(text,)) for id_, text in zip(batch.ids, texts, strict=True)]
        out = job.out / "answers.jsonl"
        run = answer_file(self._candidate(job), asked, out, self.model, self.setup.seed)
        return {answer.question_id: answer.turns[0] for answer in run.answers}

    def _candidate(self, job: Job) -> Candidate:
        base = self.base
        if base.by == "llm":
            return served(job.tools.llm(base.llm), base.generate)
        model = str(job.inputs["base"] / "model") if "base" in job.inputs else self.model
        if base.by == "transformers":
            release()  # an engine that judged the round before gives its memory back
        return in_process(model, base.generate, job.tools.device, base.by, base.engine)

    def _judge(self, job: Job, pool: Pool) -> HardJudge:
        judge, seed = self.judge, self.setup.seed
        if judge.by == "reference":
            return ByReference(judge.agree)
        if judge.by == "llm":
            return ByVerdict(LLMJudge(job.tools.llm(judge.llm), judge), judge, seed, self.text)
        return ByModel(
            fit_pool(
                pool, *read_pool_vectors(job), job.tools.embedder(judge.learned.embedder), judge.learned, seed
            )
        )

    def estimate(self, batch_of: Callable[[int], int]) -> Any:
        """What the judge will ask in a round, for `Stage.estimate`; None where no LLM judges.

        batch_of: rows in the pool -> rows in a round.

        The rows and the base model's answers are not known yet: rows are taken at even distances, and answers to be
        half as long as they may be. What a base model behind an endpoint costs is not in it.
        """
        if self.judge.by != "llm":
            return None
        llm, asking = self.setup.llm(self.judge.llm, "settings.judge.llm"), self.judge
        answer = "x" * (4 * self.base.generate.max_new_tokens // 2)

        def estimate(pool: Pool, done: Mapping[str, Path]) -> Asked:
            rows = np.linspace(0, len(pool) - 1, min(batch_of(len(pool)), len(pool))).astype(np.int64)
            shown = pool.take(rows)
            asked = zip(texts_of(shown, self.text), shown.responses, strict=True)
            items = [comparison(question, response, answer) for question, response in asked]
            both = [item.swapped() for item in items] if self.judge.orders == 2 else []
            return Asked(
                llm,
                (judge_request(item, asking) for item in [*items, *both]),
                EXPECTED_VERDICT,
                llm=asking.llm,
            )

        return estimate
