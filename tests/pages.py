"""The pages of the repository taken apart: code blocks, commands, tables, links, headings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("configs", "eval", "scripts", "tacos", "tests", "train")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Page:
    """One README.md, or the page that `tacos init` writes."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def prose(self) -> str:
        """Without fenced blocks."""
        return FENCED.sub("", self.text)

    def blocks(self, language: str) -> list[str]:
        """Fenced blocks of a language, in order."""
        return [body for name, body in FENCED.findall(self.text) if name == language]

    @property
    def commands(self) -> Iterator[list[str]]:
        """The words of every line of a bash block, without its comment."""
        for block in self.blocks("bash"):
            for line in block.splitlines():
                if words := shlex.split(line, comments=True):
                    yield words

    @property
    def links(self) -> list[str]:
        """Targets inside the repository."""
        return [target for target in LINK.findall(self.prose) if "://" not in target]

    @cached_property
    def anchors(self) -> set[str]:
        """What GitHub makes of its headings."""
        titles = HEADING.findall(self.prose)
        return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}

    def table(self, head: str) -> list[list[str]]:
        """The rows under the table head that begins with `head`, as cells. Raises: KeyError where there is none."""
        found = re.search(rf"^\| {re.escape(head)} \|.*\n\| ---.*\n((?:\|.*\n)+)", self.text, re.MULTILINE)
        if found is None:
            raise KeyError(f"{self} has no table {head!r}")
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in found[1].splitlines()]


README = Page(ROOT / "README.md")
MANUAL = [Page(path) for top in FOLDERS for path in sorted((ROOT / top).rglob("README.md"))]
PAGES = [README, *MANUAL, Page(ROOT / "tacos" / "cli" / "init.md")]


def page(folder: str) -> Page:
    return Page(ROOT / folder / "README.md")
