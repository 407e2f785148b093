"""What all commands share: options, errors as one line and an exit code, JSON on stdout, logs on stderr."""

from __future__ import annotations

import functools
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand

from tacos import __version__
from tacos.cli.quiet import quiet
from tacos.errors import ConfigError, TacosError, Terminated, exit_code, nearest
from tacos.secrets import redacted

if TYPE_CHECKING:
    from tacos.assets import Assets
    from tacos.usage import Usage

Overrides = Annotated[
    list[str] | None, typer.Argument(help="Settings to change, as a.b=c", show_default=False)
]
RetryFailed = Annotated[
    bool,
    typer.Option("--retry-failed", help="Ask again where an earlier run got no answer that can be read."),
]
Smoke = Annotated[
    bool, typer.Option("--smoke", help="A rehearsal: pool, budgets, bases and trainings made small")
]
SPINS = "10000"
"""Rounds that an idle thread of OpenMP waits awake before it sleeps. A step of the tiny base took 78 ms so, 99 ms where
threads sleep at once and 67 ms where they never do; beside two busy processes 166, 131 and more than 5,000 ms (2 cores,
2026-11-26)."""
EXECUTORS = ("here", "ray")
Executor = Annotated[
    str,
    typer.Option(
        help="here, or ray: stages go to the machines of the Ray cluster at RAY_ADDRESS, or of this one"
    ),
]
GoOn = Annotated[
    bool, typer.Option("--continue", help="Ask, and pay, again for what a damaged reply cache lost.")
]
Verify = Annotated[
    bool, typer.Option("--verify", help="Read every file of finished stages, to know that none is damaged.")
]
Replay = Annotated[
    bool,
    typer.Option("--replay", help="A finished run again from recorded replies: asks nobody, trains nothing"),
]
Hours = Annotated[
    bool,
    typer.Option(
        "--hours", help="Load the models of this machine and time them: FLOPs, and how long they take"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, last.")]

log = logging.getLogger(__name__)
Command = Callable[..., None]


def command(app: typer.Typer) -> Callable[[Command], Command]:
    """Registers a function as a command of `app`; errors become one line on stderr and an exit code."""

    def register(work: Command) -> Command:
        guarded = guard(work)
        app.command(name=work.__name__.strip("_").replace("_", "-"), cls=ManyFiles)(guarded)
        return guarded

    return register


class ManyFiles(TyperCommand):
    """Lets an option that may be repeated take several words: `--reviews a.json b.json`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        repeated = {name for p in self.params if getattr(p, "multiple", False) for name in p.opts}
        words: list[str] = []
        option = ""
        for word in args:
            if word.startswith("-"):
                option = word if word in repeated else ""
            elif option and words[-1] != option and "=" not in word:
                words.append(option)
            words.append(word)
        return super().parse_args(ctx, words)


def guard(work: Command) -> Command:
    @functools.wraps(work)
    def guarded(*args: Any, **kwargs: Any) -> None:
        prepare()
        try:
            with _until_the_end(), _ended_by_sigterm():
                work(*args, **kwargs)
        except typer.Exit:
            raise
        except TacosError as error:
            fail(str(error), exit_code(error))
        except BrokenPipeError:
            raise  # as by `| head`: click ends without a word
        except KeyboardInterrupt as error:
            fail("stopped; finished stages are kept, run the same command to resume", exit_code(error))
        except Exception as error:
            if os.environ.get("TACOS_DEBUG"):
                raise
            fail(unexpected(error), 1)

    return guarded


def unexpected(error: Exception) -> str:
    """What an error that nobody foresaw says, and of which stage or benchmark it is told."""
    what = f"{type(error).__name__}: {error}".splitlines()[0]
    notes = getattr(error, "__notes__", ())
    places = [note for note in notes if note.startswith(("in the stage", "in the benchmark"))]
    where = f" {places[0]}, a bug in tacos or in code of your own" if places else ", a bug in tacos"
    return f"unexpected error{where}: {what}; set TACOS_DEBUG=1 for where"


_OPEN: list[ExitStack] = []
E = TypeVar("E")


@contextmanager
def _until_the_end() -> Iterator[None]:
    with ExitStack() as stack:
        _OPEN.append(stack)
        try:
            yield
        finally:
            _OPEN.remove(stack)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Raises: Terminated in the block when the process is told to end."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: object) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def during(context: AbstractContextManager[E]) -> E:
    """Keeps a context open until the command ends, whose error it is told."""
    return _OPEN[-1].enter_context(context)


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"tacos {__version__}")
        raise typer.Exit


def version(
    version: Annotated[
        bool, typer.Option("--version", help="Tell the version.", callback=_say_version, is_eager=True)
    ] = False,
) -> None:
    """What stands before any command."""


def prepare() -> None:
    """Logs to stderr, and some habits of libraries turned off before they are imported."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr
    )
    for handler in logging.getLogger().handlers:
        if not any(isinstance(known, NoKeys) for known in handler.filters):
            handler.addFilter(NoKeys())
    logging.getLogger("asyncio").addFilter(not_stopped)
    quiet()
    os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


def not_stopped(record: logging.LogRecord) -> bool:
    """Leaves out that a task was stopped with the command, which says so itself."""
    return not (record.exc_info and isinstance(record.exc_info[1], KeyboardInterrupt))


class NoKeys(logging.Filter):
    """Takes what looks like an API key out of what is logged."""

    def filter(self, record: logging.LogRecord) -> bool:
        said = record.getMessage()
        if (clean := redacted(said)) != said:
            record.msg, record.args = clean, None
        return True


def fail(message: str, code: int) -> None:
    typer.echo(f"tacos: {redacted(message)}", err=True)
    raise typer.Exit(code)


def print_json(value: Any) -> None:
    from tacos.store.fingerprint import plain

    typer.echo(json.dumps(plain(value), ensure_ascii=False))


def dollars(value: float) -> str:
    """ "$1.80", "$0.0004": two digits that mean something."""
    from eval.report.format import money

    return money(value)


def money(usage: Usage) -> str:
    """ "$1.80", "$0.0004", "price unknown", "$1.80 + unpriced" where some calls have no price."""
    from eval.report.format import paid

    return paid([usage.cost_usd], usage.unpriced_calls, "price unknown")


def exactly_one(options: dict[str, Any]) -> None:
    """Raises: ConfigError unless one of the options is given."""
    given = [name for name, value in options.items() if value]
    if len(given) != 1:
        said = f"got {' and '.join(given)}" if given else "got none"
        raise ConfigError(f"give one of {', '.join(options)}; {said}")


def one_of(option: str, value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise ConfigError(f"{option} {value!r}: {nearest(value, known)}")
    return value


def plain_name(option: str, name: str) -> str:
    """Raises: ConfigError for a name that cannot be a file's."""
    from tacos.store.names import file_name

    try:
        return file_name(name)
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from error


def number(option: str, value: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise ConfigError(f'{option} {value!r} is neither a number nor "cv" nor "published"') from error


def read_settings(
    config: Path | None, overrides: Sequence[str] | None, smoke: bool = False
) -> dict[str, Any]:
    """A config, by file or shipped name, with overrides, and the files of the assets that it names.

    smoke: the rehearsal of the experiment in it, before the overrides.

    Raises: ConfigError.
    """
    from tacos.config import override, read_yaml, with_assets
    from tacos.pipeline.smoke import rehearsed
    from tacos.shipped import find

    file = find(config) if config else None
    if file != config:
        log.info("%s is %s", config, file)
    data = override(rehearsed(read_yaml(file) if file else {}, smoke), overrides or [])
    return dict(with_assets(data, lambda name: assets().path(name)))


def assets() -> Assets:
    """Upstream's files: of the folder TACOS_ASSETS, else downloaded once into the user's cache."""
    from tacos.assets import Assets

    folder, cache = os.environ.get("TACOS_ASSETS"), os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return Assets(Path(folder) if folder else None, Path(cache).expanduser() / "tacos")
