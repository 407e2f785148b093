"""Several processes read what one would, and nothing is lost with one that is killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tacos.artifacts import ArtifactStore
from tacos.errors import ConfigError, TacosError
from tacos.models.local import LocalModel
from tacos.models.parallel import (
    ReaderProcess,
    Readers,
    cut,
    devices_for,
    reader_processes,
    wait_for_processes,
)
from tacos.models.reading import Failed, LocalReader, ModelReading, Piece, PieceAnswer, PieceReader
from tacos.part import SCORERS, Scorer
from tacos.scoring import answer_loss
from tacos.scoring.answer_loss import Layout, _losses
from tacos.scoring.deita import Deita
from tacos.scoring.ifd import Ifd
from tacos.scoring.local_scorer import LocalScorer
from tacos.scoring.perplexity import Perplexity
from tacos.scoring.selectit import SelectIt
from tacos.scoring.superfilter import Superfilter
from tacos.stage import Done, Tools
from tacos.store import tables
from tacos.store.kept import Kept
from tacos.types import Pool, make_sample
from tacos.usage import Ledger
from tests.scoring import tiny_models
from tests.scoring.scored import setup

ROWS = 40
POOL = Pool.from_samples(
    make_sample(f"Say it {i} times.", "so " * (1 + 7 * i % 23) + "it is.", id=f"s{i}") for i in range(ROWS)
)
WORK = partial(_losses, Layout("none", 512, "cut"), 256, True)


def deadly(*given: Any) -> Iterator[tuple[int, Kept]]:
    """Reads as `_losses` does, and is killed at row s7 as long as there is a file in the folder DEADLY."""
    rows = given[-2]
    if any(sample.id == "s7" for sample in rows):
        for file in sorted(Path(os.environ["DEADLY"]).iterdir())[:1]:
            file.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
    return _losses(*given)


def refusing(lm: LocalModel, rows: Pool, what: str) -> Iterator[tuple[int, Kept]]:
    raise ConfigError(f"{len(rows)} rows are not to my taste")


def broken(lm: LocalModel, rows: Pool, what: str) -> Iterator[tuple[int, Kept]]:
    raise ZeroDivisionError("a bug")


def read(reader: LocalReader | Readers, rows: list[int] | None = None) -> dict[int, Kept]:
    try:
        return dict(reader.read(POOL, rows or list(range(ROWS)), "rows"))
    finally:
        reader.close()


def test_pieces_hold_rows_of_like_length_and_every_row_once() -> None:
    pieces = cut(POOL, list(range(5, ROWS)), batch_tokens=4, readers=2)
    assert sorted(row for piece in pieces for row in piece.rows) == list(range(5, ROWS))
    assert all(piece.samples.ids == [f"s{row}" for row in piece.rows] for piece in pieces)
    lengths = [[len(sample.response) for sample in piece.samples] for piece in pieces]
    assert min(lengths[0]) >= max(lengths[-1]) and max(map(len, lengths)) <= 5
    assert len(cut(POOL, [3], 4096, 8)) == 1


@pytest.mark.slow
def test_two_processes_read_as_one_does_though_one_is_killed(
    llama: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(**how: Any) -> tuple[np.ndarray, Done]:
        part = Ifd(model=llama, ceiling=None, **how)
        stage, store = part.build(setup(POOL)), ArtifactStore(tmp_path / f"{how}")
        folder = store.run(stage, Tools(Ledger(), None, None, "cpu"))  # type: ignore[arg-type]
        return tables.read_scores(folder).values, store.record(stage.inputs["losses"])

    one, alone = run()
    (tmp_path / "deadly").mkdir()
    (tmp_path / "deadly" / "once").touch()
    monkeypatch.setenv("DEADLY", str(tmp_path / "deadly"))
    monkeypatch.setattr(answer_loss, "_losses", deadly)
    two, both = run(workers=2)
    assert not any((tmp_path / "deadly").iterdir())
    assert "its rows go to the others" in caplog.text and "exit status -9" in caplog.text
    assert two == pytest.approx(one, abs=1e-6) and not np.isnan(one).any()
    assert both.fingerprint == alone.fingerprint
    assert both.usage.forward_tokens == alone.usage.forward_tokens
    assert both.usage.flops == pytest.approx(alone.usage.flops)
    assert both.outcome.metrics == alone.outcome.metrics


class FakeReader:
    """A process without a process. dies: the pieces it is given before it does, or None."""

    def __init__(self, reading: ModelReading, number: int, dies: int | None = None):
        self.reader, self.number, self.dies = PieceReader(reading, "cpu"), number, dies
        self.said: PieceAnswer | str = ""

    def begin(self) -> None:
        self.said = self.reader.start()

    def give(self, piece: Piece) -> None:
        self.said = "exit status -9" if self.dies == 0 else self.reader.read(piece)
        self.dies = None if self.dies is None else self.dies - 1

    def answer(self) -> PieceAnswer | str:
        return self.said

    def stop(self) -> None:
        self.dies = 0


def readers(reading: ModelReading, *dies: int | None, ledger: Ledger | None = None) -> Readers:
    def start() -> list[FakeReader]:
        return [FakeReader(reading, number, after) for number, after in enumerate(dies)]

    return Readers(reading, start, lambda readers: readers[-1:], 16, ledger or Ledger())


def test_every_row_is_read_once_whoever_dies(llama: str) -> None:
    reading, ledger = ModelReading("losses", llama, "auto", WORK), Ledger()
    wanted = read(LocalReader(reading, "cpu", ledger))
    counted = Ledger()
    found = read(readers(reading, None, 2, 1, ledger=counted))
    assert all(found[row].values == pytest.approx(wanted[row].values, abs=1e-6) for row in range(ROWS))
    assert counted.total.forward_tokens == ledger.total.forward_tokens and len(found) == ROWS
    assert sorted(read(readers(reading, None, None), [4, 30])) == [4, 30]


def test_rows_that_kill_every_process_are_named(llama: str) -> None:
    reading = ModelReading("losses", llama, "auto", WORK)
    said = r"died with \d+ rows between [\d,]+ and [\d,]+ \(exit status -9\), and "
    with pytest.raises(TacosError, match=said + "none is left: .* the rows so far are kept"):
        read(readers(reading, 1))
    with pytest.raises(TacosError, match=said + "so did another"):
        read(readers(reading, 0, 0, 0))


def test_what_a_process_cannot_do_is_said_in_its_words(llama: str) -> None:
    for work, source, kind, said in (
        (refusing, llama, ConfigError, "rows are not to my taste"),
        (broken, llama, RuntimeError, "ZeroDivisionError: a bug"),
        (WORK, "no/such", TacosError, "cannot load the model 'no/such'"),
    ):
        with pytest.raises(kind, match=said):
            read(readers(ModelReading("losses", source, "auto", work), None))


def test_a_closure_is_refused_before_a_process_is_started() -> None:
    reading = ModelReading("losses", "m", "auto", lambda lm, rows, what: iter(()))
    with pytest.raises(TypeError, match="must be a function of a module"):
        reader_processes(reading, ["cpu", "cpu"], 256, Ledger())


@pytest.mark.parametrize(
    "part",
    [
        Ifd(model="m"),
        Superfilter(model="m"),
        Perplexity(model="m"),
        SelectIt(model="m"),
        Deita(complexity="m", quality="m", prompts=tiny_models.TEMPLATES),
    ],
    ids=lambda part: part.by,
)
def test_what_scorers_read_by_can_travel(part: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def reading(self: Any, setup: Any, name: str, model: Any, asked: Any, work: Any, *more: Any) -> Any:
        seen.append(Readers(ModelReading(name, "m", "auto", work), list, wait_for_processes, 1, Ledger()))

    monkeypatch.setattr(LocalScorer, "reading", reading)
    part.inputs(setup(POOL))
    assert seen
    assert {"workers", "ray"} <= set(SCORERS.get(part.by).model_fields)


def test_a_device_for_each_process(monkeypatch: pytest.MonkeyPatch) -> None:
    assert devices_for(None, "cpu") == ["cpu"] and devices_for(3, "cpu") == ["cpu"] * 3
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert devices_for(None, "auto") == ["cuda:0", "cuda:1"]
    assert devices_for(3, "cuda") == ["cuda:0", "cuda:1", "cuda:0"]
    assert devices_for(1, "auto") == ["cuda:0"] and devices_for(None, "cpu") == ["cpu"]


def test_a_process_that_is_gone_says_how(llama: str) -> None:
    reader = ReaderProcess(ModelReading("losses", llama, "auto", WORK), 0, "cpu", 1)
    reader.process.kill()
    reader.process.join()
    reader.begin()
    assert wait_for_processes([reader]) == [reader] and reader.answer() == "exit status -9"
    reader.stop()
    assert isinstance(Failed("ConfigError", "x").error(), ConfigError)
    assert isinstance(Failed("", "x").error(), RuntimeError)
