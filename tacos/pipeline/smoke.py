"""A rehearsal of an experiment: its shape as it is configured, and everything that costs made small.

    tacos run configs/experiments/tacos_table_1.yaml --smoke llms.judge.endpoint=http://127.0.0.1:8000/v1

What decides the shape stays: arms, methods, prompts, templates, benchmarks and what they compare. Small are

    matrix      the first two entries of each dimension
    pool        the generated one, 120 rows with 6 test questions and 400 texts for the base; several pools are of
                several seeds
    budgets     8 rows for the smallest, 16 for the next, ...
    seeds       the first
    bases       the tiny LLaMA after 4 steps of pretraining; several are of several seeds; so are finished models
    training    in this process; 2 steps where steps are counted
    answers     6 tokens
    parts       the embedded embedder, classifier and scorer, and `SCALED` in place of numbers for 50,000 rows

and on top what the config's own `smoke:` says. LLMs stay those of `llms`. The run is `NAME-smoke`, and its numbers say
that everything works, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tacos.config import merged
from tacos.errors import ConfigError
from tacos.pipeline.matrix import EVERYWHERE

KEY = "smoke"
SCALED = {
    "min_count": 1,
    "support": 2,
    "k": 4,
    "top": 6,
    "clusters": 2,
    "per_cluster": 3,
    "fit_rows": 40,
    "initial": 4,
    "per_round": 4,
    "batch": 8,
    "subset": 40,
    "max_new_tokens": 6,
    "dim": 32,
    "candidates": 60,
    "shortlist": 20,
    "take": 10,
}
"""Numbers of parts, wherever an arm says them."""
EMBEDDED = ("embedder", "tokenizer", "classifier", "scorer", "prompts", "dtype")
"""Settings of parts that name what would have to be downloaded or trained; left to their defaults."""
TRAIN: dict[str, Any] = {
    "steps": 2,
    "loss_tokens_per_step": 400,
    "max_length": 400,
    "bf16": False,
    "gradient_checkpointing": False,
    "save_steps": 0,
    "deepspeed": None,
    "launch": {"processes": 1},
}
SHORT = {"max_new_tokens": SCALED["max_new_tokens"]}
ENTRIES = 2
"""Of each dimension of a matrix."""
STEP = 8
"""Rows of the smallest budget, and between one and the next."""


def rehearsed(data: Mapping[str, Any], smoke: bool) -> dict[str, Any]:
    """A config file without what only a rehearsal reads; with `smoke` its rehearsal. Raises: ConfigError."""
    return rehearsal(data) if smoke else {key: value for key, value in data.items() if key != KEY}


def rehearsal(data: Mapping[str, Any]) -> dict[str, Any]:
    """data: a config file of an experiment, without overrides. Raises: ConfigError for one of something else."""
    if "arms" not in data and "arms" not in (data.get("matrix") or {}):
        raise ConfigError("a rehearsal is of an experiment, which has arms: leave out --smoke")
    said = rehearsed(data, False)
    sizes = {size: STEP * (i + 1) for i, size in enumerate(sorted(set(_budgets(said))))}
    made = _small(said, 0, sizes)
    made |= {"name": f"{data.get('name', '')}-smoke", "pool": _pool(0), "base": _base(0)}
    made["train"] = made["train"] if "train" in said else TRAIN
    made["seeds"] = list(said.get("seeds") or [0])[:1]
    if isinstance(matrix := said.get("matrix"), Mapping):
        made["matrix"] = _matrix(matrix, sizes)
    return merged(made, data.get(KEY) or {})


def _budgets(said: Any) -> Iterator[int]:
    """All that stand anywhere, but for that of a training, which is a word."""
    if not isinstance(said, Mapping):
        return
    for key, value in said.items():
        if key == "budgets" or (key == "budget" and isinstance(value, list)):
            yield from value.values() if isinstance(value, Mapping) else value
        elif key == "budget" and isinstance(value, int):
            yield value
        else:
            yield from _budgets(value)


def _small(said: Mapping[str, Any], seed: int, sizes: Mapping[int, int]) -> dict[str, Any]:
    """The settings of an experiment, or an entry that is laid over them. seed: of its pool and its base."""
    made = {key: value for key, value in said.items() if key != "embedder"}
    if "budget" in made:
        made["budget"] = sizes[made["budget"]]
    made |= {key: make(seed) for key, make in (("pool", _pool), ("base", _base)) if key in made}
    if isinstance(made.get("train"), Mapping):
        made["train"] = _train(made["train"])
    if "arms" in made:
        made["arms"] = {name: _arm(arm, i, sizes) for i, (name, arm) in enumerate(made["arms"].items())}
    if "eval" in made:
        made["eval"] = merged(made["eval"], {"generate": SHORT})
    if made.get("benchmarks"):
        made["benchmarks"] = {name: _short(name, asked) for name, asked in made["benchmarks"].items()}
    return made


def _short(benchmark: str, asked: Any) -> Any:
    """Its answers cut short, or few of its questions, as far as it has either setting."""
    if not isinstance(asked, Mapping) or benchmark == "mt_bench_pairs":
        return asked
    if benchmark == "lm_eval":
        return {**asked, "limit": 2}
    return {**asked, "generate": {**(asked.get("generate") or {}), **SHORT}}


def _matrix(matrix: Mapping[str, Any], sizes: Mapping[int, int]) -> dict[str, Any]:
    """An entry of `exclude` that names one which is left out goes with it."""
    kept = {
        name: list(_first(values)) for name, values in matrix.items() if name not in (*EVERYWHERE, "exclude")
    }
    made = {name: _entries(name, _first(matrix[name]), sizes) for name in kept}
    if "arms" in matrix:
        made["arms"] = _small({"arms": matrix["arms"]}, 0, sizes)["arms"]
    if "seeds" in matrix:
        made["seeds"] = list(matrix["seeds"])[:1]
    excluded = [
        each
        for each in matrix.get("exclude") or []
        if all(str(entry) in kept.get(name, []) for name, entry in each.items())
    ]
    return made | ({"exclude": excluded} if excluded else {})


def _entries(dimension: str, entries: Mapping[str, Any], sizes: Mapping[int, int]) -> Any:
    makers = {
        "pools": lambda i, entry: _pool(i),
        "bases": lambda i, entry: _base(i),
        "trains": lambda i, entry: _train(entry),
        "budgets": lambda i, entry: sizes[entry],
        "variants": lambda i, entry: _small(entry, i, sizes),
    }
    if dimension not in makers:  # a setting that is swept
        return [sizes[entry] if dimension == "budget" else entry for entry in entries.values()]
    return {name: makers[dimension](i, entry) for i, (name, entry) in enumerate(entries.items())}


def _first(entries: Any) -> dict[str, Any]:
    """Those of a dimension that are kept; sizes in a list have their numbers as names."""
    named = entries if isinstance(entries, Mapping) else {str(entry): entry for entry in entries}
    return dict(list(named.items())[:ENTRIES])


def _pool(seed: int) -> dict[str, Any]:
    small = {"size": 120, "test_size": 6, "corpus_size": 400}
    return {"source": "builtin", "builtin": small | {"seed": seed}}


def _base(seed: int) -> dict[str, Any]:
    small = {
        "vocab_size": 400,
        "hidden": 32,
        "layers": 1,
        "heads": 2,
        "steps": 4,
        "block": 64,
        "context": 1024,
    }
    return {"model": "tiny", "tiny": small | {"seed": seed}}


def _train(said: Mapping[str, Any]) -> dict[str, Any]:
    """Learning rates, templates, noise and adapters stay."""
    return merged(said, TRAIN)


def _arm(said: Any, seed: int, sizes: Mapping[int, int]) -> Any:
    if not isinstance(said, Mapping):
        return said
    if said.get("model"):
        return {"method": "zero-shot", "base": _base(seed)}
    made: dict[str, Any] = {}
    for key, value in said.items():
        if value is None:  # the experiment's, of budget and base
            made[key] = None
        elif key == "budget":
            made[key] = sizes[value]
        elif key == "train":
            made[key] = _train(value)
        elif key == "base":
            made[key] = _base(seed)
        else:
            made[key] = _scaled(value)
    return made


def _scaled(said: Any) -> Any:
    if not isinstance(said, Mapping):
        return said
    return {
        key: SCALED[key] if key in SCALED and isinstance(value, int) else _scaled(value)
        for key, value in said.items()
        if key not in EMBEDDED
    }
