"""Which code a part had, as a fingerprint, so that a changed one is not taken for the one before.

A part of one's own is another part once its code changes (`code_of`). One of tacos says so by its `version`; where only
its file changed, what was finished before is taken, and the log tells (`file_code`).
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tacos.store.fingerprint import fingerprint


def code_of(part: type) -> str:
    """Of its file; of a part in a script or a notebook's cell, of its methods and properties alone. Read as it is
    registered, while file and memory agree.

    "" of a part of tacos, whose `version` tells, and of one that was typed where no source is kept.
    """
    if part.__module__.partition(".")[0] == "tacos":
        return ""
    if code := file_code(part):
        return code
    try:
        return fingerprint([inspect.getsource(own) for own in _functions(part)])
    except OSError:
        return ""


@cache
def file_code(part: type) -> str:
    """Of its file; "" of a part in a script or a notebook's cell."""
    file = getattr(sys.modules.get(part.__module__), "__file__", None)
    return fingerprint(Path(file).read_text("utf-8")) if file and part.__module__ != "__main__" else ""


def _functions(part: type) -> Iterator[Callable[..., Any]]:
    """What a class defines: methods, static and class methods, properties, cached or not."""
    for own in vars(part).values():
        inner = (getattr(own, name, None) for name in ("__func__", "fget", "func"))
        found = own if inspect.isfunction(own) else next(filter(inspect.isfunction, inner), None)
        if found is not None:
            yield found
