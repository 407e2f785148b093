"""Who played which part of an experiment, in words, so that nobody takes an embedded part for an LLM."""

from __future__ import annotations

from tacos.models.embedder import MINILM
from tacos.pipeline.controls import controls_of
from tacos.pipeline.graph import Experiment
from tacos.pipeline.pool import BUILTIN
from tacos.pipeline.settings import TINY, UNTRAINED, ZERO_SHOT, ExperimentSettings


def parts_used(experiment: Experiment) -> dict[str, str]:
    """Role -> what plays it."""
    settings = experiment.settings
    model, numbers = settings.embedder.model, settings.embedder.numbers()
    parts = {"embedder": f"{model}, {numbers}{' (embedded)' if model == MINILM else ''}"}
    for name, arm in settings.arms.items():
        if arm.method != ZERO_SHOT:
            parts[f"selection ({name})"] = arm.describe(settings.llms)
    if settings.train is not None:
        tiny = settings.base.model == TINY
        parts["base model"] = "tiny LLaMA pretrained on the spot (embedded)" if tiny else settings.base.model
        parts |= {f"base model ({n})": arm.base.model for n, arm in settings.arms.items() if arm.base}
        parts |= judges_of(settings)
    if settings.pool.source == BUILTIN:
        parts["pool"] = "generated on the spot, with known defects (embedded)"
    return parts


def first_rival(settings: ExperimentSettings) -> str | None:
    """The arm that an experiment is about where it names none: the first that selects some of the rows."""
    rivals = [name for name in settings.arms if name != settings.baseline]
    return next((name for name in rivals if settings.arms[name].method not in (*UNTRAINED, "full")), None)


def left_out(settings: ExperimentSettings) -> list[str]:
    """The controls that no arm is; without training none is missing of those that need it."""
    there = {arm.method for arm in settings.arms.values()}
    return [name for name in controls_of(trains=settings.train is not None) if name not in there]


def answering(settings: ExperimentSettings) -> str:
    """How models answer the test questions, in words; "" where they are asked none."""
    if settings.train is None or not (settings.pool.asks or not settings.benchmarks.asked):
        return ""
    how = settings.eval.generate
    drawn = f"temperature {how.temperature:g}" if how.draws else "greedy"
    wrap = "" if how.wrap in ("auto", "none") else f", in the {how.wrap} preamble"
    return f"{drawn}, at most {how.max_new_tokens:,} tokens{wrap}"


def judges_of(settings: ExperimentSettings) -> dict[str, str]:
    """Who judges: the test questions, and each public benchmark."""
    named: dict[str, str | None] = {}
    if settings.pool.asks or not settings.benchmarks.asked:
        judge = settings.eval.judge
        named["judge"] = judge.llm if judge.by == "llm" else None
    for name, asked in settings.benchmarks.asked.items():
        if hasattr(asked, "judge"):
            named[f"judge ({name})"] = asked.judge if asked.judge in settings.llms else None
    return {
        role: f"LLM {settings.llms[llm].model}" if llm else "reference judge (embedded, no LLM)"
        for role, llm in named.items()
    }


def training_budget(settings: ExperimentSettings) -> str:
    """In words."""
    t = settings.train
    if t is None:
        return "no training"
    if t.budget == "loss_tokens":
        return f"{t.steps:,} steps of {t.loss_tokens_per_step:,} loss tokens per arm, whatever its size"
    return f"{t.epochs:g} epochs over each arm's samples, {t.batch_size} samples per step"
