"""Which code a part of one's own had, as a fingerprint, so that a changed one is not taken for the one before."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

from tacos.store.fingerprint import fingerprint


def code_of(part: type) -> str:
    """Of its file; of a part in a script or a notebook's cell, of its methods alone. To be read as it is registered,
    while file and memory agree.

    "" of a part of tacos, whose `version` tells, and of one that was typed where no source is kept.
    """
    if part.__module__.partition(".")[0] == "tacos":
        return ""
    file = getattr(sys.modules.get(part.__module__), "__file__", None)
    if part.__module__ != "__main__" and file:
        return fingerprint(Path(file).read_text("utf-8"))
    try:
        return fingerprint([inspect.getsource(own) for own in vars(part).values() if inspect.isfunction(own)])
    except OSError:
        return ""
