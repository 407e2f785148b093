"""Several processes: they really start, and train to what one process trains to."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from tacos.answering.heldout import heldout_loss
from tacos.errors import ConfigError, TacosError
from tacos.store.fingerprint import plain
from tacos.types import Pool
from tests.train.helpers import SETTINGS, losses, train, training
from train import launch, worker
from train.settings import LaunchSettings, LoraSettings, TrainRun, TrainSettings
from train.tiny import TINY, TinySettings

DEEPSPEED = Path(__file__).parents[2] / "configs" / "deepspeed"
TWO = {"launch": LaunchSettings(processes=2)}
REQUEST = Path("out/train.yaml")


@pytest.fixture(scope="module")
def alone(micro_pool, micro_base, tmp_path_factory) -> Path:
    """The same training in one process."""
    out = tmp_path_factory.mktemp("alone") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        train(micro_pool, micro_base, SETTINGS, 0, out)
    return out


def spread(stage: str | None, **changes) -> TrainSettings:
    sharded = {"deepspeed": str(DEEPSPEED / f"{stage}.json")} if stage else {}
    return SETTINGS.model_copy(update=TWO | sharded | changes)


@pytest.mark.slow
@pytest.mark.parametrize(
    "stage", [None, "zero1", "zero3", "zero3_offload"]
)  # zero2 below, where it is killed
def test_two_processes_train_to_what_one_does(stage, alone, micro_pool, micro_base, tmp_path, monkeypatch):
    if stage:
        pytest.importorskip("deepspeed")
    compiled = tmp_path / "compiled"
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", str(compiled))
    trained = train(micro_pool, micro_base, spread(stage), 0, tmp_path)
    assert trained.steps == 6 and not compiled.exists()
    assert_same_training(tmp_path, alone, micro_pool)


def assert_same_training(mine: Path, theirs: Path, pool: Pool) -> None:
    """theirs: of one process."""
    assert losses(mine) == pytest.approx(losses(theirs), abs=1e-3)
    model = AutoModelForCausalLM.from_pretrained(mine / "model")
    whole = load_file(theirs / "model" / "model.safetensors")
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in whole.values())
    loss, wanted = (heldout_loss(str(folder / "model"), pool, 256) for folder in (mine, theirs))
    assert loss == pytest.approx(wanted, abs=1e-3)
    assert not (mine / "checkpoints").exists()


@pytest.mark.slow
def test_adapters_on_shards_are_merged(micro_pool, micro_base, tmp_path):
    pytest.importorskip("deepspeed")
    changed = {"mode": "lora", "lr": 5e-2, "validation": 0.2, "neftune_alpha": 5.0}
    trained = train(micro_pool, micro_base, spread("zero3", **changed), 0, tmp_path)
    before, after = (heldout_loss(str(path), micro_pool, 256) for path in (micro_base, tmp_path / "model"))
    assert after < before - 0.1 and trained.validation_loss is not None


@pytest.mark.slow
def test_a_killed_deepspeed_run_goes_on(micro_pool, micro_base, tmp_path):
    pytest.importorskip("deepspeed")
    settings = spread("zero2", steps=60, save_steps=2, lr=1e-3)
    run = training(micro_pool, micro_base, settings, 0, tmp_path / "out")
    request = tmp_path / "request.yaml"
    request.write_text(yaml.safe_dump(plain(run)))
    command = [
        sys.executable,
        "-c",
        "import sys; from tacos.config import load; from pathlib import Path;"
        "from train.launch import fine_tune; from train.settings import TrainRun;"
        "fine_tune(load(TrainRun, Path(sys.argv[1])))",
        str(request),
    ]
    started = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    saved = tmp_path / "out" / "checkpoints"
    while not any(saved.glob("checkpoint-*/latest")):
        assert started.poll() is None
        time.sleep(0.01)
    started.kill()
    started.wait()
    time.sleep(2)  # until the workers have noticed
    assert not (tmp_path / "out" / "trained.json").exists()
    assert launch.fine_tune(run).steps == 60
    in_one = settings.model_copy(update={"deepspeed": None, "launch": LaunchSettings()})
    train(micro_pool, micro_base, in_one, 0, tmp_path / "one")
    assert_same_training(tmp_path / "out", tmp_path / "one", micro_pool)


@pytest.mark.slow
def test_a_worker_that_fails_says_why(micro_pool, tmp_path):
    with pytest.raises(TacosError, match="cannot load the base model 'no/such-model'"):
        train(micro_pool, "no/such-model", spread(None), 0, tmp_path)


@pytest.fixture
def unwatched(monkeypatch) -> None:
    """Workers in this process, which nobody started."""
    monkeypatch.setattr(worker, "end_with", lambda launcher: None)


def test_what_a_library_raises_in_a_worker_is_said(unwatched, tmp_path, monkeypatch):
    def train(run: TrainRun) -> None:
        raise ValueError("Please correct:\n- ds bf16.enabled=True")

    out = tmp_path / "out"
    (tmp_path / REQUEST.name).write_text(f"{{data: d.jsonl, model: m, out: {out}}}")
    monkeypatch.setattr(worker, "train", train)
    with pytest.raises(ValueError, match="Please correct"):
        worker.main([str(tmp_path / REQUEST.name)])
    error = launch.failure(out, 1)
    assert str(error) == "a training process ended with ValueError: Please correct: - ds bf16.enabled=True"


@pytest.mark.parametrize("launched", [False, True])
def test_a_worker_that_nobody_launched_tells_its_error_itself(
    launched, unwatched, micro_pool, tmp_path, monkeypatch, caplog
):
    """As under Slurm: whoever started it does not read what it leaves in `out`."""
    run = training(micro_pool, "no/such-model", SETTINGS, 0, tmp_path / "out")
    (tmp_path / REQUEST.name).write_text(yaml.safe_dump(plain(run)))
    monkeypatch.delenv(launch.LAUNCHER, raising=False)
    if launched:
        monkeypatch.setenv(launch.LAUNCHER, "1")
    assert worker.main([str(tmp_path / REQUEST.name)]) == 1
    assert "cannot load the base model 'no/such-model'" in str(launch.failure(tmp_path / "out", 1))
    assert ("cannot load the base model" in caplog.text) is not launched


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give a file of settings: "),
        (["none.yaml"], "none.yaml"),
        (["{file}", "train.lrr=1"], "did you mean"),
    ],
)
def test_settings_that_a_worker_cannot_read_are_a_line(unwatched, words, message, tmp_path, caplog):
    (tmp_path / REQUEST.name).write_text("{data: d.jsonl, model: m}")
    assert worker.main([word.format(file=tmp_path / REQUEST.name) for word in words]) == 2
    (record,) = caplog.records
    assert message in record.message


def test_settings_that_a_worker_refuses_are_a_settings_error(unwatched, micro_pool, micro_base, tmp_path):
    wrong = SETTINGS.model_copy(update={"mode": "lora", "lora": LoraSettings(target=("q_projj",))})
    run = training(micro_pool, micro_base, wrong, 0, tmp_path / "out")
    request = tmp_path / REQUEST.name
    request.write_text(yaml.safe_dump(plain(run)))
    assert worker.main([str(request)]) == 1
    error = launch.failure(tmp_path / "out", 1)
    assert isinstance(error, ConfigError)
    assert re.search(r"train\.lora\.target: .*did you mean 'q_proj'", str(error))


def test_one_machine_is_torchrun():
    command = launch.worker_command(LaunchSettings(processes=8), REQUEST)
    assert command[1:] == [
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "8",
        "-m",
        "train.worker",
        "out/train.yaml",
    ]


def test_several_machines_meet_at_the_rendezvous():
    nodes = LaunchSettings(processes=8, nodes=2, node_rank=1, rendezvous="head:29500")
    command = " ".join(launch.worker_command(nodes, REQUEST))
    assert (
        "--nnodes 2 --node_rank 1 --rdzv_backend c10d --rdzv_endpoint head:29500 --nproc_per_node 8"
        in command
    )


def test_a_hostfile_is_deepspeeds():
    command = launch.worker_command(LaunchSettings(hostfile="hosts"), REQUEST)
    assert command[1:] == [
        "-m",
        "deepspeed.launcher.runner",
        "--hostfile",
        "hosts",
        "--module",
        "train.worker",
        "out/train.yaml",
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"nodes": 2}, "need rendezvous"), ({"nodes": 2, "rendezvous": "a:1", "node_rank": 2}, "ends at 1")],
)
def test_nodes_that_cannot_meet_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        LaunchSettings(**settings)


def test_deepspeed_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(launch.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"tacos-select\[deepspeed\]"):
        launch.fine_tune(TrainRun(data="d", model="m", train=spread("zero2")))
    with pytest.raises(ValidationError, match="no config file"):
        TrainSettings(deepspeed="zero9.json")


@pytest.fixture
def built(monkeypatch) -> list[int]:
    """The hidden size of each tiny base that is built while the test runs."""
    sizes: list[int] = []
    real = launch.build_tiny

    def build(texts, settings, out):
        sizes.append(settings.hidden)
        return real(texts, settings, out)

    monkeypatch.setattr(launch, "build_tiny", build)
    return sizes


def hidden(out: Path) -> int:
    return AutoModelForCausalLM.from_pretrained(out / "model").config.hidden_size


def test_a_tiny_base_is_built_anew_for_other_settings_or_data_and_else_kept(built, micro_pool, tmp_path):
    small = TinySettings(vocab_size=350, hidden=16, layers=1, heads=2, steps=1, batch_size=2, block=16)
    settings = SETTINGS.model_copy(update={"steps": 1})
    run = training(micro_pool, TINY, settings, 0, tmp_path / "out", tiny=small)
    for lr in (1e-3, 1e-2):  # of the training, not of the base
        launch.fine_tune(run.model_copy(update={"train": settings.model_copy(update={"lr": lr})}))
    assert built == [16]
    wide = run.model_copy(update={"tiny": small.model_copy(update={"hidden": 32})})
    launch.fine_tune(wide)
    assert built == [16, 32] and hidden(tmp_path / "out") == 32
    other = Pool.from_samples(list(micro_pool)[:30])
    again = training(other, TINY, settings, 0, tmp_path / "out", tiny=wide.tiny)
    words = (tmp_path / "out" / "base" / "tokenizer.json").read_text()
    launch.fine_tune(again)
    assert built == [16, 32, 32] and (tmp_path / "out" / "base" / "tokenizer.json").read_text() != words
    assert not (tmp_path / "out" / "base.new").exists()


def test_a_base_of_somebody_else_is_not_replaced(micro_pool, tmp_path):
    (tmp_path / "out" / "base").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"out/base is not of a training run and would be replaced"):
        launch.fine_tune(training(micro_pool, TINY, SETTINGS, 0, tmp_path / "out"))
