from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from tacos.errors import ConfigError
from train.checkpoints import IDENTITY, refuse_foreign, resume_point

RUN = {"samples": "ab", "seed": 0, "train.betas": (0.9, 0.95)}
STATES = ("optimizer.pt", "scheduler.pt", "rng_state.pth")
FULL = ("model.safetensors", *STATES)
ADAPTER = ("adapter_model.safetensors", "adapter_config.json", *STATES)


def write(path: Path) -> None:
    if path.suffix == ".safetensors":
        save_file({"weight": np.zeros(50)}, path)
    elif path.suffix in (".pt", ".pth"):
        torch.save({"step": 2, "moments": torch.zeros(50)}, path)
    else:
        path.write_text("{}")


def checkpoint(folder: Path, step: int, names: tuple[str, ...] = FULL, state: str = "{}") -> Path:
    path = folder / f"checkpoint-{step}"
    path.mkdir(parents=True)
    for name in names:
        write(path / name)
    (path / "trainer_state.json").write_text(state)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert resume_point(tmp_path, RUN) is None
    return tmp_path


def test_the_highest_step_is_taken_as_a_number(folder):
    first, last = checkpoint(folder, 9), checkpoint(folder, 10)
    assert resume_point(folder, RUN) == last and first.exists()


@pytest.mark.parametrize("names", [FULL, ADAPTER])
def test_every_file_counts(folder, names):
    good = checkpoint(folder, 2, names)
    for step, missing in enumerate(names, start=3):
        checkpoint(folder, step, tuple(n for n in names if n != missing))
    torn = checkpoint(folder, 20, names, state='{"global_step": 2')
    empty = checkpoint(folder, 21, names)
    (empty / "optimizer.pt").write_text("")
    assert resume_point(folder, RUN) == good
    assert [p.name for p in folder.glob("checkpoint-*")] == ["checkpoint-2"] and not torn.exists()


@pytest.mark.parametrize("name", [*FULL, "config.json", "global_step2/mp_rank_00_model_states.pt"])
def test_a_file_that_is_cut_off_counts_as_missing(folder, name):
    torn = checkpoint(folder, 3, (*FULL, "config.json"))
    (torn / "global_step2").mkdir()
    write(torn / "global_step2" / "mp_rank_00_model_states.pt")
    assert resume_point(folder, RUN) == torn
    size = (torn / name).stat().st_size
    os.truncate(torn / name, size - 1)
    assert resume_point(folder, RUN) is None and not torn.exists()


def test_shards_are_whole_when_the_index_has_them_all(folder):
    path = checkpoint(folder, 2, (*STATES, "a.safetensors"))
    index = {"weight_map": {"x": "a.safetensors", "y": "b.safetensors"}}
    (path / "model.safetensors.index.json").write_text(json.dumps(index))
    write(path / "b.safetensors")
    assert resume_point(folder, RUN) == path
    (path / "b.safetensors").unlink()
    assert resume_point(folder, RUN) is None


def test_deepspeed_names_its_own_files(folder):
    path = checkpoint(folder, 2, ("latest", "rng_state_0.pth"))
    assert resume_point(folder, RUN, deepspeed=True) == path
    assert resume_point(folder, RUN) is None and not path.exists()


@pytest.mark.parametrize("text", [None, "{", "[]", '{"seed": 0}'])
def test_an_identity_that_says_less_is_another_run(folder, text):
    path = checkpoint(folder, 2)
    (folder / IDENTITY).unlink() if text is None else (folder / IDENTITY).write_text(text)
    assert resume_point(folder, RUN) is None and not path.exists()
    path = checkpoint(folder, 2)
    assert resume_point(folder, RUN) == path


def test_other_files_are_left_alone(folder):
    for name in ("checkpoint-best", "logs"):
        (folder / name).mkdir()
    assert resume_point(folder, RUN | {"seed": 1}) is None
    assert sorted(p.name for p in folder.iterdir()) == ["checkpoint-best", IDENTITY, "logs"]


@pytest.mark.parametrize("name", ["model", "adapter", "checkpoints", "epochs", "history.jsonl", "model.new"])
def test_a_folder_that_no_training_wrote_is_not_replaced(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(ConfigError, match="not of a training run"):
        refuse_foreign(tmp_path)
    (tmp_path / "trained.json").write_text("{}")
    refuse_foreign(tmp_path)
