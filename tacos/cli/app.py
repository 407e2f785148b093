"""The command line: thin commands that parse, call, and say where results went.

Logs and progress go to stderr. With `--json` the last thing on stdout is one JSON object. Exit codes:
0 success, 1 a failure with one clear line, 2 bad usage or config, 130 stopped by Ctrl-C (run again to
go on). Heavy imports happen inside the command that needs them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from tacos.amounts import plural
from tacos.cli.audit import audit
from tacos.cli.console import (
    EXECUTORS,
    AsJson,
    Executor,
    GoOn,
    Hours,
    Overrides,
    Replay,
    RetryFailed,
    Smoke,
    Verify,
    command,
    one_of,
    print_json,
    read_settings,
    version,
)
from tacos.cli.eval import app as eval_app
from tacos.cli.init import init
from tacos.cli.iqs import app as iqs_app
from tacos.cli.llm import app as llm_app
from tacos.cli.lm_tasks import lm_eval
from tacos.cli.look import compare, export, show, view
from tacos.cli.planned import passed, spent

app = typer.Typer(
    callback=version,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"max_content_width": 110},
    rich_markup_mode=None,  # its boxes take longer to import than all of the command line
    help="Select instruction-tuning data, fine-tune on it, judge the model, report what the selection bought.",
)
command(eval_app)(lm_eval)
for elsewhere in (init, show, compare, export, view, audit):
    command(app)(elsewhere)
app.add_typer(eval_app, name="eval")
app.add_typer(iqs_app, name="iqs")
app.add_typer(llm_app, name="llm")


@command(app)
def run(
    config: Path,
    overrides: Overrides = None,
    retry_failed: RetryFailed = False,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop at the first arm that fails; else the others go on")
    ] = False,
    max_cost: Annotated[
        float | None,
        typer.Option(help="Refuse to start where the plan's calls cost more USD than this", min=0),
    ] = None,
    smoke: Smoke = False,
    replay: Replay = False,
    executor: Executor = "here",
    verify: Verify = False,
    go_on: GoOn = False,
    as_json: AsJson = False,
) -> None:
    """Run a whole experiment: select, train, answer, judge, report. Finished stages are not run again."""
    from tacos.cli.cells import How, run_all
    from tacos.pipeline.matrix import cells, swept

    on_ray = one_of("--executor", executor, EXECUTORS) == "ray"
    told = swept(overrides or [])
    data = told.within(read_settings(config, told.overrides, smoke))
    ray = os.environ.get("RAY_ADDRESS", "auto") if on_ray else None
    run_all(data, cells(data), How(retry_failed, fail_fast, max_cost, as_json, replay, ray, verify, go_on))


@command(app)
def plan(
    config: Path,
    overrides: Overrides = None,
    smoke: Smoke = False,
    difference: Annotated[
        list[str] | None,
        typer.Option(help="What is looked for, as in exact_match=3: says the questions or seeds it needs"),
    ] = None,
    like: Annotated[
        Path | None, typer.Option(help="A finished run, to take how far questions and seeds lie apart")
    ] = None,
    hours: Hours = False,
    executor: Executor = "here",
    as_json: AsJson = False,
) -> None:
    """List the stages of an experiment or a selection, which are done, what the rest costs, and what it can find."""
    from tacos.cli.planned import show_plan
    from tacos.pipeline.matrix import swept

    on_ray = one_of("--executor", executor, EXECUTORS) == "ray"
    told = swept(overrides or [])
    data = told.within(read_settings(config, told.overrides, smoke))
    show_plan(data, as_json, difference or (), like, hours, on_ray)


@command(app)
def select(
    pool: Annotated[str, typer.Argument(help='A file, a hub id, or "builtin"')],
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option(help="The selected rows: .jsonl, .json or .parquet")] = Path(
        "selection.jsonl"
    ),
    method: Annotated[str | None, typer.Option(help="A method of `tacos methods`")] = None,
    budget: Annotated[int | None, typer.Option(help="Rows to select; 1,000 when unset", min=1)] = None,
    config: Annotated[Path | None, typer.Option(help="Settings, such as configs/select/tacos.yaml")] = None,
    keep_columns: Annotated[
        list[str] | None, typer.Option(help="Further columns that go along into the selection; * for all")
    ] = None,
    retry_failed: RetryFailed = False,
    verify: Verify = False,
    go_on: GoOn = False,
    as_json: AsJson = False,
) -> None:
    """Select rows of a pool with one method."""
    from tacos.config import parse
    from tacos.pipeline.select import select as run_select
    from tacos.pipeline.settings import SelectSettings
    from tacos.store.files import refuse_input_as_output

    refuse_input_as_output(out, [config])
    data = read_settings(config, overrides)
    data["pool"] = {**(data.get("pool") or {}), "source": pool}  # not as YAML: a file may have any name
    if keep_columns:
        data["pool"]["read"] = {**(data["pool"].get("read") or {}), "keep_columns": keep_columns}
    data |= {key: value for key, value in {"method": method, "budget": budget}.items() if value is not None}
    report = run_select(parse(SelectSettings, data), out, retry_failed, verify, go_on)
    if as_json:
        print_json(report)
        return
    typer.echo(
        f"{report.method} selected {report.selected:,} of {report.pool:,} rows ({report.dropped:,} dropped) "
        f"in {report.seconds:.1f} s -> {report.out}; run: {report.run_dir}"
    )
    if report.usage.calls or report.paid_now.calls:
        typer.echo(f"it rests on {spent(report.usage)}; this run paid {spent(report.paid_now)}")
    if report.usage.forward_tokens:
        typer.echo(f"models of this machine read {passed(report.usage)}")
    if report.unanswered:
        typer.echo(
            f"answers missing, or not readable: {report.unanswered:,}; --retry-failed asks for them again"
        )
    if report.scorer:
        from eval.report.scorers import card_line

        typer.echo(f"scorer {card_line(report.scorer)}")
    if report.dropped:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in report.dropped_reasons.items())
        typer.echo(f"dropped: {reasons}; each row: {report.run_dir}/artifacts/load/dropped.jsonl")
    typer.echo(f"every row and why: tacos view {report.run_dir}; one: tacos show {report.run_dir} ID")


@command(app)
def train(config: Path, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Fine-tune a model on a selection, or on any file of samples; over several processes if the config says so."""
    from tacos.config import parse
    from train.launch import fine_tune
    from train.settings import TrainRun

    settings = parse(TrainRun, read_settings(config, overrides))
    trained, model = fine_tune(settings), Path(settings.out) / "model"
    if as_json:
        print_json({"out": str(model), "trained": trained})
        return
    typer.echo(
        f"{trained.samples:,} samples, {trained.epochs:.3g} epochs in {trained.steps:,} steps, "
        f"{trained.loss_tokens:,} loss tokens, final loss {trained.final_loss:.3f} "
        f"in {trained.seconds:.1f} s -> {model}"
    )


@command(app)
def generate(
    model: Annotated[str, typer.Option(help="Hub id, folder, or a name under `llms` with answering.by=llm")],
    questions: Annotated[Path, typer.Option(help="JSONL of questions (FastChat's form or a similar one)")],
    out: Annotated[Path, typer.Option(help="Where the answers go, as JSONL")],
    overrides: Overrides = None,
    name: Annotated[str | None, typer.Option(help="What the model is called; --model when unset")] = None,
    temperature: Annotated[float, typer.Option(min=0)] = 0.0,
    max_new_tokens: Annotated[int, typer.Option(min=1)] = 1024,
    style: Annotated[str, typer.Option(help='"answers" (our rows) or "fastchat"')] = "answers",
    replace: Annotated[
        bool, typer.Option("--replace", help="Drop answers of another model or other settings.")
    ] = False,
    config: Annotated[Path | None, typer.Option(help="Settings, such as configs/eval/local.yaml")] = None,
    seed: int = 0,
    as_json: AsJson = False,
) -> None:
    """Answer a file of questions with a model; resumes where an earlier run stopped."""
    from eval.questions import read_questions
    from tacos.answering.candidate import GenerateSettings
    from tacos.cli.eval import evaluation
    from tacos.cli.tracked import track_answers, track_generation
    from tacos.store.files import refuse_input_as_output

    refuse_input_as_output(out, [questions, config])
    chosen: Any = one_of("--style", style, ("answers", "fastchat"))
    run = evaluation(config, [*(overrides or []), f"seed={seed}"])
    how = GenerateSettings(temperature=temperature, max_new_tokens=max_new_tokens)
    asked = read_questions(questions)
    tracker = track_generation(run, model, questions, how, asked, out)
    made = run.answer(model, name or model, asked, how, out, chosen, replace)
    track_answers(tracker, asked, made, out)
    if as_json:
        counts = {"answers": len(made.answers), **made.model_dump(exclude={"answers"})}
        print_json(counts | {"out": str(out)})
    else:
        lacks = f", {len(made.failed):,} failed" if made.failed else ""
        typer.echo(
            f"{plural(len(made.answers), 'answer')} ({made.kept:,} from an earlier run{lacks}) -> {out}"
        )
        if faults := made.faults.describe():
            typer.echo(f"note: {faults}")
        if made.faults.reasoned:
            begun = plural(made.faults.reasoned, "reply", "replies")
            typer.echo(f"note: {begun} began with a reasoning block, which is left out")
    if made.failed:
        raise typer.Exit(1)


@command(app)
def methods(as_json: AsJson = False) -> None:
    """List the selection methods with their three parts."""
    from tacos.cli.catalog import list_methods

    list_methods(as_json)


@command(app)
def parts(as_json: AsJson = False) -> None:
    """List groupers, scorers and allocators: what a recipe is put together from."""
    from tacos.cli.catalog import list_parts

    list_parts(as_json)


@command(app)
def report(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN")],
    tables: Annotated[
        Path | None, typer.Option(help="Write only the tables (Markdown, CSV, LaTeX), into this folder")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the report of a finished run again, from its results.json."""
    from eval.report.experiment import write_report, write_tables
    from eval.report.page import PAGE_FILE
    from eval.results import RESULTS, load_results

    results = load_results(run_dir / RESULTS)
    if tables is not None:
        made = write_tables(results, tables)
        print_json({"tables": [str(path) for path in made]}) if as_json else typer.echo(f"tables: {tables}")
        return
    written = write_report(results, run_dir, linked=(run_dir / PAGE_FILE).is_file())
    if as_json:
        print_json({"html": str(written.html), "markdown": str(written.markdown)})
    else:
        typer.echo(f"report: {written.html}")


@command(app)
def doctor(
    overrides: Overrides = None,
    config: Annotated[
        Path | None, typer.Option(help="A config whose models are looked for, LLMs by a tiny call each")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check this installation: versions, configs, devices, the embedding model, W&B; with --config, its models too."""
    from tacos.doctor import checks, embedder_checks, llm_checks

    data = read_settings(config, overrides)
    found = checks() + embedder_checks(data) + llm_checks(data.get("llms") or {}, data.get("prices"))
    if as_json:
        print_json({"checks": found})
    else:
        for check in found:
            typer.echo(f"{'ok  ' if check.ok else 'FAIL'} {check.name}: {check.detail}")
    if not all(check.ok for check in found):
        raise typer.Exit(1)
