"""The README's map shows every module, and only what exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def mapped() -> set[str]:
    section = (
        (ROOT / "README.md").read_text(encoding="utf-8").split("## Where things are")[1].split("\n## ")[0]
    )
    found, folder = set(), ""
    for line in section.splitlines():
        if top := re.match(r"    (\S+/)", line):
            folder = top.group(1)
        elif entry := re.match(r"      (\S+)", line):
            found.add(folder + entry.group(1))
    return found


def test_the_map_shows_every_module() -> None:
    modules = {
        str(path.relative_to(ROOT))
        for top in ("tacos", "train", "eval", "scripts")
        for path in (ROOT / top).rglob("*.py")
        if path.name != "__init__.py"
    }
    assert not [name for name in sorted(modules) if not any(Path(name).match(entry) for entry in mapped())]


def test_the_map_shows_what_exists() -> None:
    for name in mapped():
        assert list(ROOT.glob(name)), name


def test_commands_name_files_that_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for path in re.findall(r"configs/[\w/]+\.yaml", text):
        assert (ROOT / path).is_file(), path
