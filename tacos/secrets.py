"""API keys where they do not belong: how one is known, and how a message is freed of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_KEY = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"(?:sk|rk|gsk|csk|xai|nvapi|pplx|glpat)[-_](?:proj-|svcacct-|ant-(?:api\d+-)?|or-v1-|live_|test_)?"
    r"(?=[A-Za-z]*\d)(?=\d*[A-Za-z])[A-Za-z0-9]{12,}[\w-]*"
    r"|(?:hf|r8|ghp|gho|ghs)_[A-Za-z0-9]{20,}|github_pat_\w{10,}|AKIA[A-Z0-9]{12,}|AIza[\w-]{20,}|eyJ[\w-]{10,}\.[\w-]{10,}[\w.-]*"
    r"|(?<=[Bb]earer )(?=[A-Za-z_.~+/-]*\d)[\w.~+/-]{12,}=*)"
)
"""Prefixes of the keys of model servers, code hosts and clouds, JSON web tokens, and what stands behind "Bearer"."""
SENSITIVE = re.compile(
    r"api[-_]?key|authoriz|token(?!s|iz)|secret|password|passwd|header|endpoint|query|extra_body",
    re.IGNORECASE,
)
"""Settings whose values are in no message."""


def holds_key(text: str) -> bool:
    """Whether something in it looks like a key.

    >>> holds_key("sk-proj-4fQ81xLm0aZ9"), holds_key("task-of-2024-tagging")
    (True, False)
    """
    return _KEY.search(text) is not None


def redacted(text: str) -> str:
    """The same with "[key]" for everything that looks like one."""
    return _KEY.sub("[key]", text)


def texts_in(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a value, names of mappings too, with where it stands."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield path, str(name)
            yield from texts_in(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple | set | frozenset):
        for inner in value:
            yield from texts_in(inner, path)
    elif isinstance(value, str):
        yield path, value
