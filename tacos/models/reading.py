"""Rows read by a local model: what is needed for it wherever that is, in this process or in another.

    ModelReading("losses", "models/llama", "auto", work)      sent to each process once, pickled
    Piece(rows=(5, 17, ...), samples)                    some rows, which a process answers with
    PieceRead([(5, Kept), (17, Kept), ...], usage)

So `work` is a function of a module, a `functools.partial` of one, or a bound method of a part, and no closure.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from tacos.errors import ConfigError, TacosError
from tacos.models.local import LocalModel, load_lm, with_adapter
from tacos.types import Pool
from tacos.usage import Ledger, Usage

Work = Callable[[LocalModel, Pool, str], Iterator[tuple[int, Any]]]
"""A model, some rows and which they are in words, for the progress bar, or "" for none -> (place among them, what was
found): a `Kept`, or where vectors are asked for, one or why there is none."""


class RowReading(Protocol):
    """What is sent to a process that reads: name of the stage, how to load the model, what to do with rows."""

    @property
    def name(self) -> str: ...

    @property
    def work(self) -> Callable[[Any, Pool, str], Iterator[tuple[int, Any]]]: ...

    def load(self, device: str, ledger: Ledger) -> Any:
        """The model; its `parameters` are those at work."""
        ...


@dataclass(frozen=True)
class ModelReading:
    """name: of the stage. source: hub id or folder. dtype, template: as `load_lm`. adapter: the folder of one on it."""

    name: str
    source: str
    dtype: str
    work: Work
    template: str = "auto"
    adapter: str | None = None

    def load(self, device: str, ledger: Ledger) -> LocalModel:
        lm = load_lm(self.source, self.dtype, self.template, device, ledger)
        return with_adapter(lm, Path(self.adapter)) if self.adapter else lm


@dataclass(frozen=True)
class Piece:
    """Rows that travel together. rows: their numbers."""

    rows: tuple[int, ...]
    samples: Pool


@dataclass(frozen=True)
class Started:
    """The model is loaded. parameters: those at work."""

    parameters: int


@dataclass(frozen=True)
class PieceRead:
    """What was found of a piece, and what that took."""

    rows: list[tuple[int, Any]]
    usage: Usage


@dataclass(frozen=True)
class Failed:
    """Why a process cannot read. kind: of the error; "" for a bug, whose text is its traceback."""

    kind: Literal["TacosError", "ConfigError", ""]
    text: str

    def error(self) -> Exception:
        """To be raised here."""
        kinds = {"TacosError": TacosError, "ConfigError": ConfigError, "": RuntimeError}
        return kinds[self.kind](self.text)


PieceAnswer = Started | PieceRead | Failed


class LocalReader:
    """Reads in this process; the model is loaded at the first row."""

    def __init__(self, reading: RowReading, device: str, ledger: Ledger):
        self.reading, self.device, self.ledger = reading, device, ledger
        self._lm: Any = None

    @property
    def parameters(self) -> int | None:
        """Those at work; None before the model is loaded."""
        return self._lm.parameters if self._lm else None

    def read(self, pool: Pool, rows: Sequence[int], which: str) -> Iterator[tuple[int, Any]]:
        """which: the rows in words."""
        what = f"{self.reading.name}, {which}" if which else ""
        for place, kept in self.reading.work(self.model(), pool.take(rows), what):
            yield rows[place], kept

    def model(self) -> Any:
        """Loaded once."""
        if self._lm is None:
            self._lm = self.reading.load(self.device, self.ledger)
        return self._lm

    def close(self) -> None:
        self._lm = None


class PieceReader:
    """Reads pieces in a process of its own, or on another machine, and tells what is wrong there.

    threads: of a CPU that is shared out; None leaves them.
    """

    def __init__(self, reading: RowReading, device: str, threads: int | None = None):
        self.threads = threads
        self.ledger = Ledger()
        self.reader = LocalReader(reading, device, self.ledger)

    def start(self) -> PieceAnswer:
        return self._told(self._start)

    def read(self, piece: Piece) -> PieceAnswer:
        return self._told(lambda: self._read(piece))

    def _start(self) -> Started:
        import torch
        from transformers.utils.logging import disable_progress_bar

        disable_progress_bar()
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        return Started(self.reader.model().parameters)

    def _read(self, piece: Piece) -> PieceRead:
        before = self.ledger.total
        found = list(self.reader.read(piece.samples, range(len(piece.rows)), ""))
        return PieceRead([(piece.rows[place], kept) for place, kept in found], self.ledger.total - before)

    def _told(self, work: Callable[[], PieceAnswer]) -> PieceAnswer:
        try:
            return work()
        except TacosError as error:
            return Failed("ConfigError" if isinstance(error, ConfigError) else "TacosError", str(error))
        except Exception:
            return Failed("", traceback.format_exc())
