"""One training over as many processes as its settings ask for.

One process trains right here. More are started by torchrun on this machine or, with a hostfile, by
DeepSpeed's launcher over ssh; each runs `python -m train.worker` on the same settings, and the main one
leaves the result in `out/trained.json`. Under a scheduler such as Slurm, start the workers yourself:

    srun torchrun --nnodes 2 --nproc_per_node 8 --rdzv_backend c10d --rdzv_endpoint $HEAD:29500 \\
        -m train.worker configs/train/llama2_7b_full_zero3.yaml data=out/tacos_1k.jsonl
"""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tacos.data.read import read_pool
from tacos.errors import ConfigError, TacosError
from tacos.store.files import read_json, write_json, write_text
from tacos.store.fingerprint import fingerprint, plain
from tacos.types import Trained
from train.checkpoints import has_weights, make_out
from train.processes import on_cpu
from train.settings import LaunchSettings, TrainRun
from train.sft import finished, identity, quiet, train
from train.tiny import TINY, build_tiny

log = logging.getLogger(__name__)
REQUEST = "train.yaml"
MADE_FROM = "made_from.json"
FAILURE, REFUSAL = "error-{rank}.txt", "refused-{rank}.txt"
"""What a worker could not do, and what it would not, for the settings."""
LAUNCHER = "TACOS_LAUNCHER"
"""The variable that tells workers on this machine the process to end with."""


def fine_tune(run: TrainRun) -> Trained:
    """`train.sft.train`, over the processes of `run.train.launch`.

    Raises: TacosError for what a worker could not do, in its words; ConfigError for settings that it refused, and
    without DeepSpeed where they ask for it.
    """
    check_deepspeed(run)
    quiet(run.train)
    run = with_base(run)
    launch, out = run.train.launch, Path(run.out)
    if launch.hostfile is None and launch.processes * launch.nodes == 1 and run.train.deepspeed is None:
        return train(run)
    who = identity(run, read_pool(run.data).pool)
    if done := finished(out, who):
        log.info("%s is trained already", out / "model")
        return done
    make_out(out)
    for old in (path for name in (FAILURE, REFUSAL) for path in out.glob(name.format(rank="*"))):
        old.unlink()
    write_text(out / REQUEST, yaml.safe_dump(plain(run), sort_keys=False, allow_unicode=True))
    command = worker_command(launch, out / REQUEST)
    log.info("starting %s", " ".join(command))
    # What workers print goes to stderr: stdout is the command's, which may end with JSON.
    status = subprocess.run(command, env=environment(run), stdout=2, check=False).returncode
    trained = finished(out, who)
    if status or trained is None:
        raise failure(out, status)
    return trained


def with_base(run: TrainRun) -> TrainRun:
    """The tiny base built and pretrained on the data's own text into `out/base`, where the run asks for it.

    One that was built by the same settings on the same text is taken as it is.

    Raises: ConfigError where `out/base` is somebody else's.
    """
    if run.model != TINY:
        return run
    base = Path(run.out) / "base"
    texts = [message.content for sample in read_pool(run.data).pool for message in sample.messages]
    wanted = plain({"tiny": run.tiny, "texts": fingerprint(texts)})
    found = made_from(base)
    if found != wanted or not has_weights(base):
        if base.exists() and found is None:
            raise ConfigError(f"{base} is not of a training run and would be replaced: give another out")
        make_out(base.parent)
        fresh = base.with_name("base.new")
        shutil.rmtree(fresh, ignore_errors=True)
        build_tiny(texts, run.tiny, fresh)
        write_json(fresh / MADE_FROM, wanted)
        shutil.rmtree(base, ignore_errors=True)
        fresh.rename(base)
    return run.model_copy(update={"model": str(base)})


def made_from(base: Path) -> Any:
    """What a tiny base says that it was built from; None where it says nothing."""
    try:
        return read_json(base / MADE_FROM)
    except (OSError, ValueError):
        return None


def worker_command(launch: LaunchSettings, request: Path) -> list[str]:
    """What starts the workers. `--standalone` picks a free port, so that two trainings do not meet."""
    worker = ["train.worker", str(request)]
    if launch.hostfile is not None:
        return [
            sys.executable,
            "-m",
            "deepspeed.launcher.runner",
            "--hostfile",
            launch.hostfile,
            "--module",
            *worker,
        ]
    where = ["--standalone"]
    if launch.nodes > 1:
        where = [
            "--nnodes",
            str(launch.nodes),
            "--node_rank",
            str(launch.node_rank),
            "--rdzv_backend",
            "c10d",
            "--rdzv_endpoint",
            launch.rendezvous,
        ]
    processes = ["--nproc_per_node", str(launch.processes)]
    return [sys.executable, "-m", "torch.distributed.run", *where, *processes, "-m", *worker]


def environment(run: TrainRun) -> dict[str, str]:
    """Of the workers: the CPU's cores shared out, and DeepSpeed kept on it where the run is."""
    env = dict(os.environ) | {LAUNCHER: str(os.getpid())}
    threads = max(1, (os.cpu_count() or 1) // run.train.launch.processes)
    env.setdefault("OMP_NUM_THREADS", str(threads))
    if on_cpu(run.train):
        env["DS_ACCELERATOR"] = "cpu"
        env["OMP_NUM_THREADS"] = str(threads)
    return env


def check_deepspeed(run: TrainRun) -> None:
    """Raises: ConfigError when it is asked for and not installed."""
    wanted = run.train.deepspeed is not None or run.train.launch.hostfile is not None
    if wanted and importlib.util.find_spec("deepspeed") is None:
        raise ConfigError("train.deepspeed needs DeepSpeed: pip install 'tacos-select[deepspeed]'")


def failure(out: Path, status: int) -> TacosError:
    """The first worker's own words, or where to look for them."""
    for name, kind in ((REFUSAL, ConfigError), (FAILURE, TacosError)):
        if said := sorted(out.glob(name.format(rank="*"))):
            return kind(said[0].read_text(encoding="utf-8").strip())
    return TacosError(
        f"the training processes ended with status {status} before the model was saved; their output is above"
    )
