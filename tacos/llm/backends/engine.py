"""The one vLLM engine that runs in this process (https://docs.vllm.ai).

vLLM takes its share of the GPU when it starts and keeps it, so two engines do not fit beside each other. A process
has one: `lent_engine` hands it to one user after the other, again to whoever asks for the same weights and options (a
tagger and a scorer on one model, the checkpoints of a run as LoRA adapters on one base), and stops it before
it starts another. It goes with the process; `release` lets it go sooner, before training.

    tagger   Qwen2.5-7B               starts, about a minute
    scorer   Qwen2.5-7B               the same engine
    judge    Qwen2.5-72B, 4 GPUs      the 7B is stopped, the 72B starts
"""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import Any

from tacos.errors import ConfigError, LLMError, first_line
from tacos.llm.settings import VLLMEngine
from tacos.store.fingerprint import fingerprint, named_by_content

log = logging.getLogger(__name__)
LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM reserves room for; an adapter gets the next rank that is enough."""


_in_use = Lock()
_running: tuple[str, Any] | None = None
"""(what was started, the engine). Of the process, as the GPU's memory is."""


@contextmanager
def lent_engine(model: str, dtype: str, settings: VLLMEngine) -> Iterator[Any]:
    """vLLM's `LLM` with these weights, for one user at a time: the one that runs, or a new one in its place.

    dtype: "auto", "bfloat16", "float16" or "float32".

    Raises: ConfigError where vLLM is not installed; LLMError when the engine does not start.
    """
    global _running
    vllm = import_vllm()
    options = start_options(model, dtype, settings)
    wanted = fingerprint([named_by_content(model), options])
    with _in_use:
        if _running is not None and _running[0] != wanted:
            log.info("another vLLM engine is wanted: the one that runs is stopped")
            _stop()
        if _running is None:
            _running = wanted, _start(vllm, options)
        try:
            yield _running[1]
        except LLMError:  # it is broken; the next user starts anew
            _stop()
            raise


def release() -> None:
    """Stop the engine, if one runs, and give its memory back; whoever asks again starts a new one."""
    with _in_use:
        _stop()


def start_options(model: str, dtype: str, settings: VLLMEngine) -> dict[str, Any]:
    """What `vllm.LLM` is started with.

    Not `disable_any_whitespace`, which keeps weak models from endless newlines in structured replies: it forbids the
    spaces of '"score_1": 7' too, which is how the prompts show the form and models write it. Measured 2026-11-21 with
    a tiny model that knows the form: readable grades went from 48 of 48 to 35, and the tags became noise.
    """
    options: dict[str, Any] = {
        "model": model,
        "dtype": dtype,
        "enable_prefix_caching": True,
        **settings.model_dump(exclude={"lora"}, exclude_none=True),
    }
    if settings.lora is not None:
        options |= {"enable_lora": True, "max_lora_rank": _rank(settings.lora)}
    return options


def tokenizer_source(model: str, settings: VLLMEngine) -> str:
    """Where the tokenizer is read from: an adapter that was saved with its own, for its chat template, has it."""
    if settings.lora is not None and (Path(settings.lora) / "tokenizer_config.json").is_file():
        return settings.lora
    return model


def lora_request(settings: VLLMEngine) -> Any:
    """The adapter as a request names it; None without one. Its number follows from its content, so that a
    checkpoint written again in the same folder is another adapter to a running engine."""
    if settings.lora is None:
        return None
    name = named_by_content(settings.lora)
    number = 1 + int(fingerprint(name), 16) % (2**31 - 1)
    return import_module("vllm.lora.request").LoRARequest(name, number, settings.lora)


def import_vllm() -> Any:
    """The module. Raises: ConfigError where it is not installed."""
    # Read when vLLM is imported: its log belongs on stderr, beside ours; stdout is for results.
    os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")
    try:
        return import_module("vllm")
    except ImportError as error:
        raise ConfigError(
            f"answering with vLLM in this process needs the package vllm ({error}): pip install 'tacos-select[vllm]' "
            "on a machine with a GPU, or start `vllm serve` there and name it as the endpoint"
        ) from error


def _start(vllm: Any, options: dict[str, Any]) -> Any:
    try:
        return vllm.LLM(**options)
    except Exception as error:  # of many kinds: files, settings, memory, the engine's own process
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise LLMError(
            f"vLLM does not start with {options['model']!r}: {reason}; its log above says more. Check the name or "
            "folder; for want of memory, end a VLLM::EngineCore that a killed run left behind, lower "
            "engine.max_model_len or raise engine.tensor_parallel_size"
        ) from error


def _stop() -> None:
    global _running
    if _running is None:
        return
    llm, _running = _running[1], None
    llm.llm_engine.engine_core.shutdown()
    del llm
    gc.collect()


def _rank(adapter: str) -> int:
    """Raises: ConfigError for a folder or name without an adapter, or one of a rank that vLLM does not know."""
    from peft import PeftConfig

    try:
        rank = int(PeftConfig.from_pretrained(adapter).r)
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigError(f"engine.lora {adapter!r} is not a LoRA adapter: {first_line(error)}") from error
    enough = next((known for known in LORA_RANKS if known >= rank), None)
    if enough is None:
        raise ConfigError(
            f"engine.lora {adapter!r} has rank {rank}; vLLM knows {LORA_RANKS[-1]} at most: merge it"
        )
    return enough
