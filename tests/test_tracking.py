"""W&B stands beside the result: whatever is wrong with it is a note."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tacos.tracking import Tracker, wandb_problem
from tests.wandb_log import runs


def test_an_offline_run_holds_what_was_logged(tmp_path: Path) -> None:
    tracker = Tracker("tests", "r", tmp_path, {"a": 1}, "offline")
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
    tracker = use(Tracker("tests", "r", tmp_path, {}, "offline"))
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
    monkeypatch.setattr("tacos.tracking._logged_in", lambda: False)
    assert "run `wandb login`, or set WANDB_MODE=offline" in (wandb_problem("offline", tmp_path) or "")
    assert use(Tracker("tests", "r", tmp_path, {})).run is None


def test_what_wandb_refuses_is_found_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> bool:
        raise ValueError("the key has 5 characters.\nAnd more")

    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setattr("tacos.tracking._logged_in", refuse)
    told = "the key has 5 characters: correct it, or set WANDB_MODE=disabled"
    assert wandb_problem("offline", tmp_path) == told
    monkeypatch.setenv("WANDB_BASE_URL", "no url")
    assert "WANDB_BASE_URL: Input should be a valid URL" in (wandb_problem("offline", tmp_path) or "")


def test_an_empty_mode_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "")
    tracker = Tracker("tests", "r", tmp_path, {}, "offline")
    tracker.finish()
    assert tracker.problem is None and len(runs(tmp_path)) == 1


def test_a_folder_that_takes_no_files_is_named(tmp_path: Path) -> None:
    (tmp_path / "wandb").touch()
    assert f"{tmp_path / 'wandb'} takes no files" in (wandb_problem("offline", tmp_path) or "")
    assert use(Tracker("tests", "r", tmp_path, {})).run is None


def test_an_error_on_the_way_ends_the_tracking_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def log(self, values: Any) -> None:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("tacos.tracking._start", lambda *what: Broken())
    tracker = use(Tracker("tests", "r", tmp_path, {}))
    assert "No space left" in (tracker.problem or "") and tracker.run is None


def test_what_does_not_start_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*what: Any) -> None:
        raise PermissionError("logs is not writable")

    monkeypatch.setattr("tacos.tracking._start", refuse)
    assert use(Tracker("tests", "r", tmp_path, {})).problem == "logs is not writable"
