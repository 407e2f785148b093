"""Names that users give and that become files: of arms, question sets, models."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

MOST_BYTES = 100
"""Of a name in UTF-8: file systems take 255, of which endings and the names of stages need their share."""
_PLAIN = re.compile(r"[^\W_](?:[\w .,+=()-]*[\w+=()-])?")


def file_name(name: str) -> str:
    """The name as it is. Raises: ValueError for one that is no plain file name on every system."""
    if not _PLAIN.fullmatch(name):
        raise ValueError(
            f"{name[:40]!r} names files, so it takes letters, digits, blanks and . , + = ( ) - _ only, with a letter "
            "or digit first: give another name"
        )
    if (size := len(name.encode())) > MOST_BYTES:
        raise ValueError(
            f"{name[:40]!r}... names files and has {size} bytes, more than {MOST_BYTES}: shorten it"
        )
    return name


def as_file_name(text: str) -> str:
    """Any text as a file's name: what is not plain becomes an underscore.

    >>> as_file_name("org/model: 7b")
    'org_model_ 7b'
    """
    plain = re.sub(r"[^\w .,+=()-]", "_", text).strip(" .") or "_"
    while len(plain.encode()) > MOST_BYTES:
        plain = plain[:-1]
    return plain


FileName = Annotated[str, AfterValidator(file_name)]
