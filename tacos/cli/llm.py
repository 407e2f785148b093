"""`tacos llm ...`: batch files, prices, and how fast a server is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tacos.amounts import plural
from tacos.cli.console import AsJson, Overrides, assets, command, dollars, money, print_json, read_settings
from tacos.errors import ConfigError

if TYPE_CHECKING:
    from tacos.llm.probe import Level
    from tacos.pipeline.batch import Export, Imported
    from tacos.pipeline.settings import ExperimentSettings, SelectSettings

app = typer.Typer(no_args_is_help=True, help="Batch files at half price, prices, and what a server can do.")
Config = Annotated[Path, typer.Argument(help="The config of a run or a selection")]


@command(app)
def export(
    config: Config,
    overrides: Overrides = None,
    out: Annotated[Path, typer.Option(help="A new folder for the batch files")] = Path("batch"),
    stage: Annotated[str | None, typer.Option(help="One stage only, such as tag or compare")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the calls a run would pay for next as batch files, which OpenAI answers at half price."""
    from tacos.pipeline.batch import export as write

    made = write(_settings(config, overrides), out, stage, assets())
    if as_json:
        print_json(made)
        return
    typer.echo(_exported(made, out))


def _exported(made: Export, out: Path) -> str:
    then = f"; {', '.join(made.waiting)}: when what comes before is done" if made.waiting else ""
    if not made.requests:
        return f"nothing to export: every call that can be asked now has its reply{then}"
    used = made.estimate
    batch = "" if made.batch_usd is None else f", {dollars(made.batch_usd)} as a batch"
    files = plural(len(made.files), "file")
    return (
        f"{plural(made.requests, 'call')} of {', '.join(made.stages)} in {files} -> {out}{then}\n"
        f"about {used.prompt_tokens + used.completion_tokens:,} tokens, {money(used)}{batch}"
    )


@command(app)
def import_(
    config: Config,
    results: Annotated[list[Path], typer.Option(help="Result files, or folders of them")],
    overrides: Overrides = None,
    exported: Annotated[Path, typer.Option(help="The folder of `tacos llm export`")] = Path("batch"),
    as_json: AsJson = False,
) -> None:
    """Put the results of batch files into the reply cache; the run then asks what is left."""
    from tacos.pipeline.batch import import_results

    found = import_results(_settings(config, overrides), exported, results)
    if as_json:
        print_json(found)
        return
    typer.echo(_imported(found))


def _imported(found: Imported) -> str:
    counts = {
        "imported": found.imported,
        "there before": found.known,
        "repeated": found.duplicate,
        "of another export": found.unknown,
        "unreadable": found.unreadable,
        "failed": found.failed,
    }
    rows = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count or name == "imported")
    cost = "" if found.cost_usd is None else f", {dollars(found.cost_usd)}"
    reasons = "".join(f"\n  {count:,}: {reason}" for reason, count in list(found.reasons.items())[:5])
    return (
        f"{rows}; {plural(found.missing, 'call')} without a reply yet\n"
        f"{found.prompt_tokens + found.completion_tokens:,} tokens{cost}{reasons}"
    )


@command(app)
def prices(
    own: Annotated[Path | None, typer.Option("--prices", help="A price file of your own")] = None,
    as_json: AsJson = False,
) -> None:
    """The prices that costs are told by, per million tokens, with their date."""
    from rich.console import Console
    from rich.table import Table

    from tacos.llm.prices import price_tables

    tables = price_tables(own)
    if as_json:
        print_json({"tables": tables})
        return
    for known in tables:
        where = f" at {known.endpoint}" if known.endpoint else ""
        shown = Table("model", "input", "output", "cached input", "batch", title=f"{known.date}{where}")
        for model, price in known.models.items():
            cached = "-" if price.cached_input is None else f"{price.cached_input:g}"
            batch = "-" if price.batch_discount is None else f"-{price.batch_discount:.0%}"
            shown.add_row(model, f"{price.input:g}", f"{price.output:g}", cached, batch)
        Console().print(shown)


@command(app)
def bench(
    endpoint: Annotated[str, typer.Option(help="Base URL, such as http://127.0.0.1:8000/v1")],
    model: Annotated[str, typer.Option(help="Model name at the endpoint")],
    most: Annotated[int, typer.Option("--max-concurrency", min=1, help="Calls in flight to go up to")] = 256,
    seconds: Annotated[float, typer.Option(min=0.1, help="Time at each concurrency")] = 10.0,
    max_tokens: Annotated[int, typer.Option(min=1, help="Longest reply")] = 200,
    api_key_env: Annotated[str, typer.Option(help="Variable that holds the key")] = "OPENAI_API_KEY",
    api_key_file: Annotated[str | None, typer.Option(help="File that holds the key")] = None,
    structured: Annotated[bool, typer.Option("--structured", help="Send the JSON schema along.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure a server with tagging calls at 1, 2, 4, ... in flight, and recommend a concurrency. Calls are paid."""
    import os

    from tacos.config import parse
    from tacos.data.builtin.build import BuiltinSettings, build
    from tacos.grouping.tagging import TaggingSettings, tag_request
    from tacos.llm.base import Sampling
    from tacos.llm.keys import read_key
    from tacos.llm.probe import measure, passed_over, recommended
    from tacos.llm.settings import LLMSettings

    how = {"api_key_env": api_key_env, "api_key_file": api_key_file, "structured": structured}
    settings = parse(LLMSettings, {"model": model, "endpoint": endpoint, **how})
    tagging = TaggingSettings(sampling=Sampling(temperature=0.6, max_tokens=max_tokens))
    requests = [tag_request(sample, tagging) for sample in build(BuiltinSettings()).pool]
    levels = measure(settings, requests, most, seconds, read_key(settings, os.environ))
    best, why = recommended(levels), passed_over(levels)
    if as_json:
        print_json({"levels": levels, "concurrency": best, "passed_over": why})
        return
    _show(levels, why)
    typer.echo(f"recommended: concurrency: {best}")


def _show(levels: list[Level], why: dict[int, str]) -> None:
    from rich.console import Console
    from rich.table import Table

    heads = ("in flight", "replies", "requests/s", "tokens/s", "p50 s", "p95 s", "errors", "passed over")
    table = Table(*heads, box=None, pad_edge=False, collapse_padding=True)  # narrow enough for 80 columns
    for level in levels:
        table.add_row(
            f"{level.concurrency}",
            f"{level.replies:,}",
            f"{level.requests_per_s:,.1f}",
            f"{level.tokens_per_s:,.0f}",
            f"{level.p50_s:.3f}",
            f"{level.p95_s:.3f}",
            f"{level.errors:,} ({level.failed:.1%})" if level.errors else "0",
            why.get(level.concurrency, ""),
        )
    Console().print(table)
    for error in dict.fromkeys(level.error for level in levels if level.error):
        typer.echo(f"errors: {error}")


def _settings(config: Path, overrides: list[str] | None) -> ExperimentSettings | SelectSettings:
    from tacos.pipeline.settings import run_settings

    settings = run_settings(read_settings(config, overrides))
    if not settings.llms:
        raise ConfigError(f"{config} configures no LLM: batch files are for calls, so add llms.<name>.model")
    return settings
