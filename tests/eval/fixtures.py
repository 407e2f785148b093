"""A made-up experiment with the shape and size of a real one, to test the report and to look at it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from eval.benchmarks import benchmarks
from eval.interval import Interval
from eval.results import ArmMeasure, ArmRun, ArmSummary, Audit, Results, RunMeasure, TagReport
from tacos.types import Trained
from tacos.usage import Usage

POOL_ROWS = 2871
BUDGET = 300
QUESTIONS = 120
BINS = ("0-9", "10-19", "20-39", "40-79", "80-159", "160-319", "320-639", "640+")
KINDS = (
    "wrong answer",
    "truncated",
    "off topic",
    "repeats itself",
    "empty filler",
    "wrong format",
    "refusal",
)
SUBJECTS = (
    "arithmetic",
    "dates",
    "units",
    "sorting",
    "grammar",
    "geometry",
    "logic",
    "summaries",
    "spelling",
    "code",
)
SKILLS = tuple(
    f"{subject} {form}" for subject in SUBJECTS for form in ("recall", "one step", "several steps")
)


@dataclass(frozen=True)
class Arm:
    """What the made-up arm is like: its defect rate, exact match, mean words and cost of selection."""

    name: str
    method: str
    defect_rate: float
    exact_match: float
    words: float
    usage: Usage
    rows: int = BUDGET
    loss: float = 1.5


ARMS = (
    Arm(
        "tacos",
        "tacos",
        0.120,
        0.612,
        96,
        Usage(seconds=41.82, calls=0, forward_tokens=1_914_000, flops=4.08e13),
        loss=1.182,
    ),
    Arm(
        "tacos-llm",
        "tacos",
        0.094,
        0.634,
        101,
        Usage(
            calls=11484,
            failed_calls=12,
            cached_calls=310,
            prompt_tokens=6_204_118,
            completion_tokens=402_771,
            cost_usd=1.172371,
            seconds=1873.4,
        ),
        loss=1.151,
    ),
    Arm("random", "random", 0.374, 0.489, 78, Usage(seconds=0.0121), loss=1.391),
    Arm("car", "car", 0.171, 0.571, 112, Usage(seconds=28.311), loss=1.233),
    Arm(
        "iterselecttune",
        "iterselecttune",
        0.228,
        0.552,
        121,
        Usage(calls=900, prompt_tokens=411_020, completion_tokens=9_114, cost_usd=0.06712, seconds=311.9),
        loss=1.262,
    ),
    Arm("longest", "length", 0.401, 0.447, 214, Usage(seconds=0.0304), loss=1.502),
    Arm("full pool", "full", 0.371, 0.507, 79, Usage(seconds=0.0098), rows=POOL_ROWS, loss=1.344),
    Arm("zero-shot", "none", 0.0, 0.031, 0, Usage(), rows=0, loss=4.214),
)


def make_results(
    *,
    arms: tuple[Arm, ...] = ARMS,
    seeds: int = 3,
    truth: bool = True,
    training: bool = True,
    tags: bool = True,
    half_width: float = 0.04,
    uneven: bool = False,
) -> Results:
    """truth, training, tags: leave these parts out; half_width: of the gains' intervals, as a fraction;
    uneven: train the first arm on 10% more loss tokens than the others."""
    rng = random.Random(20)
    base = next(a for a in arms if a.name == "random")
    pool = _audit(rng, POOL_ROWS, 79, 0.371, truth)
    runs = [_run(rng, arm, seed, truth, training, pool) for arm in arms for seed in range(seeds)]
    summary = [_summary(a, base, seeds, truth, training, half_width) for a in arms]
    used = {name for s in summary for name in s.measures}
    if uneven:
        runs[0] = _heavier(runs[0])
    return Results(
        name="quickstart",
        created="2026-03-14T09:26:53+00:00",
        baseline="random",
        parts=_parts(llm=any(a.usage.calls for a in arms)),
        pool={
            "read": 3000,
            "rows": POOL_ROWS,
            "dropped": {"duplicate": 104, "empty response": 21, "not valid JSON": 4},
            "source": "builtin pool, seed 7",
        },
        pool_audit=pool,
        budget=BUDGET,
        training_budget="60 steps of 600 loss tokens per arm" if training else "no training",
        questions=QUESTIONS if training else 0,
        measures=[m for b in benchmarks() for m in b.measures if m.name in used],
        runs=runs,
        summary=summary,
        tags=[_tags("tacos"), _tags("tacos-llm", extra=900)] if tags else [],
        total_usage=sum((a.usage for a in arms), Usage(seconds=211.4)),
        versions={"tacos": "0.1.0", "torch": "2.9.1", "transformers": "5.1.0", "numpy": "2.3.4"},
        commit="4fb6005d0c0ffee0123456789abcdef012345678",
    )


def interval(mean: float, half: float, n: int = 80) -> Interval:
    return Interval(mean=mean, low=mean - half, high=mean + half, n=n)


def rate(mean: float, half: float, n: int) -> Interval:
    """An interval of a share, kept inside [0, 1]."""
    return Interval(mean=mean, low=max(0.0, mean - half), high=min(1.0, mean + half), n=n)


def _parts(llm: bool) -> dict[str, str]:
    return {
        "embedder": "all-MiniLM-L6-v2 (embedded)",
        "tagger": "qwen2.5-7b-instruct on an OpenAI-compatible server (LLM)"
        if llm
        else "KeyBERT keyphrases (embedded, no LLM)",
        "comparator": "quality model fitted on the pool (embedded, no LLM)",
        "base model": "tiny LLaMA, 3.1 M parameters, trained on the spot (embedded)",
        "judge": "reference judge (embedded, no LLM)",
    }


def _shares(rng: random.Random, names: tuple[str, ...], total: int, keep: float = 1.0) -> dict[str, int]:
    """`total` rows spread unevenly over `names`; a name is left empty with chance 1 - keep."""
    weights = [rng.uniform(0.3, 1.7) if rng.random() < keep else 0.0 for _ in names]
    whole = sum(weights) or 1.0
    return {name: round(total * w / whole) for name, w in zip(names, weights, strict=True)}


def _audit(rng: random.Random, rows: int, words: float, defects: float, truth: bool) -> Audit:
    centre = next((i for i, high in enumerate((10, 20, 40, 80, 160, 320, 640)) if words < high), 7)
    weights = [rng.uniform(0.8, 1.2) * 0.45 ** abs(i - centre) for i in range(len(BINS))]
    histogram = {b: round(rows * w / sum(weights)) for b, w in zip(BINS, weights, strict=True)}
    known: dict[str, Any] = {}
    if truth and rows:
        skills = {s: n for s, n in _shares(rng, SKILLS, rows, 0.93 if rows == BUDGET else 1).items() if n}
        known = {
            "defects": _shares(rng, KINDS, round(rows * defects)),
            "skills": skills,
            "skills_total": len(SKILLS),
        }
    return Audit(rows=rows, mean_words=words * rng.uniform(0.98, 1.02), word_histogram=histogram, **known)


def _run(rng: random.Random, arm: Arm, seed: int, truth: bool, training: bool, pool: Audit) -> ArmRun:
    trained, measures = None, {}
    if training and arm.rows:
        trained = Trained(
            samples=arm.rows,
            epochs=round(36_000 / (arm.rows * arm.words), 3),
            steps=60,
            tokens=round(rng.uniform(88_000, 104_000)),
            loss_tokens=36_000 + rng.randrange(400),
            final_loss=arm.loss - 0.2,
            parameters=1_180_000,
            flops=6.84e11,
            seconds=rng.uniform(41, 47),
            truncated=rng.randrange(4),
            template_hash="9b2f41c07de1a355",
        )
    if training and arm.name != "random":
        win = round(QUESTIONS * min(0.9, max(0.02, 0.36 + 2.2 * (arm.exact_match - 0.489))))
        lose = round((QUESTIONS - win) * 0.55)
        measures["winning_score"] = _of_run(
            interval(1 + (win - lose) / QUESTIONS, 0.13, QUESTIONS),
            counts={"win": win, "tie": QUESTIONS - win - lose, "lose": lose},
            beside={"longer_wins": 0.56},
        )
    stages = ("pool", "embed", "tag", "score", "select", "train", "generate", "judge")
    exact = rate(arm.exact_match + rng.uniform(-0.025, 0.025), 0.06, QUESTIONS)
    artifacts = {s: f"{s}/{rng.getrandbits(64):016x}" for s in (stages if training else stages[:5])}
    audit = pool if arm.rows == pool.rows else _audit(rng, arm.rows, arm.words, arm.defect_rate, truth)
    if training:
        measures["heldout_loss"] = RunMeasure(value=arm.loss + rng.uniform(-0.02, 0.02))
        measures["exact_match"] = _of_run(exact)
    if truth and arm.rows:
        measures["defect_rate"] = _of_run(rate(arm.defect_rate, 0.03, arm.rows))
    return ArmRun(
        arm=arm.name,
        method=arm.method,
        seed=seed,
        artifacts=artifacts,
        audit=audit,
        selection_usage=arm.usage,
        trained=trained,
        measures=measures,
    )


def _of_run(value: Interval, **more: Any) -> RunMeasure:
    return RunMeasure(value=value.mean, interval=value, **more)


def _heavier(run: ArmRun) -> ArmRun:
    assert run.trained is not None
    more = run.trained.model_copy(update={"loss_tokens": round(run.trained.loss_tokens * 1.1)})
    return run.model_copy(update={"trained": more})


def _summary(arm: Arm, base: Arm, seeds: int, truth: bool, training: bool, half: float) -> ArmSummary:
    other = arm.name != base.name
    n = QUESTIONS * seeds
    gain, score = arm.exact_match - base.exact_match, 1 + 2 * (arm.exact_match - base.exact_match)
    measures = {}
    if training:
        measures["exact_match"] = ArmMeasure(
            interval=rate(arm.exact_match, 0.041, n), gain=interval(gain, half, n) if other else None
        )
        measures["heldout_loss"] = ArmMeasure(interval=interval(arm.loss, 0.05, n))
    if training and other:
        measures["winning_score"] = ArmMeasure(interval=interval(score, 0.09, n))
    if truth and arm.rows:
        fewer = interval(arm.defect_rate - base.defect_rate, 0.035, n)
        measures["defect_rate"] = ArmMeasure(
            interval=rate(arm.defect_rate, 0.021, arm.rows * seeds), gain=fewer if other else None
        )
    return ArmSummary(arm=arm.name, method=arm.method, seeds=list(range(seeds)), measures=measures)


def _tags(arm: str, extra: int = 0) -> TagReport:
    words = (*SUBJECTS, "word problem", "list editing", "percentages", "comparison", "python programming")
    steps = ("raw", "lower case", "frequency >= 3", "merged by meaning", "association")
    before = {w.title() if i % 3 == 0 else w: 420 - 23 * i for i, w in enumerate(words)}
    after = {w: 610 - 31 * i for i, w in enumerate(reversed(words))}
    return TagReport(
        arm=arm,
        counts=dict(zip(steps, (6120 + extra, 5044 + extra, 1298, 611, 540), strict=True)),
        samples=dict(zip(steps, (2871, 2871, 2790, 2790, 2790), strict=True)),
        top_before=before,
        top_after=after,
    )
