"""The README names what exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def mapped() -> set[str]:
    """Folders of the tree in the section "Where things are"."""
    section = README.split("## Where things are")[1].split("\n## ")[0]
    found, top = set(), ""
    for line in section.splitlines():
        if outer := re.match(r"    (\w+/)", line):
            top = outer.group(1)
            found.add(top)
        elif re.match(r"      \w", line):
            names = re.match(r"      ((?:\w+/\s*)+)", line)
            found |= {top + name for name in names.group(1).split()} if names else set()
    return found


def test_the_tree_shows_every_folder_of_code() -> None:
    files = (path for top in ("tacos", "train", "eval") for path in ROOT.glob(f"{top}/*/*.py"))
    folders = {f"{path.parent.relative_to(ROOT)}/" for path in files}
    assert folders <= mapped()


def test_the_tree_shows_what_exists() -> None:
    assert mapped() and all((ROOT / name).is_dir() for name in mapped())


def test_commands_name_files_that_exist() -> None:
    for path in re.findall(r"configs/[\w/]+\.yaml", README):
        assert (ROOT / path).is_file(), path
