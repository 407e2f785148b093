"""A measure once more for each question set, where an experiment asks several (`pool.questions: {NAME: FILE, ...}`).

    winning_score over 652 questions  ->  itself, and winning_score_pandalm over 170, winning_score_vicuna over 80, ...

Only measures that say so (`Measure.per_set`). One set by itself is the whole, so it gets none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from eval.measures import Benchmark, Finished, Measure, RunValues


def with_sets(benchmark: Benchmark, sets: Mapping[str, str]) -> Benchmark:
    """The benchmark with its measures per set behind its own. sets: question id -> its set, "" for none."""
    asked: dict[str, list[str]] = {}
    for question, name in sets.items():
        asked.setdefault(name, []).append(question)
    named = {name: ids for name, ids in asked.items() if name}
    parts = [
        (m.name, of_set(m, name), ids) for m in benchmark.measures if m.per_set for name, ids in named.items()
    ]
    if len(named) < 2 or not parts:
        return benchmark

    def read(finished: Finished) -> RunValues:
        whole = benchmark.read(finished)
        values, unread = dict(whole.values), dict(whole.unread)
        for name, part, ids in parts:
            if isinstance(found := whole.values.get(name), Mapping):
                own = {id_: found[id_] for id_ in ids if id_ in found}
                values[part.name], unread[part.name] = own, len(ids) - len(own)
        return replace(whole, values=values, unread=unread)

    return replace(benchmark, measures=(*benchmark.measures, *(part for _, part, _ in parts)), read=read)


def of_set(measure: Measure, name: str) -> Measure:
    """The measure of one set's questions."""
    said = {
        "name": f"{measure.name}_{name}",
        "metric": f"{measure.tracked}/{name}",
        "title": f"{measure.title} on {name}",
        "phrase": f"{measure.said} on {name}",
        "heading": f"{name}, {measure.heading}",
    }
    return measure.model_copy(update={**said, "of_set": name, "per_set": False, "brief": False})
