"""Memory that runs out while a model trains, and what to lower."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tacos.errors import TacosError
from tacos.models.batches import out_of_memory
from train.settings import TrainSettings


@contextmanager
def advice_on_memory(settings: TrainSettings) -> Iterator[None]:
    """Raises: TacosError that says what to lower, in place of an out-of-memory error."""
    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one
        if not out_of_memory(error):
            raise
        advice = [f"lower train.micro_batch_tokens (now {settings.micro_batch_tokens})"]
        if not settings.gradient_checkpointing:
            advice.append("set train.gradient_checkpointing=true")
        if not settings.bf16:
            advice.append("set train.bf16=true")
        if settings.mode == "full":
            advice.append(
                "spread the model over more processes with train.deepspeed=configs/deepspeed/zero3.json, "
                "or its _offload form, or use train.mode=lora"
            )
        raise TacosError(
            f"out of memory: {'; '.join(advice)}. Then run the same again; only bf16 and mode make it another run"
        ) from error
