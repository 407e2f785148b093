"""`tacos eval lm-eval`: tasks of lm-evaluation-harness, run or read from stored records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tacos.cli.console import AsJson, Overrides, exactly_one, read_settings
from tacos.cli.eval import Against, Config, Model, Name, Out, evaluation_of
from tacos.cli.scores import Files, Shown
from tacos.errors import ConfigError

if TYPE_CHECKING:
    from eval.lm_tasks.records import TaskRecords
    from eval.lm_tasks.settings import LMTasksSettings
    from tacos.pipeline.evaluate import Evaluation

SECTION = "lm_tasks"
"""Where a config file and overrides have settings of the tasks."""


def lm_eval(
    overrides: Overrides = None,
    model: Model = None,
    tasks: Annotated[
        list[str] | None,
        typer.Option(help='Tasks or groups of lm-eval, YAML files, folders, or "instruct", a panel'),
    ] = None,
    include_path: Annotated[Files, typer.Option(help="Folders with tasks of your own in YAML files")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Questions of each task, for a try")] = None,
    num_fewshot: Annotated[
        int | None, typer.Option(min=0, help="Examples in the prompt; the task's own when unset")
    ] = None,
    apply_chat_template: Annotated[
        bool, typer.Option("--apply-chat-template", help="Prompts as conversations in the model's template")
    ] = False,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Run tasks that execute what the model wrote")
    ] = False,
    samples: Annotated[Files, typer.Option(help="Stored records: samples.jsonl of finished runs")] = None,
    against: Against = None,
    name: Name = None,
    config: Config = None,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Tasks of lm-evaluation-harness: run them with --model, or read the records of earlier runs."""
    from eval.lm_tasks.score import score_files, score_records

    exactly_one({"--model": model, "--samples": samples})
    shown = Shown(out, as_json, 0.0)
    if samples:
        shown.finish("Tasks of lm-eval", [score_files(samples, against)], {})
        return
    flags = {
        "tasks": tasks,
        "include_path": [str(folder) for folder in include_path] if include_path else None,
        "limit": limit,
        "num_fewshot": num_fewshot,
        "apply_chat_template": apply_chat_template or None,
        "allow_code": allow_code or None,
    }
    settings, run = _settings(read_settings(config, overrides), flags)
    shown, label = shown.into(run, "lm-eval", model, name)
    records = _run(str(model), label, settings, run, shown.folder)
    shown.finish("Tasks of lm-eval", [score_records([records], against)], {})


def _settings(data: dict[str, Any], flags: dict[str, Any]) -> tuple[LMTasksSettings, Evaluation]:
    """Of the tasks, and of what every benchmark works with. Raises: ConfigError."""
    from eval.lm_tasks.settings import LMTasksSettings
    from tacos.config import parse

    given = data.pop(SECTION, None) or {}
    if not isinstance(given, dict):
        raise ConfigError(f"{SECTION} holds {type(given).__name__}, not settings")
    own = {**given, **{key: value for key, value in flags.items() if value is not None}}
    if not own.get("tasks"):
        raise ConfigError("give --tasks: names of lm-eval's tasks or groups, YAML files, folders, or a panel")
    return parse(LMTasksSettings, own), evaluation_of(data)


def _run(model: str, label: str, settings: LMTasksSettings, run: Evaluation, out: Path) -> TaskRecords:
    from eval.lm_tasks.run import run_tasks, run_tasks_served

    how = run.settings.answering
    if how.by == "llm":
        return run_tasks_served(run.llm(model), settings, out, label)
    if how.by == "vllm":
        raise ConfigError(
            "answering.by=vllm has no log-probabilities of given texts here: take transformers, or for tasks that "
            "generate answering.by=llm with the model under `llms` (backend: vllm, or a server)"
        )
    return run_tasks(model, settings, out, label, how.device, run.tools.ledger)
