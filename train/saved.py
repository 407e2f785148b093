"""The trained model as a plain folder, whatever was trained, and proof that it is that model.

Shards are gathered, adapters are merged into the base, and the numbers are those of `save_dtype`. Then the folder is
loaded as anybody would load it: its tokenizer has to make the ids that were trained on, and its loss on a few
samples has to be the trained model's.
"""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import get_max_memory
from peft import PeftModel
from transformers import PreTrainedTokenizerBase
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from tacos.errors import TacosError
from tacos.models import local
from tacos.models.batches import Supervised, token_losses
from tacos.models.chat import Encoded, encode
from tacos.store.files import read_json
from tacos.types import Pool, Sample
from train.checkpoints import ADAPTER
from train.data import TrainingData, labelled
from train.model import BASE, four_bits, loading_dtype
from train.settings import TrainRun, TrainSettings
from train.trainer import PlannedTrainer, drop_padding_mask, to_evaluation

log = logging.getLogger(__name__)
LEFT_BEHIND = "training_args.bin"
"""A pickle of the trainer's settings, paths included, that `save_model` puts beside the weights."""
TRIED = 8
"""Samples, the shortest ones, on which the two losses are compared."""
ROUNDING, ROUNDING_16 = 1e-3, 0.05
"""Nats a token by which they may differ, in float32 and where weights or products are in 16 bits."""


def save(
    trainer: PlannedTrainer, tokenizer: PreTrainedTokenizerBase, run: TrainRun, pool: Pool, data: TrainingData
) -> None:
    """`out/model`, so that everything downstream loads one kind; adapters stay beside it in `out/adapter`.

    All processes take part, and the main one writes.

    Raises: TacosError when the model came to no number, or the folder does not hold the one that was trained.
    """
    out, settings = Path(run.out), run.train
    target = out / ("model" if settings.mode == "full" else ADAPTER)
    tried = sorted(range(len(data.kept)), key=lambda i: (len(data.kept[i].ids), i))[:TRIED]
    loss = trained_loss(trainer, [data.kept[i] for i in tried])
    if not math.isfinite(loss):
        raise TacosError(
            f"the training diverged, and the model loses {loss} nats a token: lower train.lr (now {settings.lr:g}) or "
            f"train.max_grad_norm (now {settings.max_grad_norm:g}), or raise train.warmup"
        )
    if trainer.is_world_process_zero():
        shutil.rmtree(target, ignore_errors=True)
    trainer.save_model(str(target))
    if not trainer.is_world_process_zero():
        return
    (target / LEFT_BEHIND).unlink(missing_ok=True)
    unset_hf_deepspeed_config()  # else what is loaded here would be sharded over processes that take no part
    if settings.mode != "full":
        trained: Any = trainer.accelerator.unwrap_model(trainer.model)
        merge(run.model, target, settings, trained.generation_config, out / "model")
    elif read_json(target / "config.json").get("dtype") != str(saved_dtype(settings)).removeprefix("torch."):
        replace(local.weights("causal", str(target), dtype=saved_dtype(settings)), target)
    tokenizer.save_pretrained(out / "model")
    check_saved(out / "model", settings, [(pool[data.rows[i]], data.kept[i]) for i in tried], loss)


def saved_dtype(settings: TrainSettings) -> torch.dtype:
    automatic = "bfloat16" if settings.bf16 else "float32"
    name = automatic if settings.save_dtype == "auto" else settings.save_dtype
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def merge(base: str, adapter: Path, settings: TrainSettings, generation: Any, out: Path) -> None:
    """The base anew, in one piece, with the adapter added to its weights.

    Under qlora these are the weights of 4 bits, as the adapter met them in training, and no others.
    """
    if settings.mode == "qlora":
        options: dict[str, Any] = {
            "dtype": loading_dtype(settings),
            "quantization_config": four_bits(settings),
        }
        model: Any = local.weights("causal", base, BASE, **options)
        model = model.dequantize().to(saved_dtype(settings))
    else:
        model = local.weights("causal", base, BASE, dtype=saved_dtype(settings))
    merged: Any = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    merged.generation_config = generation
    replace(merged, out)


def replace(model: Any, folder: Path) -> None:
    """Save beside the folder first, whose files the model may still be read from."""
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    model.save_pretrained(fresh)
    shutil.rmtree(folder, ignore_errors=True)
    fresh.rename(folder)


def trained_loss(trainer: PlannedTrainer, rows: Sequence[Encoded]) -> float:
    """The trained model's loss, in nats a supervised token, each sample by itself; on all processes."""
    model = to_evaluation(trainer.model_wrapped)
    total, tokens = 0.0, 0
    for row in rows:
        inputs: Any = trainer._prepare_inputs(trainer.data_collator([labelled(row)]))
        drop_padding_mask(inputs)
        with torch.no_grad(), trainer.compute_loss_context_manager():
            out = model(**inputs, use_cache=False, fused_lm_head=True)
        total -= float(out.log_probs.float().sum())
        tokens += row.loss_tokens
    return total / tokens


def check_saved(
    folder: Path, settings: TrainSettings, tried: Sequence[tuple[Sample, Encoded]], trained: float
) -> None:
    """tried: samples and their ids in training; trained: the trained model's loss on them.

    Raises: TacosError when the tokenizer makes other ids, or the model another loss.
    """
    tokenizer = local.load_tokenizer(str(folder), "auto")
    for sample, encoded in tried:
        if encode(tokenizer, sample.messages, settings.max_length) != encoded:
            raise TacosError(
                f"the tokenizer saved in {folder} is not the one of the training: it makes other ids of the sample "
                f"{sample.id!r}; do not use the folder, and report this"
            )
    device = room_for(folder)
    if device is None:
        log.warning("%s was not loaded again to compare its loss, since memory has no room for it", folder)
        return
    saved = saved_loss(folder, tokenizer, device, [encoded for _, encoded in tried])
    exact = not settings.bf16 and saved_dtype(settings) is torch.float32
    if not abs(saved - trained) <= (ROUNDING if exact else ROUNDING_16):
        raise TacosError(
            f"the model saved in {folder} is not the one that was trained: on {len(tried)} samples it loses "
            f"{saved:.3f} nats a token, and the trained model {trained:.3f}; do not use it. {remedy(settings)}"
        )
    log.info(
        "%s loaded again loses %.4f on %d samples, as trained (%.4f)", folder, saved, len(tried), trained
    )


def remedy(settings: TrainSettings) -> str:
    if saved_dtype(settings) is not torch.float32:
        return "Its weights may not bear 16 bits: train with train.save_dtype=float32"
    if settings.mode != "full":
        return f"The adapter in {ADAPTER}/ beside it is as trained; train with other train.lora.target or mode: full"
    return "transformers does not save this architecture as it was; take another base model"


def saved_loss(
    folder: Path, tokenizer: PreTrainedTokenizerBase, device: str, rows: Sequence[Encoded]
) -> float:
    """The loss of a model's folder, as `trained_loss`, through the model's own forward pass."""
    model = local.placed(local.weights("causal", str(folder), dtype="auto"), "auto", device)
    lm = local.LocalModel(model, tokenizer)
    supervised = [Supervised(row.ids, row.mask) for row in rows]
    losses = [loss for _, loss in token_losses(lm, supervised, budget=1, what="checking the saved model")]
    return float(sum(loss.sum(dtype="float64") for loss in losses) / sum(map(len, losses)))


def room_for(folder: Path) -> str | None:
    """The device with room for the folder's weights: the GPU beside the trained model, the CPU, where 16 bits may
    become 32, or none, since a machine out of memory would end the run."""
    size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    if torch.cuda.is_available() and torch.cuda.mem_get_info()[0] > 1.2 * size:
        return "cuda"
    return "cpu" if get_max_memory()["cpu"] > 2.2 * size else None
