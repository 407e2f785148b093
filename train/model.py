"""The base model before training, and a plain model folder after it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel
from transformers import BitsAndBytesConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.integrations.deepspeed import unset_hf_deepspeed_config
from transformers.utils import is_bitsandbytes_available, is_flash_attn_2_available
from trl import SFTTrainer

from tacos.errors import ConfigError
from tacos.models import local
from tacos.models.chat import end_token, stop_tokens
from train.checkpoints import ADAPTER
from train.settings import TrainSettings

BASE = "base model"
LEFT_BEHIND = "training_args.bin"
"""A pickle of the trainer's settings, paths included, that `save_model` puts beside the weights."""


def load_tokenizer(base: str, settings: TrainSettings) -> PreTrainedTokenizerBase:
    """With the recipe's chat template, and something to pad with.

    Raises: TacosError naming the base when it cannot be loaded; ConfigError when its template leaves an
    assistant's turn without an end token, since the model would never learn to stop.
    """
    tokenizer = local.load_tokenizer(base, settings.template, what=BASE)
    end_token(tokenizer)
    return tokenizer


def load_model(base: str, settings: TrainSettings, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """float32 to be trained in full (bf16 is then a matter of autocast), bfloat16 or 4 bits under adapters.

    Raises: TacosError naming the base when it cannot be loaded; ConfigError without bitsandbytes for qlora.
    """
    halved = settings.bf16 and settings.mode != "full"
    options: dict[str, Any] = {
        "dtype": torch.bfloat16 if halved else torch.float32,
        "attn_implementation": attention(settings),
    }
    if settings.mode == "qlora":
        options["quantization_config"] = four_bits(settings)
    model = local.weights("causal", base, BASE, **options)
    generation = model.generation_config
    generation.eos_token_id = stop_tokens(tokenizer, generation.eos_token_id)
    return model


def attention(settings: TrainSettings) -> str:
    """The attention implementation, by transformers' name."""
    if settings.attention != "auto":
        return settings.attention
    flash = settings.bf16 and settings.device != "cpu" and is_flash_attn_2_available()
    return "flash_attention_2" if flash else "sdpa"


def is_packed(settings: TrainSettings) -> bool:
    if settings.packing == "auto":
        return "flash" in attention(settings)
    return settings.packing


def four_bits(settings: TrainSettings) -> BitsAndBytesConfig:
    """NF4 with double quantisation (arXiv:2305.14314, section 3)."""
    if not is_bitsandbytes_available():
        raise ConfigError("mode: qlora needs bitsandbytes: pip install -e '.[gpu]', or use mode: lora")
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if settings.bf16 else torch.float32,
    )


def adapter_config(settings: TrainSettings) -> LoraConfig | None:
    if settings.mode == "full":
        return None
    lora = settings.lora
    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.target if isinstance(lora.target, str) else list(lora.target),
        task_type="CAUSAL_LM",
    )


def save(
    trainer: SFTTrainer, tokenizer: PreTrainedTokenizerBase, base: str, settings: TrainSettings, out: Path
) -> None:
    """`out/model`, a plain model folder whatever was trained, so that everything downstream loads one kind.

    Shards are gathered first; adapters stay beside it in `out/adapter` and are merged into the base.
    """
    target = out / ("model" if settings.mode == "full" else ADAPTER)
    trainer.save_model(str(target))  # all processes take part
    if not trainer.is_world_process_zero():
        return
    (target / LEFT_BEHIND).unlink(missing_ok=True)
    if settings.mode != "full":
        trained: Any = trainer.accelerator.unwrap_model(trainer.model)
        merge(base, target, settings, trained.generation_config, out / "model")
    tokenizer.save_pretrained(out / "model")


def merge(base: str, adapter: Path, settings: TrainSettings, generation: Any, out: Path) -> None:
    """The base anew, unquantised and in one piece, with the adapter added to its weights."""
    unset_hf_deepspeed_config()  # else it would be sharded over processes that no longer take part
    dtype = torch.bfloat16 if settings.bf16 else torch.float32
    model = local.weights("causal", base, BASE, dtype=dtype)
    merged = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    merged.generation_config = generation
    shutil.rmtree(out, ignore_errors=True)
    merged.save_pretrained(out)
