"""Looking at runs: a local page; why a sample was taken, or not; what differs between two arms; files
for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tacos.cli.console import AsJson, one_of, print_json


def show(
    run_dir: Annotated[
        Path, typer.Argument(metavar="RUN", help="The folder of a run, such as runs/quickstart")
    ],
    sample_id: Annotated[str, typer.Argument(help="The id of a row of its pool")],
    as_json: AsJson = False,
) -> None:
    """Why a sample was selected, or not: its text, tags, groups, comparisons, score and place in every arm."""
    from tacos.viewing.run_folder import RunFolder
    from tacos.viewing.story import tell
    from tacos.viewing.words import lines

    story = tell(RunFolder(run_dir), sample_id)
    if as_json:
        print_json(story)
        return
    for line in lines(story):
        typer.echo(line)


def compare(
    a: Annotated[
        str, typer.Argument(metavar="RUN[:ARM]", help="A run, or one of its arms, as runs/quickstart:tacos")
    ],
    b: Annotated[str, typer.Argument(metavar="RUN[:ARM]", help="What it is held against")],
    out: Annotated[Path | None, typer.Option(help="A folder for report, tables and JSON")] = None,
    as_json: AsJson = False,
) -> None:
    """What differs between two arms: settings, rows, and every measure with its paired difference."""
    from eval.report.scores import report_of, write_score_report
    from tacos.cli.scores import show as show_scores
    from tacos.viewing.sides import compare as compare_arms

    found = compare_arms(a, b)
    written = write_score_report(out, f"{a} beside {b}", found) if out else None
    if as_json:
        print_json({"compared": found})
        return
    for one in found:
        typer.echo(report_of(one).headline(one))
    show_scores(found, written.html if written else None)


def export(
    arm: Annotated[str, typer.Argument(metavar="RUN[:ARM]", help="An arm, as runs/quickstart:tacos")],
    to: Annotated[str, typer.Option(help="llama-factory, trl, or datasets")],
    out: Annotated[Path, typer.Option(help="The folder that is written into")],
    seed: Annotated[int | None, typer.Option(help="Of several seeds; the first when unset")] = None,
    name: Annotated[str | None, typer.Option(help="Of the dataset; run and arm when unset")] = None,
    as_json: AsJson = False,
) -> None:
    """A selection as files for another tool; nothing is uploaded."""
    from tacos.viewing.export import FORMS
    from tacos.viewing.export import export as write
    from tacos.viewing.run_folder import named_arm

    one_of("--to", to, tuple(FORMS))
    folder, own = named_arm(arm, seed)
    made = write(own, to, out, name or f"{folder.path.name}-{own.arm}")
    if as_json:
        print_json(made)
        return
    typer.echo(f"{made.rows:,} rows -> {', '.join(map(str, made.files))}")
    if made.context_only:
        typer.echo(
            f"note: {made.context_only:,} assistant turns are context only here; the other tool will train on them"
        )


def view(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[RUN]...", help="Folders of runs, or one of many runs; runs/ when unset"),
    ] = None,
    port: Annotated[int, typer.Option(help="On 127.0.0.1; 0 for any that is free", min=0, max=65535)] = 8321,
    bundle: Annotated[
        Path | None,
        typer.Option(help="Write the page as files into this folder, to be opened without a server"),
    ] = None,
    samples: Annotated[int, typer.Option(help="The most samples of a run that a bundle holds", min=1)] = 5000,
    as_json: AsJson = False,
) -> None:
    """A local page over runs, live while they work: arms, samples with what decided on them, a map, answers. It
    changes nothing."""
    from tacos.viewing.shelf import Shelf

    found = Shelf(runs or [])
    if bundle:
        from tacos.viewing.bundle import write_bundle

        page = write_bundle(found, bundle, samples)
        print_json({"bundle": str(page), "runs": list(found)}) if as_json else typer.echo(f"bundle: {page}")
        return
    from tacos.viewing.server import serve

    def tell(url: str) -> None:
        print_json({"url": url, "runs": list(found)}) if as_json else typer.echo(
            f"view: {url} (Ctrl-C ends it)"
        )

    serve(found, port, tell)
