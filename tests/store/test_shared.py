"""Finished stages behind a URL: paid once by machines without a common disk, held by one at a time, whole or absent."""

from __future__ import annotations

import json
import threading
import time
import uuid
from pathlib import Path

import fsspec
import pytest

from tacos.artifacts import ArtifactStore
from tacos.config import parse
from tacos.errors import ConfigError, TacosError
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.pipeline.select import select
from tacos.pipeline.settings import SelectSettings
from tacos.pipeline.tools import open_store
from tacos.stage import DONE, Job, Outcome, Stage
from tacos.store.shared import SharedFolder
from tests.pipeline.helpers import scripted_tools, write_pool


@pytest.fixture
def url() -> str:
    return f"memory://shared-{uuid.uuid4().hex}/tacos"


def folder(url: str, lease_s: float = 5.0) -> SharedFolder:
    return SharedFolder(url, lease_s=lease_s, settle_s=0.01, poll_s=0.01)


class Counted:
    """A stage of two files whose work is counted, and one that rests on it."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.first = Stage("first", self._first)
        self.second = Stage("second", self._second, {}, {"first": self.first})

    def _first(self, job: Job) -> Outcome:
        self.done.append("first")
        (job.out / "deep").mkdir(exist_ok=True)
        (job.out / "deep" / "a.txt").write_text("one")
        return Outcome(rows_out=1)

    def _second(self, job: Job) -> Outcome:
        self.done.append("second")
        (job.out / "b.txt").write_text((job.inputs["first"] / "deep" / "a.txt").read_text() + " two")
        return Outcome(rows_out=2)


def machine(root: Path, url: str) -> ArtifactStore:
    return ArtifactStore(root, shared=folder(url))


def test_what_one_machine_finished_another_does_not_do(tmp_path: Path, url: str) -> None:
    stages = Counted()
    tools = scripted_tools(tmp_path / "r.sqlite", ScriptedLLM(str))
    machine(tmp_path / "a", url).run(stages.first, tools)
    other = machine(tmp_path / "b", url)
    assert other.is_done(stages.first) and other.record(stages.first).outcome.rows_out == 1
    assert not other.path(stages.first).exists()  # its files are fetched where they are read
    made = other.run(stages.second, tools)
    assert stages.done == ["first", "second"] and (made / "b.txt").read_text() == "one two"
    third = machine(tmp_path / "c", url)
    assert (third.run(stages.second, tools) / "b.txt").read_text() == "one two"
    assert stages.done == ["first", "second"] and not third.path(stages.first).exists()


def test_a_stage_is_there_as_a_whole_or_not_at_all(tmp_path: Path, url: str) -> None:
    stages, tools = Counted(), scripted_tools(tmp_path / "r.sqlite", ScriptedLLM(str))
    whole = machine(tmp_path / "a", url).run(stages.first, tools)
    shared, place = folder(url), f"first/{stages.first.fingerprint}"
    shared.fs.rm_file(f"{shared.root}/{place}/{DONE}")  # as where its upload was killed
    assert shared.done(place) is None
    other = machine(tmp_path / "b", url)
    assert not other.is_done(stages.first)
    other.run(stages.first, tools)
    assert stages.done == ["first", "first"] and shared.done(place) is not None
    shared.get(place, tmp_path / "c" / "first")
    assert (tmp_path / "c" / "first" / "deep" / "a.txt").read_text() == "one"
    assert {p.name for p in whole.rglob("*")} == {"deep", "a.txt", DONE}
    assert list((tmp_path / "c").iterdir()) == [tmp_path / "c" / "first"]


def test_one_holds_the_lease(tmp_path: Path, url: str) -> None:
    order: list[str] = []

    def hold(name: str, seconds: float) -> None:
        with folder(url).lease("tag/1", "tag"):
            order.append(f"{name} in")
            time.sleep(seconds)
            order.append(f"{name} out")

    threads = [threading.Thread(target=hold, args=(str(number), 0.15)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [step.split()[1] for step in order] == ["in", "out"] * 4
    assert not fsspec.filesystem("memory").exists(f"{folder(url).root}/tag/1.lease")


def test_a_lease_is_renewed_while_its_holder_lives_and_taken_over_after(url: str) -> None:
    short, path = folder(url, lease_s=0.3), f"{folder(url).root}/tag/1.lease"
    with short.lease("tag/1", "tag"):
        first = json.loads(short.fs.cat_file(path))["until"]
        time.sleep(0.5)
        assert json.loads(short.fs.cat_file(path))["until"] > first + 0.2
    dead = {"token": "gone", "owner": "process 1 on elsewhere", "until": time.time() + 0.2}
    short.fs.pipe_file(path, json.dumps(dead).encode())
    before = time.time()
    with short.lease("tag/1", "tag"):
        assert time.time() >= dead["until"] > before
    short.fs.pipe_file(path, b"{cut")
    with short.lease("tag/1", "tag"):
        pass


def test_a_lease_that_was_taken_over_is_left_to_its_new_holder(url: str) -> None:
    """As after a holder could not be reached for longer than its lease."""
    short, path = folder(url, lease_s=0.3), f"{folder(url).root}/tag/1.lease"
    other = {"token": "other", "owner": "process 1 on elsewhere", "until": time.time() + 60}
    with short.lease("tag/1", "tag"):
        short.fs.pipe_file(path, json.dumps(other).encode())
        time.sleep(0.3)
    assert json.loads(short.fs.cat_file(path)) == other


def test_a_selection_of_two_machines(tmp_path: Path) -> None:
    """Over a folder as the URL, since both have what is in memory."""
    pool = write_pool(tmp_path / "pool.jsonl")
    for name in ("a", "b"):
        said = {
            "pool": {"source": str(pool)},
            "method": "longest",
            "budget": 6,
            "tracking": {"mode": "disabled"},
        }
        said |= {"artifacts": str(tmp_path / name / "artifacts"), "runs": str(tmp_path / name / "runs")}
        settings = parse(SelectSettings, said | {"shared": f"file://{tmp_path}/shared"})
        select(settings, tmp_path / name / "out.jsonl")
    assert (tmp_path / "a" / "out.jsonl").read_bytes() == (tmp_path / "b" / "out.jsonl").read_bytes()
    done = [
        {
            path.parent.name: path.read_bytes()
            for path in (tmp_path / name / "artifacts").glob("*/*/done.json")
        }
        for name in ("a", "b")
    ]
    assert done[1].items() <= done[0].items() and len(done[0]) == 3  # the other did nothing of it again
    assert open_store(settings).shared is not None


def test_what_cannot_be_shared_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="shared=nowhere://x"):
        SharedFolder("nowhere://x")
    (tmp_path / "file").write_text("no folder")
    stages = Counted()
    store = ArtifactStore(tmp_path / "a", shared=SharedFolder(f"file://{tmp_path}/file"))
    with pytest.raises(TacosError, match="cannot be reached"):
        store.run(stages.first, scripted_tools(tmp_path / "r.sqlite", ScriptedLLM(str)))
