"""Configs that come with tacos: `configs/` of the repository, which an installed one has in itself.

A config is named by its file, or by what is left of a shipped one's without folder and ending:

    find("mine.yaml"), find("quickstart"), find("experiments/size_curve"), find("configs/deepspeed/zero3.json")

The working folder goes first, then its `configs/` (what `tacos init` writes), then what is shipped.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from tacos.errors import ConfigError

FOLDER = "configs"
YAML, JSON = ".yaml", ".json"


@cache
def folder() -> Path:
    """Where the shipped configs are: in the package, or beside it in a checkout.

    Raises: ConfigError where they are missing.
    """
    package = Path(__file__).parent
    for place in (package / FOLDER, package.parent / FOLDER):
        if (place / f"quickstart{YAML}").is_file():
            return place
    raise ConfigError(f"the configs of tacos are in neither {package} nor {package.parent}: install it again")


def names() -> list[str]:
    """What `find` knows wherever it is called, such as "quickstart" and "deepspeed/zero3.json"."""
    return sorted(_name(file.relative_to(folder())) for file in files())


def files() -> Iterator[Path]:
    """The shipped configs, without the page of the manual beside them."""
    return (file for ending in (YAML, JSON) for file in sorted(folder().rglob(f"*{ending}")))


def find(named: str | Path) -> Path:
    """The file of a config. Raises: ConfigError with the nearest shipped name where there is none."""
    given = Path(named)
    if os.path.isfile(given):  # pathlib raises where a text is too long for a name
        return given
    if not given.is_absolute() and ".." not in given.parts:
        inside = Path(*given.parts[1:]) if given.parts[:1] == (FOLDER,) else given
        spelled = (place / name for place in (Path(FOLDER), folder()) for name in (inside, f"{inside}{YAML}"))
        if found := next((file for file in spelled if os.path.isfile(file)), None):
            return found
    raise ConfigError(f"no config file {named}: {_near(given)}")


def _name(inside: Path) -> str:
    return inside.as_posix().removesuffix(YAML)


def _near(given: Path) -> str:
    """Names are near by their last part too: "ablation" is near "experiments/ablation_builtin"."""
    known = {name.rpartition("/")[2]: name for name in names()} | {name: name for name in names()}
    close = get_close_matches(_name(given).removeprefix(f"{FOLDER}/"), known, n=1, cutoff=0.5)
    if close:
        return f"did you mean {known[close[0]]!r}, which tacos ships?"
    return "give the path of a YAML file, or a name such as quickstart; `tacos init DIR` writes all that tacos ships"
