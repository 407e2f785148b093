"""Errors that a user can act on: each says what happened, where, and what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TacosError(Exception):
    """A failure with one clear line; the command line exits 1."""


class ConfigError(TacosError):
    """A setting, name or command that is wrong; the command line exits 2."""


class PoolError(TacosError):
    """A pool that cannot be read, or holds too little to go on with."""


class BudgetError(ConfigError):
    """A selection budget that the pool cannot fill."""


class LLMError(TacosError):
    """An endpoint that answers nothing, or so many failed calls that going on would be wrong."""


class SpendCapError(LLMError):
    """The next call could exceed the cap on money or tokens; everything paid so far is kept."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, as a scheduler sends it: the command ends as after Ctrl-C, with the code that shells give it."""

    exit_code = 143


def exit_code(error: BaseException | None) -> int:
    """What the command line exits with: 0 without an error, 2 for settings, 130 when stopped, else 1."""
    if error is None:
        return 0
    if isinstance(error, KeyboardInterrupt):
        return int(getattr(error, "exit_code", 130))
    return int(getattr(error, "exit_code", 2 if isinstance(error, ConfigError) else 1))  # typer's has its own


def first_line(error: Exception) -> str:
    """The first line of what an error says; the name of its type where it says nothing."""
    return (str(error).splitlines() or [""])[0] or type(error).__name__


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for an unknown name: the nearest valid one, or the whole list when none is near."""
    options = sorted(known)
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return "known: " + ", ".join(options) if options else "none is known"
