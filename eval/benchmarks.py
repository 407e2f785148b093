"""The benchmarks of an experiment. Adding one is a module with a `BENCHMARK`, and its line here.

The order is that of importance: a report's verdict rests on the first measure that compares an arm with the
baseline, and arms stand in its order.
"""

from __future__ import annotations

from importlib import import_module

from eval.measures import Benchmark

BENCHMARKS: dict[str, str] = {
    "exact_match": "eval.exact_match",
    "heldout_loss": "eval.heldout_loss",
    "pairwise": "eval.pairwise.benchmark",
    "faulty_answers": "eval.faulty_answers",
    "defects": "eval.defects",
}
"""Name -> module."""


def benchmarks() -> list[Benchmark]:
    """All of them, the most important first."""
    return [import_module(module).BENCHMARK for module in BENCHMARKS.values()]
