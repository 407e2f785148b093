"""`tacos init`: a folder to start from, with the configs that tacos ships and a page that says what to change."""

from __future__ import annotations

from pathlib import Path

import typer

from tacos.cli.console import AsJson, print_json
from tacos.errors import ConfigError

PAGE = "README.md"


def init(folder: Path, as_json: AsJson = False) -> None:
    """Copy the configs that tacos ships into a folder, with a page that says what to change first."""
    from tacos.shipped import FOLDER
    from tacos.store.files import write_bytes

    texts = contents()
    if there := [name for name in texts if (folder / name).exists()]:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise ConfigError(f"{folder / there[0]}{more} would be replaced: give a folder without such files")
    for name, text in texts.items():
        write_bytes(folder / name, text)
    if as_json:
        print_json({"folder": str(folder), "files": list(texts)})
        return
    typer.echo(f"{len(texts) - 1} configs -> {folder / FOLDER}; what to change first: {folder / PAGE}")


def contents() -> dict[str, bytes]:
    """Path inside the folder -> what is written there."""
    from importlib import resources

    from tacos.shipped import FOLDER, files
    from tacos.shipped import folder as shipped

    made = {PAGE: (resources.files("tacos.cli") / "init.md").read_bytes()}
    return made | {
        f"{FOLDER}/{file.relative_to(shipped()).as_posix()}": file.read_bytes() for file in files()
    }
