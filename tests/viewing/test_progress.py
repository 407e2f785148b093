"""How far a run is, while it works and after; and the shelf of runs that a page shows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tacos.errors import TacosError
from tacos.store.held import held, works_since
from tacos.viewing.progress import RunProgress, Watch
from tacos.viewing.run_folder import RunFolder
from tacos.viewing.run_stages import STAGES, CellPlace, list_cells, read_cells
from tacos.viewing.shelf import Shelf
from tests.viewing.runs import made_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made_run(tmp_path)


def look(folder: Path, reported: bool = False) -> RunProgress:
    return Watch().look(RunFolder(folder), reported)


def undone(folder: Path) -> Path:
    """The selection of the longest, which is taken away."""
    stage = RunFolder(folder).arm("longest").select.path
    shutil.rmtree(stage)
    return stage


def test_what_is_done_has_its_price(folder: Path) -> None:
    found = look(folder)
    assert found.state == "finished" and found.done == found.of
    assert found.steps == ["select", "refine", "answer", "judge"]
    tacos = next(arm for arm in found.arms if arm.arm == "tacos")
    assert {step.state for step in tacos.steps.values()} == {"done"}
    assert tacos.steps["select"].of > 3 and tacos.steps["answer"].of == 1  # load, tag, compare, ...
    assert tacos.steps["select"].usage.calls > 0 and found.usage.calls >= tacos.steps["select"].usage.calls
    shared = sum(step.usage.calls for arm in found.arms for step in arm.steps.values())
    assert found.usage.calls < shared  # the refined arm rests on the tags of the other


def test_what_works_stops_and_waits(folder: Path) -> None:
    stage = undone(folder)
    longest = {arm.arm: arm for arm in look(folder).arms}["longest"].steps["select"]
    assert longest.state == "waiting" and longest.done == longest.of - 1 and look(folder).state == "waiting"
    with held(stage, "select"):
        found = look(folder, reported=True)
        assert found.state == "working" and works_since(stage) is not None
        working = {arm.arm: arm for arm in found.arms}["longest"].steps["select"]
        assert working.state == "working" and working.now == "select"
    stage.with_name(f"{stage.name}.partial").mkdir()
    found = look(folder)
    assert (
        found.state == "stopped" and {a.arm: a for a in found.arms}["longest"].steps["select"].now == "select"
    )
    stage.with_name(f"{stage.name}.owner").write_text("process 1 on here")  # it was killed
    assert look(folder).state == "stopped" and works_since(stage) is None
    assert look(folder, reported=True).state == "finished"  # an arm of it failed, as the results say


def test_a_run_is_read_again_when_it_goes_on(folder: Path) -> None:
    stage = undone(folder)
    run = Shelf([folder])["shown"]
    assert "longest" not in {one.arm for one in run.overview().selections}
    with pytest.raises(KeyError):
        run.arm("longest")
    kept = RunFolder(folder).arm("random").select.path
    shutil.copytree(kept, stage)
    assert "longest" in {one.arm for one in run.overview().selections}
    assert run.arm("longest").rows


def test_a_run_that_has_selected_nothing(folder: Path, tmp_path: Path) -> None:
    for arm in RunFolder(folder).arms:
        shutil.rmtree(arm.select.path, ignore_errors=True)
        shutil.rmtree(arm.last.path, ignore_errors=True)
    run = Shelf([folder])["shown"]
    assert run.overview().pool == 0 and run.overview().selections == []
    with pytest.raises(TacosError, match="has selected nothing yet"):
        RunFolder(folder).arm("tacos")
    (folder / STAGES).write_text('{"arms": 3}')
    with pytest.raises(TacosError, match="cannot be read: run the command again"):
        Shelf([folder])


def test_cells_of_an_experiment(tmp_path: Path) -> None:
    folder = made_run(tmp_path)
    grid = folder.parent / "grid"
    begun = CellPlace(name="small, 8", where={"pools": "small", "budgets": "8"}, folder="small-8")
    to_come = CellPlace(name="small, 16", where={"pools": "small", "budgets": "16"}, folder="small-16")
    list_cells(grid, [begun, to_come])
    assert read_cells(grid) == (begun, to_come) and read_cells(folder) == ()
    shutil.copytree(folder, grid / "small-8")
    for named in (folder.parent, grid):
        cards = {card.name: card for card in Shelf([named]).cards()}
        assert cards["grid--small-8"].experiment == "grid" and cards["grid--small-8"].cell == "small, 8"
        assert cards["grid--small-8"].progress.state == "finished"
        assert cards["grid--small-16"].progress.state == "waiting"
        assert ("shown" in cards) == (named == folder.parent)
    shelf = Shelf([grid])
    shutil.copytree(folder, grid / "small-16")
    assert {card.progress.state for card in shelf.cards()} == {"finished"} and "grid--small-16" in shelf
