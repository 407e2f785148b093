"""Several processes that read the rows of one stage, each with the model on a device of its own.

    rows are sorted by length and cut into pieces; whoever is free takes the next one, the longest first
    A answers with its 200 rows and is given 200 more; B dies with its piece: that goes to A

Rows come back piece by piece, so a run that is killed resumes by row as one process would. A process that dies is not
started again; its rows go to the others, and where `TRIES` have died with the same ones, or none is left, the run
stops and names them. What travels and what reads are the same through Ray (`tacos.models.ray_readers`).
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection, get_context
from typing import Any, Protocol

from tacos.errors import TacosError
from tacos.models.expected import text_tokens
from tacos.models.reading import Piece, PieceAnswer, PieceRead, PieceReader, RowReading, Started
from tacos.progress import counted
from tacos.types import Pool
from tacos.usage import Ledger

log = logging.getLogger(__name__)
TRIES = 2
"""Processes that may die with the same rows."""
BATCHES = 8
"""Of a piece, about: enough that rows of like length meet."""
SHARES = 4
"""Pieces for each process, at least, so that all end at about the same time."""


class RemoteReader(Protocol):
    """One process, as it is seen from here. It answers each `begin` and `give` once."""

    number: int

    def begin(self) -> None:
        """Ask for the model to be loaded."""
        ...

    def give(self, piece: Piece) -> None: ...

    def answer(self) -> PieceAnswer | str:
        """The answer that is there, or how the process died."""
        ...

    def stop(self) -> None: ...


Wait = Callable[[Sequence[Any]], Sequence[Any]]
"""Readers that owe an answer -> those that have one, or are dead; one at least.

Raises: TacosError where none comes.
"""


class Readers:
    """What one process reads, shared out. start: makes the readers, when the first row is read. batch_tokens: of their
    batches."""

    def __init__(
        self,
        reading: RowReading,
        start: Callable[[], Sequence[RemoteReader]],
        wait: Wait,
        batch_tokens: int,
        ledger: Ledger,
    ):
        check_travels(reading)
        self.name, self.start, self.wait, self.ledger = reading.name, start, wait, ledger
        self.batch_tokens = batch_tokens
        self.parameters: int | None = None
        """Of the model, those at work; None before one is loaded."""
        self._readers: list[RemoteReader] = []
        self._owing: dict[RemoteReader, Piece | None] = {}
        """Those that owe an answer, with their piece, or None where they load the model."""
        self._deaths: Counter[tuple[int, ...]] = Counter()

    def read(self, pool: Pool, rows: Sequence[int], which: str) -> Iterator[tuple[int, Any]]:
        """As `LocalReader.read`, in the order in which pieces are done.

        Raises: what a process could not do, in its words; TacosError where too many died.
        """
        if not self._readers:
            self._readers = list(self.start())
            self._owing = dict.fromkeys(self._readers)
            for reader in self._readers:
                reader.begin()
        left = deque(cut(pool, rows, self.batch_tokens, len(self._readers)))
        with counted(f"{self.name}, {which}", len(rows), "rows") as done:
            while left or any(self._owing.values()):
                self._give_out(left)
                for reader in self.wait(list(self._owing)):
                    found = self._received(reader, left)
                    done(len(found))
                    yield from found

    def _give_out(self, left: deque[Piece]) -> None:
        for reader in self._readers:
            if left and reader not in self._owing:
                piece = left.popleft()
                self._owing[reader] = piece
                reader.give(piece)

    def _received(self, reader: RemoteReader, left: deque[Piece]) -> list[tuple[int, Any]]:
        piece, said = self._owing.pop(reader), reader.answer()
        if isinstance(said, str):
            self._died(reader, piece, said, left)
            return []
        if isinstance(said, Started):
            self.parameters = said.parameters
            return []
        if not isinstance(said, PieceRead):
            raise said.error()
        self.ledger.add(said.usage)
        return said.rows

    def _died(self, reader: RemoteReader, piece: Piece | None, why: str, left: deque[Piece]) -> None:
        reader.stop()
        self._readers.remove(reader)
        lost = f"with {_named(piece.rows)}" if piece else "before it read a row"
        if piece:
            self._deaths[piece.rows] += 1
            left.appendleft(piece)
        if not self._readers or (piece and self._deaths[piece.rows] >= TRIES):
            others = "so did another" if self._readers else "none is left"
            raise TacosError(
                f"{self.name}: a process died {lost} ({why}), and {others}: look for what ended it, such as memory "
                "(lower batch_tokens, or workers), and run again; the rows so far are kept"
            )
        log.warning(
            "%s: process %d died %s (%s); its rows go to the others", self.name, reader.number, lost, why
        )

    def close(self) -> None:
        for reader in self._readers:
            reader.stop()
        self._readers, self._owing = [], {}


def _named(rows: Sequence[int]) -> str:
    return f"{len(rows):,} rows between {min(rows) + 1:,} and {max(rows) + 1:,}"


def cut(pool: Pool, rows: Sequence[int], batch_tokens: int, readers: int) -> list[Piece]:
    """Rows of like length together, the longest first."""
    samples = pool.take(rows)
    lengths = text_tokens(f"{p}{r}" for p, r in zip(samples.prompts, samples.responses, strict=True))
    most = max(1, -(-len(rows) // (SHARES * readers)))
    pieces: list[list[int]] = []
    room = 0.0
    for place in sorted(range(len(rows)), key=lambda i: (-lengths[i], i)):
        if room <= 0 or len(pieces[-1]) >= most:
            pieces.append([])
            room = float(BATCHES * batch_tokens)
        pieces[-1].append(place)
        room -= lengths[place]
    return [Piece(tuple(rows[place] for place in places), samples.take(places)) for places in pieces]


def check_travels(reading: RowReading) -> None:
    """Raises: TypeError where a part reads by a function that no other process can be given."""
    try:
        pickle.dumps(reading)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise TypeError(
            f"{reading.name}: {error}: for several processes, `work` must be a function of a module, a partial of one, "
            "or a method of the part"
        ) from error


class ReaderProcess:
    """A process of this machine, and the pipe to it. device: as `load_lm`. threads: of the CPU."""

    def __init__(self, reading: RowReading, number: int, device: str, threads: int | None):
        self.number = number
        context = get_context("spawn")  # CUDA does not survive a fork
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, reading, device, threads), daemon=True)
        self.process.start()
        theirs.close()

    def begin(self) -> None:
        self._send(None)

    def give(self, piece: Piece) -> None:
        self._send(piece)

    def _send(self, piece: Piece | None) -> None:
        try:
            self.pipe.send(piece)
        except OSError:  # it is dead, which `answer` will tell
            log.debug("process %d takes nothing", self.number)

    def answer(self) -> PieceAnswer | str:
        try:
            said: PieceAnswer = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join(1)
            return f"exit status {self.process.exitcode}"
        return said

    def stop(self) -> None:
        self.pipe.close()
        self.process.terminate()
        self.process.join()


def wait_for_processes(readers: Sequence[ReaderProcess]) -> list[ReaderProcess]:
    ready = connection.wait([reader.pipe for reader in readers])
    return [reader for reader in readers if reader.pipe in ready]


def _serve(pipe: Any, reading: RowReading, device: str, threads: int | None) -> None:
    """What a process does until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's to handle
    reader = PieceReader(reading, device, threads)
    while True:
        try:
            piece = pipe.recv()
        except (EOFError, OSError):
            return
        pipe.send(reader.start() if piece is None else reader.read(piece))


def reader_processes(
    reading: RowReading, devices: Sequence[str], batch_tokens: int, ledger: Ledger
) -> Readers:
    """The processes of this machine. devices: one for each process; on a CPU its cores are shared out."""

    def start() -> list[ReaderProcess]:
        shared = max(1, _cores() // len(devices))
        return [
            ReaderProcess(reading, number, device, shared if device == "cpu" else None)
            for number, device in enumerate(devices)
        ]

    return Readers(reading, start, wait_for_processes, batch_tokens, ledger)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def devices_for(workers: int | None, device: str) -> list[str]:
    """The device of each process. workers: None is one for each GPU that this process sees, or one.

    device: "auto", or one that all take; several on "cuda" go round its GPUs.
    """
    import torch

    from tacos.models.device import pick_device

    picked = pick_device(device)
    gpus = torch.cuda.device_count() if picked == "cuda" else 0
    if not gpus:
        return [picked] * (workers or 1)
    return [f"cuda:{number % gpus}" for number in range(workers or gpus)]
