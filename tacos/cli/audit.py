"""`tacos audit`: how far a scorer can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tacos.cli.console import (
    AsJson,
    GoOn,
    Overrides,
    RetryFailed,
    Verify,
    print_json,
    read_settings,
)

if TYPE_CHECKING:
    from eval.scorer_audit import ScorerAudit
    from tacos.artifacts import ArtifactStore
    from tacos.pipeline.audit_stages import AuditStages
    from tacos.pipeline.plan import PlannedStage
    from tacos.stage import Tools


def audit(
    pool: Annotated[str, typer.Argument(help='A file, a hub id, or "builtin"')],
    scorer: Annotated[str, typer.Option(help="A scorer of `tacos parts`; its settings as score.x=y")],
    overrides: Overrides = None,
    rows: Annotated[
        int, typer.Option(help="Rows of the pool, drawn by the seed, that are audited", min=20)
    ] = 1000,
    pairs: Annotated[
        Path | None,
        typer.Option(help="Pairs whose better side is known: expert pairs (CSV), or JSONL with labels"),
    ] = None,
    second: Annotated[
        str | None, typer.Option(help="A second scorer to agree with; its settings as second.x=y")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings, as `tacos select` reads them")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the report; runs/audit-... when unset")] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Say what each measure will ask and cost; nobody is asked")
    ] = False,
    retry_failed: RetryFailed = False,
    verify: Verify = False,
    go_on: GoOn = False,
    as_json: AsJson = False,
) -> None:
    """Audit a scorer: the same rows again, both orders, known pairs, answers made worse; warnings in words."""
    from tacos.pipeline.audit_settings import audit_settings
    from tacos.pipeline.audit_stages import AuditStages
    from tacos.pipeline.scorer_audit import plan_audit
    from tacos.pipeline.tools import make_tools, open_store
    from tacos.usage import Ledger

    data = read_settings(config, overrides)
    data["pool"] = {**(data.get("pool") or {}), "source": pool}
    settings = audit_settings(data, scorer, second, rows, str(pairs) if pairs else None)
    stages, ledger = AuditStages(settings), Ledger()
    store = open_store(settings, retry_failed, verify)
    tools = make_tools(settings, ledger, retry_failed, go_on)
    if plan:
        show_bill(plan_audit(stages, store, tools), as_json)
        return
    _run(stages, store, tools, out, as_json)


def _run(stages: AuditStages, store: ArtifactStore, tools: Tools, out: Path | None, as_json: bool) -> None:
    from eval.report.scores import track_scores, write_score_report
    from tacos.cli.tracked import track_command, track_file
    from tacos.pipeline.folder import check_run_folder, write_config
    from tacos.pipeline.scorer_audit import audit_scorer
    from tacos.store.fingerprint import fingerprint, plain

    settings = stages.settings
    made_from = [stage.fingerprint for stage in stages.targets.values()]
    folder = out or Path(settings.runs) / f"audit-{settings.score.by}-{fingerprint(made_from)[:8]}"
    check_run_folder(folder, Path(settings.artifacts))
    write_config(folder, settings)
    tags = (f"scorer:{settings.score.by}", f"pool:{Path(settings.pool.source).name}")
    tracker = track_command(
        settings.tracking, folder, "audit", folder.name, made_from, plain(settings), tags, tools.ledger
    )
    found = audit_scorer(stages, store, tools)
    written = write_score_report(folder, "Scorer audit", [found])
    if as_json:
        print_json(found.as_json() | {"run_dir": str(folder)})
    else:
        show(found, written.html)
    track_scores(tracker, [found], written)
    track_file(tracker, "results", written.scores)


def show(found: ScorerAudit, report: Path) -> None:
    """The warnings, and then the tables."""
    from eval.report import console
    from eval.report.scores import console_tables, problems_of

    for warning in problems_of(found):
        typer.echo(f"warning: {warning}")
    for table in console_tables(found):
        console.show(table)
    typer.echo(f"report: {report}")


def show_bill(planned: Sequence[PlannedStage], as_json: bool) -> None:
    """What each measure will ask, and all of them."""
    from tacos.cli.planned import expected_cost, passed, spent
    from tacos.usage import Usage

    total = sum((stage.estimate for stage in planned), Usage())
    if as_json:
        print_json({"stages": planned, "total": total})
        return
    for stage in planned:
        state = "done" if stage.cached else "to run"
        read = f"{stage.estimate.forward_tokens:,} tokens read here" if stage.estimate.forward_tokens else ""
        cost = ", ".join(filter(None, (expected_cost(stage.estimate, stage.batch_usd), read)))
        typer.echo(f"{stage.arms[0]:<16} {stage.stage:<10} {stage.fingerprint}  {state:<7} {cost}".rstrip())
    here = f"{passed(total)} here; " if total.forward_tokens else ""
    typer.echo(f"about {here}{spent(total)}")
