"""The base model before training: its tokenizer, its shape, its weights, and what is trained of it."""

from __future__ import annotations

import copy
import logging
import re
import tempfile
from typing import Any

import torch
from peft import LoraConfig
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import is_bitsandbytes_available, is_flash_attn_2_available

from tacos.errors import ConfigError
from tacos.models import local
from tacos.models.chat import end_token, stop_tokens
from train.settings import TrainSettings

log = logging.getLogger(__name__)
BASE = "base model"
FLAG = re.compile(r"^- `(\w+)`:", re.MULTILINE)
"""How transformers names a setting of generation that the others leave without effect."""


def load_tokenizer(base: str, settings: TrainSettings) -> PreTrainedTokenizerBase:
    """With the recipe's chat template, and something to pad with.

    Raises: TacosError naming the base when it cannot be loaded; ConfigError when its template leaves an
    assistant's turn without an end token, since the model would never learn to stop.
    """
    tokenizer = local.load_tokenizer(base, settings.template, what=BASE)
    end_token(tokenizer)
    return tokenizer


def skeleton(base: str, settings: TrainSettings) -> PreTrainedModel:
    """The base without weights, on no device, with the attention that it is to be trained with.

    "auto" is flash attention where it is installed and the model has it, else SDPA, else eager: ten architectures
    of transformers 5.19 have no SDPA (bloom, gpt-oss, xglm, ...).

    Raises: TacosError where the base is no causal language model; ConfigError for an attention that it has not.
    """
    try:
        config = AutoConfig.from_pretrained(base, trust_remote_code=False)
        plain = empty(config, None)
    except Exception as error:  # damaged files raise what they like
        raise local.cannot_load(BASE, base, error) from error
    check_generation(base)
    flash = settings.bf16 and settings.device != "cpu" and is_flash_attn_2_available()
    if settings.attention == "auto" and not flash:
        return plain
    try:
        return empty(config, "flash_attention_2" if settings.attention == "auto" else settings.attention)
    except (ValueError, ImportError) as error:
        if settings.attention == "auto":
            return plain
        why = str(error).partition(". ")[0]
        raise ConfigError(
            f"train.attention={settings.attention!r} does not go with the base model {base!r}: set it to 'auto', which "
            f"takes {attention(plain)!r} here ({why})"
        ) from error


def check_generation(base: str) -> None:
    """Raises: ConfigError for a generation config that transformers does not even load."""
    try:
        GenerationConfig.from_pretrained(base)
    except OSError:  # there is none
        return
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"generation_config.json of the base model {base!r} is not valid: {' '.join(str(error).split())} Correct "
            "it in a copy of its folder"
        ) from error


def empty(config: Any, attention: str | None) -> PreTrainedModel:
    with torch.device("meta"):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(
            copy.deepcopy(config), attn_implementation=attention
        )
    return model


def attention(model: PreTrainedModel) -> str:
    """The implementation that a model is built with, by transformers' name."""
    return str(model.config._attn_implementation or "eager")


def load_model(
    base: str, settings: TrainSettings, tokenizer: PreTrainedTokenizerBase, attention: str
) -> PreTrainedModel:
    """float32 to be trained in full (bf16 is then a matter of autocast), bfloat16 or 4 bits under adapters.

    Raises: TacosError naming the base when it cannot be loaded; ConfigError without bitsandbytes for qlora, or for
    a base whose settings could not be saved again.
    """
    options: dict[str, Any] = {"dtype": loading_dtype(settings), "attn_implementation": attention}
    if settings.mode == "qlora":
        options["quantization_config"] = four_bits(settings)
    model = local.weights("causal", base, BASE, **options)
    generation = model.generation_config
    generation.eos_token_id = stop_tokens(tokenizer, generation.eos_token_id)
    unset_idle(base, generation)
    try_saving(base, model, tokenizer)
    return model


def loading_dtype(settings: TrainSettings) -> torch.dtype:
    return torch.bfloat16 if settings.bf16 and settings.mode != "full" else torch.float32


def unset_idle(base: str, generation: Any) -> None:
    """Unset what has no effect on generation, such as a temperature without sampling; transformers loads it, as in
    the files of LLaMA 2's first release, and refuses to save it."""
    try:
        generation.validate(strict=True)
    except ValueError as error:
        idle = FLAG.findall(str(error))
        for name in idle:
            setattr(generation, name, None)
        if idle:  # else `try_saving` refuses it
            log.warning(
                "the generation config of %s sets %s without effect and could not be saved: left out of the model",
                base,
                ", ".join(idle),
            )


def try_saving(base: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Save everything but the weights, since what cannot be saved would only be found after training."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            model.config.save_pretrained(folder)
            model.generation_config.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        except (ValueError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"the settings of the base model {base!r} could not be saved after training: "
                f"{' '.join(str(error).split())}; correct generation_config.json or config.json in a copy of its folder"
            ) from error


def is_packed(settings: TrainSettings, attention: str) -> bool:
    return "flash" in attention if settings.packing == "auto" else settings.packing


def four_bits(settings: TrainSettings) -> BitsAndBytesConfig:
    """NF4 with double quantisation (arXiv:2305.14314, section 3)."""
    if not is_bitsandbytes_available():
        raise ConfigError(
            "mode: qlora needs bitsandbytes: pip install 'tacos-select[gpu]', or use mode: lora"
        )
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
