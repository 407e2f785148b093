"""The benchmarks of an experiment. Adding one is a module with a `BENCHMARK`, and its line here.

The order is that of importance: a report's verdict rests on the first measure that compares an arm with the
baseline, and arms stand in its order.

A benchmark with stages of its own (`tacos.pipeline.benchmarks`) has settings too, in the field of
`BenchmarksSettings` with its name. One whose measures depend on them has a function `benchmarks_of(settings,
baseline)` and no `BENCHMARK`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib import import_module
from typing import Any

from eval.alpaca_eval.annotator import with_judge
from eval.alpaca_eval.benchmark import AlpacaEvalSettings
from eval.lm_tasks.measures import STAGE as LM_TASKS
from eval.lm_tasks.settings import LMTasksSettings
from eval.measures import Benchmark
from eval.mt_bench.benchmark import MTBenchSettings
from eval.mt_bench.pair_benchmark import MTBenchPairsSettings
from eval.pairwise.five_sets import SETS
from eval.pairwise.sets_benchmark import FiveSetsSettings
from tacos.errors import ConfigError, nearest
from tacos.types import Record

BENCHMARKS: dict[str, str] = {
    "exact_match": "eval.exact_match",
    "heldout_loss": "eval.heldout_loss",
    "pairwise": "eval.pairwise.benchmark",
    "mt_bench": "eval.mt_bench.benchmark",
    "mt_bench_pairs": "eval.mt_bench.pair_benchmark",
    "alpaca_eval": "eval.alpaca_eval.benchmark",
    "five_sets": "eval.pairwise.sets_benchmark",
    "faulty_answers": "eval.faulty_answers",
    "defects": "eval.defects",
}
"""Name -> module."""
STAGES = ("select", "refine", "train", "answer", "judge")
"""What every arm may have, whatever its experiment is examined by."""


class BenchmarksSettings(Record):
    """`benchmarks` of an experiment: the public benchmarks that its models are examined by; None leaves one out."""

    mt_bench: MTBenchSettings | None = None
    mt_bench_pairs: MTBenchPairsSettings | None = None
    """MT-Bench's answers of two arms side by side."""
    alpaca_eval: AlpacaEvalSettings | None = None
    five_sets: FiveSetsSettings | None = None
    lm_eval: LMTasksSettings | None = None
    """Tasks of lm-eval, which need no judge."""

    @property
    def asked(self) -> dict[str, Any]:
        """Name -> settings, of those that are not left out."""
        fields = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: settings for name, settings in fields.items() if settings is not None}

    def check(self, llms: Collection[str], arms: Collection[str]) -> None:
        """Raises: ValueError for a judge that is not configured, or an opponent that is not an arm."""
        for name, settings in self.asked.items():
            judge = getattr(settings, "judge", None)
            if judge is not None and judge not in (*llms, *getattr(settings, "embedded", ())):
                known = f"{nearest(judge, llms)}, or " if llms else ""
                raise ValueError(
                    f"benchmarks.{name}.judge: {judge!r} is none of llms: {known}add llms.{judge} with its model"
                )
        for name, settings in self.asked.items():
            for arm in getattr(settings, "against", ()):
                if arm not in arms:
                    raise ValueError(
                        f"benchmarks.{name}.against: {arm!r} is not an arm: {nearest(arm, arms)}"
                    )


def benchmarks(settings: BenchmarksSettings | None = None, baseline: str = "") -> list[Benchmark]:
    """All that an experiment may have values of, the most important first. baseline: its arm.

    Raises: ConfigError for one whose stage no arm can have.
    """
    found: list[Benchmark] = []
    for name, path in BENCHMARKS.items():
        module, asked = import_module(path), settings.asked.get(name) if settings else None
        if not hasattr(module, "benchmarks_of"):
            found.append(module.BENCHMARK)
        elif asked is not None:
            found += module.benchmarks_of(asked, baseline)
    for benchmark in found:
        _check_stage(benchmark)
    return found


def _check_stage(benchmark: Benchmark) -> None:
    """An arm without the stage has no values, so a name that is wrong would leave the benchmark out in silence."""
    public = list(BenchmarksSettings.model_fields)
    known = [*STAGES, *public, LM_TASKS, *(f"answer_{name}" for name in (*public, *SETS))]
    if benchmark.stage.partition("-")[0] not in known:  # "five_sets-ARM" is beside an arm
        raise ConfigError(
            f"benchmark {benchmark.name}: no arm has a stage {benchmark.stage!r}: {nearest(benchmark.stage, known)}"
        )


def with_annotators_judge(said: Any) -> Any:
    """Settings of an experiment in which AlpacaEval's judge has the annotator's model, where they name none.

    Raises: ConfigError as `with_judge`.
    """
    asked = said.get("benchmarks") if isinstance(said, Mapping) else None
    asked = asked.get("alpaca_eval") if isinstance(asked, Mapping) else None
    if not isinstance(asked, Mapping) or not asked.get("annotator"):
        return said
    filled = with_judge(
        {"alpaca_eval": asked, "llms": said.get("llms"), "judge": asked.get("judge", "judge")}
    )
    return {**said, "llms": filled["llms"]}
