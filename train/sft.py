"""Supervised fine-tuning of one selection, under a budget that makes selections comparable.

Two selections of equal size differ in response length, so equal epochs would let the longer one
learn more. With `budget: loss_tokens` every arm takes the same number of optimiser steps on the same
total of supervised tokens, to within one sample: the batches are planned before training
(`train.plan`) and repeat the selection as often as it takes.

    out/model/            the fine-tuned model, in one piece, with its tokenizer and chat template
    out/adapter/          the adapter by itself (lora, qlora)
    out/history.jsonl     loss, rates, tokens and passes over the samples, by step, as it goes
    out/trained.json      what the model was trained on, and the identity of the run; written last
    out/checkpoints/      while it runs
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from tacos.data.read import read_pool
from tacos.errors import TacosError
from tacos.models.chat import template_hash
from tacos.models.wrapping import wrap_pool
from tacos.stage import made_with
from tacos.store.files import read_json, write_json
from tacos.store.fingerprint import fingerprint, named_by_content, plain
from tacos.tracking.tracker import Artifact, TrackedRun, Tracker
from tacos.types import Pool, Trained
from train.checkpoints import CHECKPOINTS, LOCK, RESULT, has_weights, make_out, resume_point
from train.curve import figures
from train.data import TrainingData
from train.memory import advice_on_memory, advice_on_space
from train.outcome import model_artifact, summary
from train.processes import on_cpu, rank, world_size
from train.settings import TrainRun, TrainSettings

if TYPE_CHECKING:
    from train.trainer import PlannedTrainer

log = logging.getLogger(__name__)


def train(run: TrainRun) -> Trained:
    """Fine-tune in this process, which may be one of several that torchrun or DeepSpeed started.

    A run that is done is not run again. A killed one goes on from its last whole checkpoint; checkpoints
    of any other run in `out` are removed, and so are this run's own once the model is saved.

    Raises: TacosError when the base cannot be loaded, or memory runs out; PoolError when no sample has a
    supervised token; ConfigError for a template that never ends a turn.
    """
    pool = read_pool(run.data).pool
    out, who = Path(run.out), identity(run, pool)
    if done := finished(out, who):
        log.info("%s is trained already", out / "model")
        return done
    with only_writer(out), advice_on_memory(run.train), advice_on_space(out):
        return _train(run, pool, who)


def _train(run: TrainRun, pool: Pool, who: dict[str, Any]) -> Trained:
    quiet(run.train)
    from transformers import set_seed

    from train.build import build_trainer
    from train.monitor import History
    from train.saved import save

    started, out = time.perf_counter(), Path(run.out)
    set_seed(run.seed)
    pool = wrap_pool(pool, run.train.wrap)
    trainer, tokenizer, data = build_trainer(run, pool)
    start = resume_from(trainer, out / CHECKPOINTS, who, run.train)
    tracker = tracked(run, who, data, tokenizer)
    with tracker or nullcontext():
        trainer.add_callback(History(out, data, tracker))
        result = trainer.train(resume_from_checkpoint=start)
        save(trainer, tokenizer, run, pool, data)
        trained = summary(
            data, trainer, result.training_loss, template_hash(tokenizer, run.train.wrap), started
        )
        if trainer.is_world_process_zero():
            write_json(out / RESULT, {"identity": who, "trained": plain(trained)})
            shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)
        if tracker:
            tell(tracker, run, who, trained)
    return trained


def identity(run: TrainRun, pool: Pool) -> dict[str, Any]:
    """All that decides the weights; the samples in their order, as the plan counts rows."""
    samples = [(sample.id, sample.messages) for sample in pool]
    named = {f"train.{name}": value for name, value in run.train.identity().items()}
    return plain(
        {"samples": fingerprint(samples), "base": named_by_content(run.model), "seed": run.seed, **named}
    )


def finished(out: Path, who: dict[str, Any]) -> Trained | None:
    """The result of this very run, when `out` holds it."""
    try:
        same = read_json(out / RESULT)["identity"] == who
        return read_trained(out) if same and has_weights(out / "model") else None
    except (OSError, ValueError, KeyError, TypeError):  # not there, torn, or of another version
        return None


def read_trained(out: Path) -> Trained:
    """What a finished training left. Raises: OSError, KeyError, ValueError when it is not there or damaged."""
    return Trained.model_validate(read_json(out / RESULT)["trained"])


@contextmanager
def only_writer(out: Path) -> Iterator[None]:
    """Raises: TacosError while another training writes to `out`."""
    if rank() > 0:
        yield
        return
    make_out(out)
    lock = FileLock(out / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise TacosError(f"another training writes to {out}: wait for it, or give another out") from error
    with lock:
        (out / RESULT).unlink(missing_ok=True)  # of another run; its model is about to be replaced
        yield


def resume_from(
    trainer: PlannedTrainer, folder: Path, who: dict[str, Any], settings: TrainSettings
) -> str | None:
    """The checkpoint to go on from; the main process clears the folder before the others look.

    DeepSpeed's shards fit only the number of processes that wrote them.
    """
    sharded = settings.deepspeed is not None
    layout = {"deepspeed.processes": world_size()} if sharded else {}
    with trainer.args.main_process_first(local=False, desc="looking for checkpoints"):
        found = resume_point(folder, who | layout, deepspeed=sharded)
    return str(found) if found else None


def tracked(run: TrainRun, who: dict[str, Any], data: TrainingData, tokenizer: Any) -> Tracker | None:
    """The Weights & Biases run of the training, kept by the main process; None where who called keeps one."""
    if rank() > 0 or run.tracking is None:
        return None
    out = Path(run.out)
    config = {
        **plain(run),
        "identity": who,
        "selection": who["samples"],
        "samples": data.samples,
        "template_hash": template_hash(tokenizer, run.train.wrap),
        **made_with(),
        "processes": world_size(),
    }
    name = run.tracking.name or out.name
    tags = (run.train.mode, f"base:{Path(run.model).name}", f"pool:{Path(run.data).name}")
    shown = TrackedRun(
        id=f"train-{fingerprint(who)}", name=name, group=run.tracking.group or name, job="train", tags=tags
    )
    return Tracker(run.tracking, out, shown, config)


def tell(tracker: Tracker, run: TrainRun, who: dict[str, Any], trained: Trained) -> None:
    """What came out of the training: its figures, and the model as an artifact that rests on the selection."""
    tracker.summary(figures(trained))
    made, out = fingerprint(who), Path(run.out)
    rows = Artifact(
        name=f"selection-{who['samples']}",
        type="selection",
        known_as={"samples": f"tacos://selection/{who['samples']}"},
    )
    tracker.keep(rows, used=True)
    tracker.keep(model_artifact(f"model-{made}", out, run.tracking is not None and run.tracking.models))


def quiet(settings: TrainSettings) -> None:
    """Keep the libraries' chatter out of the log, and their bars off anything but a terminal; before they load."""
    for chatty in ("bitsandbytes", "trl", "transformers.tokenization_utils_base"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    for old in (".*gradient_checkpointing.* is deprecated", ".*torch.distributed.* is deprecated"):
        warnings.filterwarnings("ignore", message=old, category=FutureWarning)
    if on_cpu(settings):
        os.environ.setdefault("DS_ACCELERATOR", "cpu")  # else DeepSpeed, where installed, says that it looked
    import datasets
    import transformers

    transformers.logging.set_verbosity_error()
    datasets.utils.logging.set_verbosity_error()
    if not sys.stderr.isatty():
        transformers.logging.disable_progress_bar()
        datasets.disable_progress_bars()
