"""A model through tasks of lm-eval: records in a folder, figures as lm-eval computes them.

    records = run_tasks("out/model", LMTasksSettings(tasks=("instruct",)), Path("runs/tasks"), name="tacos")
    records.run.task("gsm8k").figures["exact_match,strict-match"]        value 0.31, stderr 0.013

What a model said to a request is kept the moment it is there, so a run that is killed goes on, and tasks may be added
to a run that is finished. Few-shot examples, prompts, filters, metrics and standard errors are lm-eval's own code.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eval.lm_tasks.kept import KeptResults
from eval.lm_tasks.loading import LoadedTasks, consent, load_tasks, seeded
from eval.lm_tasks.records import REQUESTS, Figure, TaskDetails, TaskRecords, TaskRun, TaskSample, metric_name
from eval.lm_tasks.settings import LMTasksSettings, lm_eval_version
from tacos.errors import ConfigError
from tacos.llm.base import LLM
from tacos.store.fingerprint import named_by_content
from tacos.usage import Ledger

log = logging.getLogger(__name__)
RESAMPLES = 1000
"""For standard errors without a formula (F1, BLEU); lm-eval draws 100,000 in as many processes as there are cores."""
BESIDE = {"alias", "name", "sample_len", "sample_count"}
"""What stands among a task's figures and is none."""


def run_tasks(
    model: str,
    settings: LMTasksSettings,
    out: Path,
    name: str | None = None,
    device: str = "auto",
    ledger: Ledger | None = None,
) -> TaskRecords:
    """A model in this process: hub id or folder. name: what it is called. ledger: where its passes are counted.

    Raises: ConfigError for settings that cannot work; TacosError where tasks or the model cannot be loaded.
    """
    lm_eval_version()
    from eval.lm_tasks.model import LocalTaskModel
    from tacos.models.local import load_lm

    loaded = load_tasks(settings)  # before the model, which takes longer
    lm = load_lm(model, settings.dtype, settings.template, device, ledger)
    identity = named_by_content(model)
    kept = KeptResults(out / REQUESTS, {"model": identity, "dtype": settings.dtype})
    return _examined(LocalTaskModel(lm, settings, kept), loaded, settings, out, name or model, identity)


def run_tasks_served(llm: LLM, settings: LMTasksSettings, out: Path, name: str | None = None) -> TaskRecords:
    """A model behind a server, for tasks that generate. Its replies come from the client's cache and go on its bill.

    Raises: as `run_tasks`; ConfigError for a task that needs log-probabilities, before anything is asked; LLMError
        where replies are missing.
    """
    lm_eval_version()
    from eval.lm_tasks.served import ServedTaskModel, needs_weights

    loaded = load_tasks(settings)
    scored = {key for key, task in loaded.tasks.items() if task.get_config("output_type") != "generate_until"}
    if scored:
        raise ConfigError(needs_weights(scored))
    return _examined(ServedTaskModel(llm, settings), loaded, settings, out, name or llm.model, llm.model)


def _examined(
    model: Any, loaded: LoadedTasks, settings: LMTasksSettings, out: Path, name: str, identity: str
) -> TaskRecords:
    """model: lm-eval's `LM`, with `notes` of what was not as asked."""
    from lm_eval.evaluator import evaluate

    _configure(loaded, settings)
    with seeded(), consent(settings.allow_code):
        results = evaluate(
            model,
            {"tasks": loaded.tasks, "groups": loaded.groups},
            limit=settings.limit,
            bootstrap_iters=RESAMPLES,
            system_instruction=settings.system_instruction,
            apply_chat_template=settings.apply_chat_template,
            fewshot_as_multiturn=settings.fewshot_as_multiturn,
            confirm_run_unsafe_code=settings.allow_code,
        )
    run = TaskRun(
        model=name,
        identity=identity,
        settings=settings.model_dump(mode="json"),
        lm_eval=lm_eval_version(),
        roots=tuple(loaded.roots),
        tasks=tuple(_details(name, loaded, results) for name in [*loaded.groups, *loaded.tasks]),
        notes=tuple(model.notes()),
    )
    records = TaskRecords(run=run, samples=tuple(_samples(results["samples"])))
    records.write(out)
    return records


def _configure(loaded: LoadedTasks, settings: LMTasksSettings) -> None:
    """Settings over those of the tasks, as lm-eval's command does it."""
    for task in loaded.tasks.values():
        if settings.gen_kwargs and task.get_config("output_type") == "generate_until":
            task.set_config(key="generation_kwargs", value=dict(settings.gen_kwargs), update=True)
        own = task.get_config("num_fewshot")
        if settings.num_fewshot is not None and own != 0:
            task.set_config(key="num_fewshot", value=settings.num_fewshot)
        elif own is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=settings.fewshot_seed)


def _details(name: str, loaded: LoadedTasks, results: Mapping[str, Any]) -> TaskDetails:
    group = loaded.groups.get(name)
    parts = [task.task_name for task in group.get_all_tasks()] if group else []
    asked = [results["n-samples"][part] for part in parts or [name]]
    found = {**results["results"].get(name, {}), **results.get("groups", {}).get(name, {})}
    directions = results["higher_is_better"]
    samples = results["samples"].get(name, [])
    return TaskDetails(
        name=name,
        version=str(results["versions"].get(name, "")),
        num_fewshot=results["n-shot"].get(name),
        output_type="" if group else str(loaded.tasks[name].get_config("output_type")),
        filters=tuple(dict.fromkeys(sample["filter"] for sample in samples)),
        questions=sum(one["effective"] for one in asked),
        of=sum(one["original"] for one in asked),
        figures=_figures(found),
        higher_is_better=directions.get(name) or directions.get(parts[0] if parts else name, {}),
        subtasks=tuple(parts),
    )


def _figures(found: Mapping[str, Any]) -> dict[str, Figure]:
    """lm-eval's "acc,none" and "acc_stderr,none" as one figure."""
    figures = {}
    for key, value in found.items():
        metric, comma, filter_name = key.partition(",")
        if key in BESIDE or not comma or metric.endswith("_stderr"):
            continue
        stderr = found.get(f"{metric}_stderr,{filter_name}")
        figures[metric_name(metric, filter_name)] = Figure(value=_number(value), stderr=_number(stderr))
    return figures


def _number(value: Any) -> float | None:
    """None for "N/A" and what is not finite."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _samples(by_task: Mapping[str, list[dict[str, Any]]]) -> list[TaskSample]:
    return [
        TaskSample(
            task=task,
            doc_id=row["doc_id"],
            doc_hash=row["doc_hash"],
            prompt_hash=row["prompt_hash"],
            target=str(row["target"]),
            filter=row["filter"],
            responses=_as_json(row["resps"]),
            filtered=_as_json(row["filtered_resps"]),
            metrics={metric: _as_json(row[metric]) for metric in row["metrics"]},
        )
        for task, rows in by_task.items()
        for row in rows
    ]


def _as_json(value: Any) -> Any:
    """Plain JSON: numbers of numpy as Python's, what is not finite as null, anything else as text."""
    if isinstance(value, Mapping):
        return {str(key): _as_json(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set):
        return [_as_json(inner) for inner in value]
    if hasattr(value, "item") and callable(value.item) and getattr(value, "size", 1) == 1:
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | bool | int | None) else str(value)
