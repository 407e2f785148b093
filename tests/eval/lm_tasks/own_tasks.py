"""Tasks in YAML with data in JSON, as somebody may write them: they need no network."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.scoring.tiny_models import build

CHOICE, REPLY, TEXT, GROUP = "sums_choice", "sums_reply", "sums_text", "sums"
PARTS = ("sums_small", "sums_large")


def write_tasks(folder: Path, n: int = 12) -> Path:
    """Multiple choice with two examples, replies behind two filters, perplexity of texts, and a group of two tasks."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [_row(i % 4, i // 4 + 1) for i in range(n)]
    choice = {
        "output_type": "multiple_choice",
        "num_fewshot": 2,
        "fewshot_split": "test",
        "doc_to_text": "{{question}}",
        "doc_to_target": "gold",
        "doc_to_choice": "choices",
        "metric_list": _metrics("acc", "acc_norm"),
    }
    _write(folder, CHOICE, rows, choice)
    _write(folder, REPLY, rows, _reply())
    text = {"output_type": "loglikelihood_rolling", "doc_to_text": "", "doc_to_target": "{{text}}"}
    _write(folder, TEXT, rows[:4], {**text, "metric_list": _metrics("word_perplexity", "bits_per_byte")})
    _write(folder, PARTS[0], rows[:5], {**choice, "num_fewshot": 0})
    _write(folder, PARTS[1], rows[5:], {**choice, "num_fewshot": 0})
    group = {
        "group": GROUP,
        "task": list(PARTS),
        "aggregate_metric_list": [{"metric": "acc", "weight_by_size": True}],
        "metadata": {"version": 3.0},
    }
    (folder / f"{GROUP}.yaml").write_text(yaml.safe_dump(group))
    return folder


def write_code_task(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder, "runs_code", [_row(1, 1)], {**_reply(), "unsafe_code": True})
    return folder


def _reply() -> dict[str, Any]:
    first = {"function": "take_first"}
    return {
        "output_type": "generate_until",
        "doc_to_text": "Q: {{question}}\nA:",
        "doc_to_target": "{{answer}}",
        "generation_kwargs": {"until": ["e", "\n\n"], "max_gen_toks": 12, "do_sample": False},
        "filter_list": [
            {"name": "whole", "filter": [first]},
            {"name": "digits", "filter": [{"function": "regex", "regex_pattern": r"(\d+)"}, first]},
        ],
        "metric_list": _metrics("exact_match"),
    }


def _metrics(*names: str) -> list[dict[str, Any]]:
    lower = ("word_perplexity", "bits_per_byte")
    of = {"word_perplexity": "weighted_perplexity", "bits_per_byte": "bits_per_byte"}
    return [
        {"metric": name, "aggregation": of.get(name, "mean"), "higher_is_better": name not in lower}
        for name in names
    ]


def _row(a: int, b: int) -> dict[str, Any]:
    whole = f"{a} + {b}"
    return {
        "question": f"{whole} =",
        "answer": str(a + b),
        "choices": [f" {a + b}", f" {a + b + 1}", " more than that"],
        "gold": (a + b) % 3,
        "text": f"The sum of {whole} is {a + b}. " * (3 * a + 1),
    }


def _write(folder: Path, name: str, rows: Iterable[Mapping[str, Any]], config: Mapping[str, Any]) -> None:
    data = folder / f"{name}.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(data)}},
        "test_split": "test",
        "metadata": {"version": 2.0},
        **config,
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(task))


@pytest.fixture(scope="session")
def own_tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tasks(tmp_path_factory.mktemp("own") / "tasks")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Random models of 64 positions: texts are longer."""
    root = tmp_path_factory.mktemp("tiny")
    return {"llama": build(root / "llama", "llama", 64), "gpt2": build(root / "gpt2", "gpt2", 64)}
