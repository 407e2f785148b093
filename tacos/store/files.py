"""Reading and writing the small files of a run; a file is whole or absent, never half written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tacos.errors import ConfigError, TacosError
from tacos.store.fingerprint import plain
from tacos.text import whole_characters


def write_text(path: Path, text: str) -> None:
    """Write as UTF-8, which any program can read: half an emoji becomes U+FFFD. See `write_bytes`."""
    try:
        content = text.encode()
    except UnicodeEncodeError:
        content = whole_characters(text).encode()
    write_bytes(path, content)


def write_bytes(path: Path, content: bytes) -> None:
    """Write through a temporary name, so that a kill or a full disk leaves the old file.

    A link is followed: the file it points to is written, and the link stays. What is not a regular file (a device, a
    named pipe) is written into and never replaced.

    Raises: TacosError naming the path when the disk is full or the folder cannot be written.
    """
    partial: Path | None = None
    try:
        target = path.resolve()
        if target.exists() and not target.is_file():
            with target.open("wb") as special:
                special.write(content)
            return
        partial = target.with_name(f"{target.name}.{os.getpid()}.tmp")
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        partial.replace(target)
    except OSError as error:
        if partial is not None:
            with suppress(OSError):
                partial.unlink()
        raise cannot_write(path, error) from error


def refuse_input_as_output(out: Path, inputs: Iterable[str | Path | None]) -> None:
    """Raises: ConfigError when `out` is one of the files that are read, by whatever path or link."""
    for given in inputs:
        if given is not None and out.exists() and os.path.exists(given) and out.samefile(given):
            raise ConfigError(f"{out} is {given}, which is read: give the output another name")


def cannot_write(path: Path, error: OSError) -> TacosError:
    """The one message for a folder that takes no files: read-only, full, or not a folder."""
    return TacosError(f"cannot write {path}: {error.strerror or error}; free space or choose another folder")


def write_json(path: Path, value: Any) -> None:
    """Write a value, pydantic models in it too, indented. Raises: TacosError as `write_bytes`."""
    write_text(path, json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Raises: OSError, or ValueError for what is not JSON."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a row a line. Raises: TacosError as `write_bytes`."""
    write_text(path, "".join(json.dumps(plain(row), ensure_ascii=False) + "\n" for row in rows))


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """The rows; blank lines are passed over. Raises: OSError, or ValueError at a line that is not JSON."""
    with path.open(encoding="utf-8") as handle:
        for line in handle:
            if line.strip():
                yield json.loads(line)
