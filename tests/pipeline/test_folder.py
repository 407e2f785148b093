"""The run folder: links of ours come and go, anything else stops the run before it works."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tacos.config import parse
from tacos.data.read import read_pool
from tacos.errors import BudgetError, ConfigError
from tacos.pipeline.folder import check_run_folder
from tacos.pipeline.run import run_experiment
from tacos.pipeline.select import select
from tacos.pipeline.settings import ExperimentSettings, SelectSettings
from tests.pipeline.helpers import write_pool


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    return write_pool(tmp_path / "pool.jsonl", 24)


def experiment(pool: Path, **changes: object) -> ExperimentSettings:
    root = pool.parent
    data = {
        "name": "mine",
        "pool": {"source": str(pool)},
        "budget": 4,
        "train": None,
        "baseline": "random",
        "controls": [],
        "arms": {"random": {"method": "random"}},
        "artifacts": str(root / "artifacts"),
        "runs": str(root / "runs"),
        "tracking": {"mode": "disabled"},
    }
    return parse(ExperimentSettings, data | changes)


def test_links_are_replaced_by_the_next_run(pool: Path) -> None:
    for _ in range(2):
        _, folder = run_experiment(experiment(pool))
    assert [p.name for p in (folder / "artifacts").iterdir()] == ["random-seed0-select"]
    assert (folder / "artifacts" / "random-seed0-select" / "selection.jsonl").is_file()


def test_a_run_that_is_refused_leaves_a_finished_one_as_it_was(pool: Path) -> None:
    _, folder = run_experiment(experiment(pool))
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(BudgetError, match="above the 24 samples"):
        run_experiment(experiment(pool, budget=25))
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_results_of_other_settings_are_not_replaced_without_a_word(
    pool: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run_experiment(experiment(pool))
    run_experiment(experiment(pool))
    assert "results of other settings" not in caplog.text
    run_experiment(experiment(pool, budget=5))
    assert "runs/mine has results of other settings (budget), and gets new ones" in caplog.text


@pytest.mark.parametrize("kind", ["file", "folder", "link", "links are a link"])
def test_what_is_not_ours_stops_the_run_and_stays(pool: Path, kind: str) -> None:
    folder = pool.parent / "runs" / "mine"
    thing = folder / "artifacts" / "thesis"
    (folder / "artifacts").parent.mkdir(parents=True)
    (folder / "config.yaml").write_text("name: mine\n")
    if kind == "links are a link":
        (pool.parent / "elsewhere").mkdir()
        (folder / "artifacts").symlink_to(pool.parent / "elsewhere")
    else:
        (folder / "artifacts").mkdir()
    if kind == "file":
        thing.write_text("years of work")
    elif kind == "folder":
        thing.mkdir()
    elif kind == "link":
        thing.symlink_to(pool)
    with pytest.raises(ConfigError, match="that tacos made"):
        run_experiment(experiment(pool))
    assert (folder / "artifacts").is_symlink() or thing.exists()
    assert not (pool.parent / "artifacts").exists(), "refused before any work"


@pytest.mark.parametrize("where", ["runs/mine/artifacts", "runs/mine", "runs"])
def test_artifacts_and_run_folder_are_kept_apart(pool: Path, where: str) -> None:
    root = pool.parent
    if where == "runs":
        check_run_folder(root / "runs" / "mine", root / "artifacts")
        return
    with pytest.raises(ConfigError, match="lie in each other"):
        run_experiment(experiment(pool, artifacts=str(root / where)))
    assert not (root / "runs").exists()


def test_a_folder_of_something_else_is_not_written_into(pool: Path) -> None:
    folder = pool.parent / "runs" / "mine"
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("a page of mine")
    with pytest.raises(ConfigError, match="not of a run"):
        run_experiment(experiment(pool))
    assert (folder / "report.html").read_text() == "a page of mine"


def test_a_selection_never_overwrites_its_pool(pool: Path) -> None:
    before = pool.read_text()
    settings = parse(
        SelectSettings,
        {
            "pool": {"source": str(pool)},
            "method": "random",
            "budget": 4,
            "artifacts": str(pool.parent / "a"),
            "runs": str(pool.parent / "runs"),
        },
    )
    link = pool.parent / "link.jsonl"
    link.symlink_to(pool)
    for out in (pool, link):
        with pytest.raises(ConfigError, match="which is read"):
            select(settings, out)
    assert pool.read_text() == before


def test_a_selection_never_overwrites_a_file_that_is_given(pool: Path) -> None:
    given = pool.parent / "given.jsonl"
    rows = [{"id": id, "value": i, "group": "a"} for i, id in enumerate(read_pool(str(pool)).pool.ids)]
    given.write_text("".join(json.dumps(row) + "\n" for row in rows))
    before = given.read_text()
    part = {"by": "file", "path": str(given)}
    for parts in ({"score": part, "group": "none"}, {"score": "length", "group": part}):
        data = {"pool": {"source": str(pool)}, "method": "recipe", "allocate": "top", "budget": 4, **parts}
        with pytest.raises(ConfigError, match=r"given\.jsonl, which is read: give the output another name"):
            select(parse(SelectSettings, data), given)
    assert given.read_text() == before
