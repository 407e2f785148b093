"""What `tacos plan` prints, and how money, calls and passes are written wherever they are told."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tacos.amounts import plural
from tacos.cli.console import assets, dollars, money, print_json
from tacos.errors import ConfigError

if TYPE_CHECKING:
    from tacos.models.speed import Expected
    from tacos.pipeline.matrix import MatrixCell
    from tacos.pipeline.plan import GridRow, PlannedStage
    from tacos.pipeline.power import Finding
    from tacos.pipeline.settings import ExperimentSettings
    from tacos.usage import Usage


def show_plan(
    data: Mapping[str, Any],
    as_json: bool,
    wanted: Sequence[str] = (),
    like: Path | None = None,
    timed: bool = False,
    on_ray: bool = False,
) -> None:
    """data: of an experiment, with a matrix or without, or of a selection. wanted: differences, "exact_match=3"; like:
    a finished run whose variation they are planned with; timed: whether models of this machine are measured. on_ray:
    tell where each stage would run, too."""
    from tacos.pipeline.controls import added_line
    from tacos.pipeline.matrix import cells
    from tacos.pipeline.plan import grid, hours, plan, plan_cells, without_hours
    from tacos.pipeline.settings import run_settings
    from tacos.usage import Usage

    found = cells(data) if "arms" in data or "matrix" in data else []
    stages = plan_cells(found, assets(), timed) if found else plan(run_settings(data), timed=timed)
    if on_ray:
        stages = _placed(stages, found)
    power = _power(found[0].settings, wanted, like) if found and found[0].settings.train else []
    grids = [(cell.name, grid(cell.settings, assets())) for cell in found]
    if as_json:
        said = {
            "stages": stages,
            "total": sum((s.estimate for s in stages), Usage()),
            "hours": hours(stages) if timed else None,
            "without_hours": without_hours(stages),
            "power": power,
        }
        print_json(said | ({"grid": [{"cell": name, "arms": rows} for name, rows in grids]} if grids else {}))
        return
    if line := added_line(data):
        typer.echo(line)
    for name, rows in grids:
        show_grid(name, rows)
    stopped = [f"{stage.stage}: a run stops here: {stage.stopped}" for stage in stages if stage.stopped]
    told = (*_stage_lines(stages, timed), *_bills(stages), *stopped, *_downloads(data), *_findings(power))
    for line in told:
        typer.echo(line)


def _stage_lines(stages: Sequence[PlannedStage], timed: bool) -> Iterator[str]:
    """A line for each stage, and their sum."""
    from tacos.pipeline.plan import hours, without_hours
    from tacos.usage import Usage

    widest, local = max(10, *(len(s.stage) for s in stages)), any(s.passes for s in stages)
    yield from (_line(s, widest, local, timed).rstrip() for s in stages)
    total, here = sum((s.estimate for s in stages), Usage()), ""
    if timed:
        yield from _speeds(stages) or ["--hours: no stage to run reads rows with a model of this machine"]
    if total.forward_tokens and timed:
        here = f"{passed(total)} here, {_took(hours(stages))}{_but(without_hours(stages))}; "
    elif total.forward_tokens:
        here = f"{total.forward_tokens:,} tokens here (--hours tells how long); "
    yield f"{sum(not s.cached for s in stages)} of {len(stages)} stages to run; about {here}{spent(total)}"


def _bills(stages: Sequence[PlannedStage]) -> Iterator[str]:
    """A line for each bill that earlier runs put something on and a cap holds, where calls are to come."""
    found = {s.on_bill.bill: s.on_bill for s in stages if s.on_bill and s.estimate.calls}
    for bill in found.values():
        if bill.spent_tokens:
            yield f"already on the bill {bill.bill}: {bill.described}"


def _downloads(data: Mapping[str, Any]) -> Iterator[str]:
    """The embedding models that the settings name and this machine does not have."""
    from tacos.models.named import folder_of, named

    for path, model in named(data):
        if folder_of(model) is None:
            yield f"{path}: {model} is not on this machine: a run downloads it from the hub"


def _placed(stages: Sequence[PlannedStage], found: Sequence[MatrixCell]) -> list[PlannedStage]:
    """Raises: ConfigError for a selection, which no cluster runs."""
    from tacos.pipeline.place import placed

    if not found:
        raise ConfigError("--executor ray is for an experiment, with `arms`: a selection runs here")
    return placed(stages, found, assets())


def _power(settings: ExperimentSettings, wanted: Sequence[str], like: Path | None) -> list[Finding]:
    """Raises: ConfigError for a difference that is no NAME=NUMBER above 0."""
    from eval.report.format import UNITS
    from eval.results import RESULTS, load_results
    from tacos.pipeline.power import findings, measures_of

    units = {measure.name: UNITS[measure.unit].factor for measure in measures_of(settings)}
    asked = {}
    for text in wanted:
        name, _, value = text.partition("=")
        if not re.fullmatch(r"\d*\.?\d+", value) or not float(value):
            raise ConfigError(
                f"--difference {text}: give a measure and a number above 0, as in exact_match=3"
            )
        asked[name] = float(value) / units.get(name, 1.0)
    return findings(settings, asked, load_results(like / RESULTS) if like else None)


def _findings(power: Sequence[Finding]) -> Iterator[str]:
    """The smallest difference that each measure finds, and what the wanted ones need."""
    from eval.report.format import UNITS

    if not power:
        return
    yield "the smallest differences that 80% of repeats find:"
    for one in power:
        form, seeds, spread = UNITS[one.unit], plural(one.seeds, "seed"), one.variation
        sds = [("questions", spread.question), ("chance", spread.chance), ("seeds", spread.seed)]
        said = "standard deviations: " + ", ".join(f"{name} {form.inside(sd)}" for name, sd in sds if sd)
        least = f"{form.inside(one.smallest)} {form.difference_in}".strip()
        more = "" if spread.seed is not None else "; more where seeds differ"
        yield f"  {one.measure}: {least} with {one.questions:,} questions and {seeds} ({said}{more})"
        if one.wanted:
            ways = (
                "no number of questions" if one.questions_for is None else f"{one.questions_for:,} questions"
            )
            ways += f" with {seeds}"
            if spread.seed is not None:
                enough = "no number of seeds" if one.seeds_for is None else plural(one.seeds_for, "seed")
                ways += f", {enough} with {one.questions:,} questions"
            yield f"    for {form.inside(one.wanted)} {form.difference_in}".rstrip() + f": {ways}"
    if power[0].seeds < 3:
        yield "  fewer than 3 seeds say nothing of a method"


def show_grid(cell: str, rows: Sequence[GridRow]) -> None:
    """Arms by stages: what is done, and what is to do. cell: "" without a matrix."""
    columns = list(dict.fromkeys(stage for row in rows for stage in row.stages))
    widest = max(len(cell), *(len(row.arm) for row in rows))
    typer.echo(f"{cell:<{widest}}  " + "  ".join(f"{name:<16}" for name in columns).rstrip())
    for row in rows:
        told = (_count(*row.stages[name]) if name in row.stages else "-" for name in columns)
        typer.echo(f"{row.arm:<{widest}}  " + "  ".join(f"{text:<16}" for text in told).rstrip())
    typer.echo()


def _count(done: int, total: int) -> str:
    """ "3 to do", "3 (1 done)", "done"."""
    if done == total:
        return "done"
    return f"{total} ({done} done)" if done else f"{total} to do"


def _line(s: PlannedStage, widest: int, local: bool, timed: bool) -> str:
    """local: whether tokens that models of this machine read have a column of their own; timed: and hours."""
    state = "done" if s.cached else "to run"
    cost = _passes(s.passes, timed) if local else ""
    cost += expected_cost(s.estimate, s.batch_usd)
    return f"{s.stage:<{widest}} {s.fingerprint}  {state:<7} {_shared(s.arms):<24} {_where(s)}{cost}"


def _where(s: PlannedStage) -> str:
    return "" if s.where is None else f"{s.where:<19} "


def _passes(passes: Expected | None, timed: bool) -> str:
    tokens = f"{passes.forward_tokens:>12,} tokens" if passes else f"{'':>19}"
    if not timed:
        return f"{tokens}  "
    time = "" if passes is None else "hours unknown" if passes.hours is None else _took(passes.hours)
    return f"{tokens} {time:>13}  "


def _speeds(stages: Sequence[PlannedStage]) -> list[str]:
    """A line for each model: its size, and where its hours come from."""
    found = {(s.passes.model, s.passes.parameters): s.passes for s in stages if s.passes}
    return [_speed(passes) for passes in found.values()]


def _speed(passes: Expected) -> str:
    size = "" if passes.parameters is None else f", {passes.parameters:,} parameters at work"
    return f"hours of {passes.model}{size}: {passes.speed}"


def _but(unknown: Sequence[str]) -> str:
    return f" and what {', '.join(dict.fromkeys(unknown))} will take" if unknown else ""


def _took(hours: float) -> str:
    """ "0.4 s", "12 min 3 s", "31 h 5 min"."""
    from eval.report.format import duration

    return duration(hours * 3600)


def _shared(arms: Sequence[str]) -> str:
    """ "tacos/seed0", or "12 arms" where several rest on one stage."""
    return arms[0] if len(arms) == 1 else f"{len(arms)} arms" if arms else ""


def spent(usage: Usage) -> str:
    """ "12,000 calls, 5,300,000 tokens, $1.80"; a price that is not known is said."""
    tokens = usage.prompt_tokens + usage.completion_tokens
    return f"{plural(usage.calls, 'call')}, {tokens:,} tokens, {money(usage)}"


def passed(usage: Usage) -> str:
    """ "5,300,000 tokens, 1.1e14 FLOPs"."""
    from eval.report.format import flops

    return f"{usage.forward_tokens:,} tokens, {flops(usage.flops)} FLOPs"


def expected_cost(usage: Usage, batch_usd: float | None) -> str:
    """ "12,000 calls, $1.80 ($0.90 as batch files), 300 in the cache"; empty for a stage that asks nothing."""
    if not usage.calls and not usage.cached_calls:
        return ""
    batch = "" if batch_usd is None or not usage.calls else f" ({dollars(batch_usd)} as batch files)"
    known = f", {usage.cached_calls:,} in the cache" if usage.cached_calls else ""
    return f"{plural(usage.calls, 'call')}, {money(usage)}{batch}{known}"
