"""What others may read: settings without the paths of this machine, and without keys, whoever put them there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from tacos.secrets import redacted

ABSOLUTE = re.compile(r"(file://)?(/|~|[A-Za-z]:[\\/])")
"""How a path begins that says where things lie on this machine."""


def public(value: Any) -> Any:
    """The same with the last part alone of every absolute path.

    >>> public({"source": "/home/ann/pools/a.jsonl", "model": "org/model"})
    {'source': '.../a.jsonl', 'model': 'org/model'}
    """
    if isinstance(value, Mapping):
        return {key: public(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [public(inner) for inner in value]
    if not isinstance(value, str):
        return value
    if ABSOLUTE.match(value) and "\n" not in value:
        value = f".../{_last(value)}"
    return redacted(value)


def _last(path: str) -> str:
    return (PureWindowsPath(path) if "\\" in path else PurePosixPath(path)).name
