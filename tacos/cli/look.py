"""Looking at a finished run: why a sample was taken, or not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tacos.cli.console import AsJson, print_json


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
