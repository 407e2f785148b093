"""Tasks of lm-eval as a stage of an experiment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from eval.lm_tasks.measures import STAGE as LM_TASKS
from eval.lm_tasks.measures import task_benchmark
from eval.lm_tasks.run import run_tasks
from eval.lm_tasks.settings import LMTasksSettings
from eval.measures import Benchmark
from tacos.artifacts import ArtifactStore
from tacos.stage import Job, Outcome, Stage
from tacos.store.fingerprint import named_by_content


def tasks_stage(asked: LMTasksSettings, model: Stage | str) -> Stage:
    """Tasks of lm-eval on a model: the files of `tacos eval lm-eval`."""
    identity = asked.identity() | ({} if isinstance(model, Stage) else {"model": named_by_content(model)})

    def work(job: Job) -> Outcome:
        folder = str(job.inputs["model"] / "model") if isinstance(model, Stage) else model
        name = Path(folder).parent.name if isinstance(model, Stage) else Path(model).name
        records = run_tasks(folder, asked, job.out, name, job.tools.device, job.tools.ledger)
        questions = len({(row.task, row.doc_id) for row in records.samples})
        return Outcome(rows_in=questions, rows_out=questions)

    return Stage(LM_TASKS, work, identity, {"model": model} if isinstance(model, Stage) else {})


def tasks_benchmarks(stages: Iterable[Mapping[str, Stage]], store: ArtifactStore) -> list[Benchmark]:
    """Of finished arms' stages: what lm-eval's tasks measured, which depends on the tasks."""
    folders = [store.folder(named[LM_TASKS]) for named in stages if LM_TASKS in named]
    return [task_benchmark(folders)] if folders else []
