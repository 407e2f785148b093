"""One selection: the work behind `tacos select`."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from eval.report.scorers import card_figures
from eval.results import SELECTION
from eval.scorer_card import ScorerCard
from tacos.allocation.base import check_budget
from tacos.artifacts import ArtifactStore
from tacos.errors import ConfigError
from tacos.models.named import check_embedders
from tacos.pipeline.audit import audit, training_rows
from tacos.pipeline.folder import check_run_folder, link_artifacts, write_config
from tacos.pipeline.graph import selection_stage
from tacos.pipeline.pool import tell, truth_of
from tacos.pipeline.rounds import draw_rounds
from tacos.pipeline.scorer_card import card_of_selection
from tacos.pipeline.settings import SelectSettings
from tacos.pipeline.stage_run import StageRun
from tacos.pipeline.text_tables import selection_rows
from tacos.pipeline.tools import make_tools, open_store
from tacos.pipeline.tracked import pool_name
from tacos.stage import Stage, Tools, made_with
from tacos.store import tables
from tacos.store.files import read_jsonl, refuse_input_as_output, write_json
from tacos.store.fingerprint import plain
from tacos.store.rows import check_ending, write_rows
from tacos.tracking.tracker import TrackedRun, Tracker
from tacos.types import Record
from tacos.usage import Ledger, Usage
from tacos.viewing.run_stages import write_stages


class SelectReport(Record):
    """What `tacos select` answers; the keys of its `--json`."""

    pool: int
    """Rows read."""
    selected: int
    dropped: int
    """Rows left out before selecting."""
    dropped_reasons: dict[str, int]
    """Reason -> rows, the largest first."""
    method: str
    budget: int
    seconds: float
    usage: Usage = Field(repr=False)
    """All that the selection rests on, as it was first paid, in whichever run."""
    unanswered: int
    """Answers of a language model that are missing or cannot be read, over all that the selection rests on."""
    paid_now: Usage = Field(repr=False)
    """What this run paid."""
    scorer: ScorerCard | None = Field(repr=False)
    """What is known of the scorer; None where no row has a score."""
    out: str
    run_dir: str


def select(
    settings: SelectSettings,
    out: Path,
    retry_failed: bool = False,
    verify: bool = False,
    go_on: bool = False,
) -> SelectReport:
    """Select, and copy the selection to `out`.

    retry_failed: ask again for rows that earlier runs got no answer for, or none that can be read.
    verify: read every file of finished stages, to know that it is as it was written.
    go_on: ask again for replies that a damaged cache lost.

    Raises: TacosError when `out` cannot be written; what was worked out stays in the artifacts.
    """
    started = time.perf_counter()
    store, ledger = open_store(settings, retry_failed, verify), Ledger()
    if out.is_dir():
        raise ConfigError(f"{out} is a folder: --out takes the name of a file")
    check_ending(out)
    refuse_input_as_output(out, [settings.pool.source, *_file_names(settings.model_dump(mode="json"))])
    stage, tools = selection_stage(settings), make_tools(settings, ledger, retry_failed, go_on)
    run = Path(settings.runs) / f"select-{settings.method}-{stage.fingerprint[:8]}"
    check_run_folder(run, Path(settings.artifacts))
    loading = next(iter(stage.walk()))
    _load(loading, store, tools, settings)
    check_embedders(settings.model_dump(), (s for s in stage.walk() if not store.is_done(s)))
    write_config(run, settings)
    write_stages(run, Path(settings.artifacts), [("selection", None, _steps(stage))])
    shown = _shown(settings, stage)
    with (
        Tracker(settings.tracking, run, shown, {**plain(settings), **made_with()}) as tracker,
        StageRun(tracker, store, ledger) as working,
    ):
        folder = working.work(stage, tools)
        write_rows(out, read_jsonl(folder / tables.SELECTION))
        link_artifacts(run, store, link_names(stage.walk()))
        draw_rounds(stage, store, run)
        report = _report(settings, stage, store, ledger, run, out, time.perf_counter() - started)
        write_json(run / SELECTION, report)
        _tell(tracker, report, store.folder(loading), folder)
    return report


def _steps(last: Stage) -> dict[str, Stage]:
    """Of a selection, and of its refinement where there is one."""
    select = last
    while "selection" in select.inputs:
        select = select.inputs["selection"]
    return {"select": select} if select is last else {"select": select, "refine": last}


def _shown(settings: SelectSettings, stage: Stage) -> TrackedRun:
    name = settings.tracking.name or f"{settings.method}-{stage.fingerprint[:8]}"
    return TrackedRun(
        id=f"select-{stage.fingerprint}",
        name=name,
        group=settings.tracking.group or name,
        job="select",
        tags=(settings.method, f"pool:{pool_name(settings)}"),
    )


def _tell(tracker: Tracker, report: SelectReport, load: Path, selected: Path) -> None:
    """The figures of a selection, under the names that arms of experiments have, and its rows as a table."""
    found = audit(training_rows(selected), truth_of(load))
    tracker.summary(
        {
            "select/rows": report.selected,
            "select/pool_rows": report.pool,
            "select/dropped_rows": report.dropped,
            "select/unanswered": report.unanswered,
            "select/seconds": report.seconds,
            "select/mean_words": found.mean_words,
            "select/defect_rate": None if found.defects is None else sum(found.defects.values()) / found.rows,
        }
    )
    tracker.summary(card_figures(report.scorer) if report.scorer else {})
    tracker.summary({f"usage/{name}": value for name, value in report.usage})
    tracker.summary({f"usage_now/{name}": value for name, value in report.paid_now})
    tracker.table("select/selection", selection_rows(selected))


def _report(
    settings: SelectSettings,
    stage: Stage,
    store: ArtifactStore,
    ledger: Ledger,
    run: Path,
    out: Path,
    seconds: float,
) -> SelectReport:
    load, done = store.record(next(iter(stage.walk()))).outcome, store.record(stage).outcome
    return SelectReport(
        pool=load.rows_in,
        selected=done.rows_out,
        dropped=load.rows_failed,
        dropped_reasons=load.metrics["dropped"],
        method=settings.method,
        budget=settings.budget,
        seconds=round(seconds, 2),
        usage=sum((store.record(s).usage.as_first_paid() for s in stage.walk()), Usage()),
        unanswered=sum(store.record(s).unanswered for s in stage.walk()),
        paid_now=ledger.total,
        scorer=card_of_selection(settings.score, settings.llms, stage, store),
        out=str(out),
        run_dir=str(run),
    )


def _file_names(value: Any) -> Iterator[str]:
    """Every text in the settings that may name a file that is read: questions, scores, groups, a prompt."""
    if isinstance(value, str) and ("." in value or os.sep in value):
        yield value
    for inside in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _file_names(inside)


def _load(loading: Stage, store: ArtifactStore, tools: Tools, settings: SelectSettings) -> None:
    """Read the pool; an earlier reading is not done again, and its notes are told again."""
    if store.is_done(loading):
        tell(settings.pool.source, store.record(loading).outcome.metrics.get("notes", []))
    store.run(loading, tools)
    if settings.budgeted:
        check_budget(settings.budget, store.record(loading).outcome.rows_out, "samples in the pool")


def link_names(stages: Iterable[Stage]) -> dict[str, Stage]:
    """Stages by name, those of the same name with a number."""
    found: dict[str, Stage] = {}
    seen: Counter[str] = Counter()
    for stage in stages:
        name = link_name(stage)
        seen[name] += 1
        found[name if seen[name] == 1 else f"{name}-{seen[name]}"] = stage
    return found


def link_name(stage: Stage) -> str:
    """The stage's name; embeddings say of which text."""
    return f"embed-{stage.settings.get('text', 'given')}" if stage.name == "embed" else stage.name
