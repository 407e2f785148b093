"""W&B stands beside the result: whatever is wrong with it is a note."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tacos.errors import ConfigError
from tacos.tracking.problem import wandb_problem
from tacos.tracking.public import public
from tacos.tracking.settings import TrackingSettings
from tacos.tracking.tracker import Artifact, TrackedRun, Tracker
from tests.wandb_log import runs

pytestmark = pytest.mark.usefixtures("offline")
SHOWN = TrackedRun(id="tests-1", name="r", group="g", job="select", tags=("tacos", "pool:x"))


def made(folder: Path, config: dict[str, Any] | None = None, **settings: Any) -> Tracker:
    return Tracker(TrackingSettings(project="tests", **settings), folder, SHOWN, config or {})


def test_an_offline_run_holds_what_was_logged(tmp_path: Path) -> None:
    tracker = made(tmp_path, {"a": 1})
    tracker.log({"x": 1})
    tracker.table("t", [{"a": 1}])
    tracker.summary({"y": 2})
    tracker.finish()
    (run,) = runs(tmp_path)
    assert tracker.problem is None and run["config"]["a"] == 1 and run["summary"]["y"] == 2


@pytest.mark.parametrize(
    ("mode", "said"),
    [("xyz", "WANDB_MODE is 'xyz': known:"), ("oflline", "did you mean 'offline'")],
)
def test_a_wrong_mode_is_found_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_MODE", mode)
    assert said in (wandb_problem("offline", tmp_path) or "")
    tracker = use(made(tmp_path))
    assert said in (tracker.problem or "") and said in caplog.text and list(tmp_path.iterdir()) == []


def use(tracker: Tracker) -> Tracker:
    """Everything one can do with it."""
    tracker.log({"x": 1})
    tracker.table("t", [{"a": 1}])
    tracker.image("i", Path("no.png"))
    tracker.summary({"y": 2})
    tracker.finish()
    return tracker


def test_no_login_is_found_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setattr("tacos.tracking.problem._logged_in", lambda: False)
    assert "run `wandb login`, or set WANDB_MODE=offline" in (wandb_problem("offline", tmp_path) or "")
    assert use(made(tmp_path)).run is None


def test_what_wandb_refuses_is_found_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> bool:
        raise ValueError("the key has 5 characters.\nAnd more")

    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setattr("tacos.tracking.problem._logged_in", refuse)
    told = "the key has 5 characters: correct it, or set WANDB_MODE=disabled"
    assert wandb_problem("offline", tmp_path) == told
    monkeypatch.setenv("WANDB_BASE_URL", "no url")
    assert "WANDB_BASE_URL: Input should be a valid URL" in (wandb_problem("offline", tmp_path) or "")


def test_an_empty_mode_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "")
    tracker = made(tmp_path)
    tracker.finish()
    assert tracker.problem is None and len(runs(tmp_path)) == 1


def test_a_folder_that_takes_no_files_is_named(tmp_path: Path) -> None:
    (tmp_path / "wandb").touch()
    assert f"{tmp_path / 'wandb'} takes no files" in (wandb_problem("offline", tmp_path) or "")
    assert use(made(tmp_path)).run is None


def test_an_error_on_the_way_ends_the_tracking_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def define_metric(self, *what: Any, **how: Any) -> None: ...

        def log(self, values: Any) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("tacos.tracking.tracker._start", lambda *what: Broken())
    tracker = use(made(tmp_path))
    assert "No space left" in (tracker.problem or "") and tracker.run is None


def test_what_does_not_start_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*what: Any) -> None:
        raise PermissionError("logs is not writable")

    monkeypatch.setattr("tacos.tracking.tracker._start", refuse)
    assert use(made(tmp_path)).problem == "logs is not writable"


def test_the_command_s_end_is_the_run_s(tmp_path: Path) -> None:
    with pytest.raises(ConfigError), made(tmp_path):
        raise ConfigError("no such setting")
    (run,) = runs(tmp_path)
    assert run["exit"] == 2


def test_a_long_table_is_a_sample_and_says_so(tmp_path: Path) -> None:
    with made(tmp_path, table_rows=3) as tracker:
        tracker.table("t", [{"n": n, "mixed": n if n % 2 else "text"} for n in range(11)])
    (run,) = runs(tmp_path)
    assert (run["summary"]["t_rows"], run["summary"]["t_rows_shown"]) == (11, 3)
    (table,) = tmp_path.glob("wandb/offline-run-*/files/media/table/*.json")
    assert [row[0] for row in json.loads(table.read_text())["data"]] == [0, 5, 10]


def test_artifacts_hold_small_files_and_name_large_ones(tmp_path: Path) -> None:
    small, large = tmp_path / "small.txt", tmp_path / "large.txt"
    small.write_text("a" * 10)
    large.write_text("a" * 2000)
    kept = Artifact(
        name="answers-1", type="answers", files={p.name: p for p in (small, large)}, about={"p": str(small)}
    )
    with made(tmp_path, max_file_mb=0.001) as tracker:
        tracker.keep(kept)
        tracker.keep(
            Artifact(name="pool-1", type="pool", known_as={"pool": "tacos://load/1/pool"}), used=True
        )
    (run,) = runs(tmp_path)
    own, pool = run["artifacts"]
    assert own["files"] == {"small.txt": 10, "large.txt": "tacos://answers-1/large.txt?bytes=2000"}
    assert (own["used"], pool["used"], pool["files"]) == (False, True, {"pool": "tacos://load/1/pool"})


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("/home/ann/pool.jsonl", ".../pool.jsonl"),
        ("~/models/base", ".../base"),
        ("file:///data/x.json", ".../x.json"),
        (r"C:\Users\ann\x.csv", ".../x.csv"),
        ("org/model", "org/model"),
        ("../shared/x", "../shared/x"),
        ("https://host/v1", "https://host/v1"),
        (["/a/b", {"c": "/d/e"}], [".../b", {"c": ".../e"}]),
        (3, 3),
    ],
)
def test_paths_of_this_machine_lose_their_folders(value: Any, shown: Any) -> None:
    assert public(value) == shown


def test_a_run_that_goes_on_knows_what_its_server_has(tmp_path: Path) -> None:
    class Resumed:
        resumed, summary = True, {"stage/train/rows_told": 4}

    tracker = made(tmp_path)
    assert tracker.known("stage/train/rows_told") is None
    tracker.finish()
    tracker.run = Resumed()
    assert tracker.known("stage/train/rows_told") == 4
