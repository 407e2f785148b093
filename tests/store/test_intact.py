"""Damaged artifacts are not reused: every flipped bit of a finished selection, and files that are gone or cut off."""

from __future__ import annotations

import logging
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tacos.config import parse
from tacos.pipeline.select import select
from tacos.pipeline.settings import SelectSettings
from tacos.stage import DONE
from tacos.store.intact import damage, listing

FLIPS = 40


class Selection:
    """A selection that is done, and what it wrote."""

    def __init__(self, folder: Path):
        self.folder = folder
        where = {"artifacts": str(folder / "artifacts"), "runs": str(folder / "runs")}
        pool = {"source": "builtin", "builtin": {"size": 120, "test_size": 10, "corpus_size": 10}}
        score = {"by": "length"}
        self.settings = parse(
            SelectSettings,
            {"pool": pool, "method": "longest", "score": score, "budget": 12, "train": None, **where},
        )
        self.first = self.run()

    def run(self, verify: bool = False) -> bytes:
        select(self.settings, self.folder / "out.jsonl", verify=verify)
        return (self.folder / "out.jsonl").read_bytes()

    def files(self) -> list[Path]:
        """Of finished stages, but what says that they are."""
        found = sorted((self.folder / "artifacts").glob("*/*/*"))
        return [path for path in found if path.is_file() and path.name != DONE]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Selection:
    return Selection(tmp_path_factory.mktemp("done"))


@pytest.fixture
def selection(done: Selection) -> Iterator[Selection]:
    yield done
    assert done.run() == done.first


def test_no_flipped_bit_changes_a_selection(selection: Selection, caplog: pytest.LogCaptureFixture) -> None:
    rng = random.Random(7)
    for _ in range(FLIPS):
        path = rng.choice([file for file in selection.files() if file.stat().st_size])
        content = bytearray(path.read_bytes())
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(content)
        caplog.clear()
        assert selection.run() == selection.first
        assert f"{path.name} is not what was written): it is done again" in caplog.text


def test_a_flip_that_left_the_time_is_found_by_reading_all(
    selection: Selection, caplog: pytest.LogCaptureFixture
) -> None:
    path = next(path for path in selection.files() if path.name == "selection.jsonl")
    before, content = path.stat(), bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert selection.run(verify=True) == selection.first
    assert "selection.jsonl is not what was written" in caplog.text


def test_a_file_that_is_gone_or_cut_off_comes_back(
    selection: Selection, caplog: pytest.LogCaptureFixture
) -> None:
    for path in selection.files():
        path.unlink()
        selection.run()
        assert path.is_file() and f"{path.name} is missing" in caplog.text
        content = path.read_bytes()
        if content:
            path.write_bytes(content[:-1])
            selection.run()
            assert (
                path.read_bytes() == content and f"{path.name} has {len(content) - 1:,} bytes" in caplog.text
            )


def test_copied_artifacts_are_as_good(selection: Selection, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    root = selection.folder / "artifacts"
    shutil.copytree(root, selection.folder / "copy", copy_function=shutil.copyfile)
    shutil.rmtree(root)
    (selection.folder / "copy").rename(root)
    assert selection.run() == selection.first and ": start" not in caplog.text


def test_a_listing_names_every_file(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "w").write_bytes(b"abc")
    (tmp_path / DONE).write_text("{}")
    found = listing(tmp_path, (DONE,))
    assert list(found) == ["model/w"] and found["model/w"].size == 3
    assert damage(tmp_path, found, every=True) is None
    assert damage(tmp_path / "model", found) == "model/w is missing"
