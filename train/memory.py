"""Memory or space that runs out while a model trains, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tacos.artifacts import NO_PLACE
from tacos.errors import TacosError, first_line
from tacos.models.batches import out_of_memory
from tacos.store.files import cannot_write
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


FULL = ("No space left on device", "os error 28", "Disk quota exceeded", "PytorchStreamWriter failed writing")
"""What libraries that write weights say of a full disk."""


@contextmanager
def advice_on_space(out: Path) -> Iterator[None]:
    """Raises: TacosError that names the folder, in place of what a library says that could not write weights."""
    try:
        yield
    except TacosError:
        raise
    except OSError as error:
        if error.errno not in NO_PLACE:
            raise
        raise cannot_write(Path(error.filename or out), error) from error
    except Exception as error:  # each library has its own
        if not any(said in str(error) for said in FULL):
            raise
        raise TacosError(
            f"cannot write {out}: {first_line(error)}; free space or choose another out, and run the same again: it "
            "goes on from the last whole checkpoint"
        ) from error
