"""Writing: whole or not at all, and never over what is not ours."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from tacos.errors import ConfigError, TacosError
from tacos.store.files import read_jsonl, refuse_input_as_output, write_jsonl, write_text


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    target, link = tmp_path / "real.jsonl", tmp_path / "link.jsonl"
    link.symlink_to(target)
    write_text(link, "rows")
    assert link.is_symlink() and target.read_text() == "rows"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link.jsonl", "real.jsonl"]


def test_a_named_pipe_is_written_into(tmp_path: Path) -> None:
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()
    write_text(pipe, "rows")
    reader.join(60)
    assert got == ["rows"] and pipe.is_fifo()


def test_a_device_stays_a_device() -> None:
    write_text(Path("/dev/null"), "rows")
    assert Path("/dev/null").is_char_device()


def test_half_an_emoji_leaves_a_file_that_every_program_reads(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "rows.jsonl", [{"said": "Nice \ud83d", "whole": "\U0001f600"}])
    assert list(read_jsonl(tmp_path / "rows.jsonl")) == [{"said": "Nice \ufffd", "whole": "\U0001f600"}]


def test_a_full_disk_leaves_nothing_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(path: Path, content: bytes) -> None:
        with path.open("wb") as file:
            file.write(content[:2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(TacosError, match="No space left"):
        write_text(tmp_path / "rows.jsonl", "rows")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TacosError, match="cannot write"):
        write_text(tmp_path, "rows")


@pytest.mark.parametrize("how", ["path", "link", "hard link"])
def test_an_output_that_is_an_input_is_refused(how: str, tmp_path: Path) -> None:
    pool, out = tmp_path / "pool.jsonl", tmp_path / "out.jsonl"
    pool.write_text("mine")
    if how == "path":
        out = tmp_path / "x" / ".." / "pool.jsonl"
        (tmp_path / "x").mkdir()
    elif how == "link":
        out.symlink_to(pool)
    else:
        os.link(pool, out)
    with pytest.raises(ConfigError, match="which is read"):
        refuse_input_as_output(out, [None, "builtin", pool])
    assert pool.read_text() == "mine"


def test_any_other_output_is_fine(tmp_path: Path) -> None:
    (tmp_path / "old.jsonl").write_text("an earlier selection")
    refuse_input_as_output(tmp_path / "old.jsonl", [tmp_path / "pool.jsonl", "tatsu-lab/alpaca"])
