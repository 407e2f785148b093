"""Stages: done once, resumed, never half there."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from tacos.artifacts import ArtifactStore
from tacos.errors import TacosError
from tacos.stage import DONE, Job, Outcome, Stage, Tools
from tacos.store.files import read_json, write_json, write_text
from tacos.store.fingerprint import fingerprint
from tacos.store.held import held
from tacos.usage import Ledger, Usage


def no_model(*_: object) -> None:
    raise AssertionError("no model is to be loaded")


@pytest.fixture
def tools() -> Tools:
    return Tools(ledger=Ledger(), embedder=no_model, llm=no_model)  # type: ignore[arg-type]


class Work:
    """Writes a file and counts how often it was asked to."""

    def __init__(self, fail: bool = False):
        self.times, self.fail = 0, fail

    def __call__(self, job: Job) -> Outcome:
        self.times += 1
        (job.out / "half.txt").write_text("half")
        if self.fail:
            raise TacosError("stopped half-way")
        job.tools.ledger.add(Usage(calls=2, cost_usd=0.5))
        (job.out / "out.txt").write_text("".join(p.name for p in job.inputs.values()))
        return Outcome(rows_in=3, rows_out=2, rows_failed=1)


def test_a_stage_runs_once_with_its_inputs_first(tmp_path: Path, tools: Tools) -> None:
    first, second = Work(), Work()
    a = Stage("a", first)
    b = Stage("b", second, {"x": 1}, {"a": a})
    store = ArtifactStore(tmp_path)
    folder = store.run(b, tools)
    store.run(b, tools)
    assert (first.times, second.times) == (1, 1)
    assert (folder / "out.txt").read_text() == a.fingerprint
    done = store.record(b)
    assert (done.outcome.rows_out, done.usage.calls, done.usage.cost_usd) == (2, 2, 0.5)
    assert done.inputs == {"a": a.fingerprint}


def test_fingerprints_follow_name_version_settings_and_inputs() -> None:
    base = Stage("a", Work(), {"x": 1})
    assert base.fingerprint == Stage("a", Work(), {"x": 1}).fingerprint
    others = [
        Stage("b", Work(), {"x": 1}),
        Stage("a", Work(), {"x": 2}),
        Stage("a", Work(), {"x": 1}, version=2),
        Stage("a", Work(), {"x": 1}, {"in": base}),
    ]
    assert len({base.fingerprint, *(s.fingerprint for s in others)}) == 5
    assert fingerprint({"a": 1, "b": (2,)}) == fingerprint({"b": [2], "a": 1})


def test_what_older_code_made_is_taken_and_told(
    tmp_path: Path, tools: Tools, caplog: pytest.LogCaptureFixture
) -> None:
    first, same, changed = (Stage("score", Work(), {"by": "mine"}, code=code) for code in ("a", "a", "b"))
    ArtifactStore(tmp_path).run(first, tools)
    ArtifactStore(tmp_path).run(same, tools)
    assert "has changed" not in caplog.text
    store = ArtifactStore(tmp_path)
    assert store.run(changed, tools) == store.folder(first) and changed.work.times == 0  # type: ignore[attr-defined]
    assert "score (mine)" in caplog.text and "give the part a higher version" in caplog.text


def test_a_failed_stage_is_not_done_and_runs_again(tmp_path: Path, tools: Tools) -> None:
    work = Work(fail=True)
    stage, store = Stage("a", work), ArtifactStore(tmp_path)
    with pytest.raises(TacosError, match="half-way"):
        store.run(stage, tools)
    assert not store.is_done(stage)
    assert (tmp_path / "a" / f"{stage.fingerprint}.partial" / "half.txt").exists()
    work.fail = False
    store.run(stage, tools)
    assert store.is_done(stage)


@pytest.mark.parametrize(
    "error",
    [
        OSError("Couldn't deserialize thrift: don't know what type"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    ],
)
def test_a_stage_that_cannot_read_its_inputs_names_their_folders(
    error: Exception, tmp_path: Path, tools: Tools
) -> None:
    def reads(job: Job) -> Outcome:
        raise error

    first = Stage("first", Work())
    with pytest.raises(TacosError, match=rf"second cannot read its inputs .*delete .*{first.fingerprint}"):
        ArtifactStore(tmp_path).run(Stage("second", reads, {}, {"in": first}), tools)


def test_every_stage_of_a_diamond_is_walked_once() -> None:
    root = Stage("root", Work())
    left, right = Stage("left", Work(), {}, {"r": root}), Stage("right", Work(), {}, {"r": root})
    top = Stage("top", Work(), {}, {"l": left, "r": right})
    assert [s.name for s in top.walk()] == ["root", "left", "right", "top"]


def test_a_folder_that_takes_no_files_is_named(tmp_path: Path, tools: Tools) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(TacosError, match=r"cannot write .*file"):
        ArtifactStore(blocked).run(Stage("a", Work()), tools)
    with pytest.raises(TacosError, match="cannot write"):
        write_text(blocked / "x.json", "{}")


def test_a_full_disk_leaves_the_stage_undone(tmp_path: Path, tools: Tools) -> None:
    def full(job: Job) -> Outcome:
        raise OSError(28, "No space left on device", str(job.out / "big"))

    stage, store = Stage("a", full), ArtifactStore(tmp_path)
    with pytest.raises(TacosError, match=r"big: No space left on device; free space"):
        store.run(stage, tools)
    assert not store.is_done(stage)


def test_a_file_is_whole_or_as_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.json"
    write_text(path, "old")

    def no_space(self: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", no_space)
    with pytest.raises(TacosError, match="No space left"):
        write_text(path, "new")
    assert path.read_text() == "old"


def test_the_done_record_says_what_made_it(tmp_path: Path, tools: Tools) -> None:
    stage = Stage("a", Work(), {"alpha": 20})
    record = read_json(ArtifactStore(tmp_path).run(stage, tools) / "done.json")
    assert record["settings"] == {"alpha": 20}
    assert {"torch", "transformers", "trl"} <= set(record["packages"])
    assert record["commit"]


def test_a_stage_that_another_process_repaired_meanwhile_is_not_worked_on_again(tmp_path: Path) -> None:
    """Two stores that both ask again for failed rows: the second waits, and takes what the first has made."""
    worked: list[str] = []

    def work(job: Job) -> Outcome:
        worked.append("work")
        (job.out / "t.txt").write_text("t")
        job.tools.ledger.add(Usage(failed_calls=1 if len(worked) == 1 else 0, calls=1))
        return Outcome(rows_failed=1 if len(worked) == 1 else 0)

    tools = Tools(ledger=Ledger(), embedder=None, llm=None)  # type: ignore[arg-type]
    stage = Stage("ask", work, {})
    ArtifactStore(tmp_path).run(stage, tools)
    first, second = (ArtifactStore(tmp_path, retry_failed=True) for _ in range(2))
    assert not first.is_done(stage) and not second.is_done(stage)
    with held(first.folder(stage), "ask"):
        waiting = threading.Thread(target=lambda: second.run(stage, tools))
        waiting.start()
        time.sleep(0.2)
        done = first.record(stage)
        write_json(first.folder(stage) / DONE, done.model_copy(update={"created": "later", "usage": Usage()}))
    waiting.join(30)
    assert len(worked) == 1 and second.is_done(stage)
