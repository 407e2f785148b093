"""What a recipe in configs/train/ may say: how to fine-tune, and over how many processes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from tacos.config import merged, read_yaml
from tacos.errors import ConfigError
from tacos.models.wrapping import Wrap
from tacos.shipped import find
from tacos.store.files import read_json
from tacos.tracking.settings import TrackingSettings
from tacos.types import Record
from train.switches import switches
from train.tiny import TinySettings

EXECUTION = {
    "micro_batch_tokens",
    "packing",
    "attention",
    "liger",
    "gradient_checkpointing",
    "save_steps",
    "deepspeed",
    "device",
    "launch",
}
"""Fields of `TrainSettings` that leave the answer as it is, up to rounding; outside of every fingerprint.
Dropout and NEFTune draw noise in the shape of a batch, so with them the draws differ, not their distribution."""

Beta = Annotated[float, Field(ge=0, lt=1)]
Scheduler = Literal[
    "linear",
    "cosine",
    "constant",
    "constant_with_warmup",
    "cosine_with_restarts",
    "polynomial",
    "inverse_sqrt",
]


class LoraSettings(Record):
    """Low-rank adapters (arXiv:2106.09685); merged into the base when the model is saved."""

    _switches = model_validator(mode="before")(switches)

    r: int = Field(16, ge=1)
    """Rank."""
    alpha: int = Field(32, ge=1)
    """What an adapter adds is scaled by alpha / r."""
    dropout: float = Field(0.05, ge=0, lt=1)
    target: str | tuple[str, ...] = "all-linear"
    """Names of the layers that get an adapter, or "all-linear": every linear one but the output embeddings."""


class LaunchSettings(Record):
    """Over how many processes one training runs, and who starts them.

    One process per device. `processes` alone stays on this machine; with `hostfile` DeepSpeed's launcher
    starts every node over ssh; with `nodes` the same command is given on each node by hand or by a scheduler.
    """

    _switches = model_validator(mode="before")(switches)

    processes: int = Field(1, ge=1)
    """On each node."""
    nodes: int = Field(1, ge=1)
    node_rank: int = Field(0, ge=0)
    """Which node this is, from 0; for `nodes` above 1."""
    rendezvous: str = ""
    """host:port of node 0; for `nodes` above 1."""
    hostfile: str | None = None
    """A DeepSpeed hostfile, one `host slots=8` a line; in place of all other fields."""

    @model_validator(mode="after")
    def _nodes_can_meet(self) -> LaunchSettings:
        if self.nodes > 1 and not self.rendezvous:
            raise ValueError("nodes above 1 need rendezvous, the host:port of node 0 that all can reach")
        if self.node_rank >= self.nodes:
            raise ValueError(
                f"node_rank counts from 0, so with {self.nodes} nodes it ends at {self.nodes - 1}"
            )
        return self


def with_recipe(said: Any) -> Any:
    """Settings with those of the recipe that they name filled in: `{recipe: configs/train/llama2_7b_lora.yaml, ...}`.

    Raises: ValueError for a file that is no recipe.
    """
    if not isinstance(said, Mapping) or "recipe" not in said:
        return said
    changed = {key: value for key, value in said.items() if key != "recipe"}
    if said["recipe"] is None:
        return changed
    try:
        recipe = read_yaml(Path(str(said["recipe"]))).get("train")
    except ConfigError as error:
        raise ValueError(f"recipe: {error}") from error
    if not isinstance(recipe, dict):
        raise ValueError(f"recipe: {said['recipe']} has no `train`: the shipped configs/train/ has recipes")
    return merged(recipe, changed)


class TrainSettings(Record):
    """How to fine-tune; every field changes the result, save those marked as execution. `recipe` stands for the `train`
    of another file."""

    _switches = model_validator(mode="before")(switches)
    _recipe = model_validator(mode="before")(with_recipe)

    mode: Literal["full", "lora", "qlora"] = "full"
    """qlora is lora on a base in 4 bits (arXiv:2305.14314); needs bitsandbytes."""
    lora: LoraSettings = LoraSettings()
    lr: float = Field(2e-5, gt=0)
    """The peak, after the warm-up."""
    scheduler: Scheduler = "cosine"
    warmup: float = Field(0.03, ge=0, lt=1)
    """Share of the steps."""
    weight_decay: float = Field(0.0, ge=0)
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    """AdamW's; TACOS's released code has 0.9, 0.95."""
    max_grad_norm: float = Field(1.0, gt=0)
    neftune_alpha: float | None = Field(None, gt=0)
    """Noise on the embeddings (arXiv:2310.05914), 5 to 15 in the paper."""
    budget: Literal["samples", "loss_tokens"] = "samples"
    epochs: float = Field(3.0, gt=0)
    """Passes over the selection, for `budget: samples`."""
    batch_size: int = Field(128, ge=1)
    """Samples in one optimiser step over all devices, for `budget: samples`."""
    steps: int = Field(100, ge=1)
    """Optimiser steps, for `budget: loss_tokens`."""
    loss_tokens_per_step: int = Field(4096, ge=1)
    """Supervised tokens in one step over all devices, for `budget: loss_tokens`; at least max_length."""
    max_length: int = Field(2048, ge=8)
    """Tokens; what a sample has beyond is cut."""
    template: str = "auto"
    """"auto" is the tokenizer's own chat template, or "plain" where it has none; a name, such as "llama-2"
    or "vicuna_v1.1", takes that template whatever the tokenizer has (`tacos.models.chat.ensure_template`)."""
    wrap: Wrap = "none"
    """"alpaca" puts the Alpaca preamble into every user turn, inside the template (`tacos.models.wrapping`)."""
    validation: float = Field(0.0, ge=0, lt=1)
    """Share of the selection held out of training, at random by the seed, for the validation loss."""
    eval_steps: int = Field(0, ge=0)
    """Steps between validations; 0 for ten in a run."""
    patience: int | None = Field(None, ge=1)
    """Stop after so many validations without a better loss, and keep the best checkpoint."""
    bf16: bool = False
    """Products in bfloat16."""
    save_dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Numbers of the saved weights. "auto" is bfloat16 with `bf16`, whose products are of weights rounded to it, and
    float32 without."""
    keep_epochs: bool = False
    """Keep the adapter and AdamW's moments after every epoch, in `epochs/`, for LESS; lora, and `budget: samples`."""

    micro_batch_tokens: int = Field(8192, ge=1)
    """Tokens in one forward pass on one device, padding included; what memory allows. Execution: a step's
    loss is a mean over all its tokens, however they are split."""
    packing: bool | Literal["auto"] = "auto"
    """on, off or auto: several samples in one row, closed to each other's attention, in place of padding. "auto"
    packs where flash attention is, since other kernels pay for the whole square of a packed row. Execution."""
    attention: str = "auto"
    """A name transformers knows; "auto" is flash attention where installed (bf16, CUDA), else SDPA. Execution."""
    liger: bool = False
    """Liger's Triton kernels for the layers; needs liger-kernel and a GPU. Execution."""
    gradient_checkpointing: bool = False
    """Execution."""
    save_steps: int = Field(0, ge=0)
    """Steps between checkpoints that a killed run goes on from; 0 for none. Execution."""
    deepspeed: str | None = None
    """A DeepSpeed config file, or a shipped one, such as configs/deepspeed/zero3.json. Execution."""
    device: Literal["auto", "cpu"] = "auto"
    """Execution."""
    launch: LaunchSettings = LaunchSettings()
    """Execution."""

    @model_validator(mode="after")
    def _a_step_holds_any_sample(self) -> TrainSettings:
        """Checked here, since the plan would only find out after selection and scoring are paid for."""
        step, longest = self.loss_tokens_per_step, self.max_length
        if self.budget == "loss_tokens" and step < longest:
            raise ValueError(
                f"loss_tokens_per_step is {step} and max_length {longest}: one sample may have more loss tokens than "
                f"a step; set loss_tokens_per_step to {longest} or more, or max_length to {step} or less"
            )
        return self

    @model_validator(mode="after")
    def _patience_has_something_to_watch(self) -> TrainSettings:
        if self.patience and not self.validation:
            raise ValueError("patience watches the validation loss: set validation, such as 0.1")
        return self

    @model_validator(mode="after")
    def _epochs_that_can_be_kept(self) -> TrainSettings:
        if self.keep_epochs and (self.mode == "full" or self.budget != "samples" or self.deepspeed):
            raise ValueError("keep_epochs is for mode lora or qlora, budget: samples, and no deepspeed")
        return self

    @field_validator("deepspeed")
    @classmethod
    def _readable(cls, path: str | None) -> str | None:
        if path is None:
            return None
        shipped = "the shipped configs/deepspeed/ has one for each ZeRO stage"
        try:
            read = read_json(find(path))
        except ConfigError as error:
            raise ValueError(f"{error}; {shipped}") from error
        except ValueError as error:
            raise ValueError(f"is not JSON: {error}; {shipped}") from error
        if not isinstance(read, dict) or "zero_optimization" not in read:
            raise ValueError(f"is no object with zero_optimization; {shipped}")
        return path

    def identity(self) -> dict[str, Any]:
        """The fields that change the answer."""
        return self.model_dump(mode="json", exclude=EXECUTION)


class TrainRun(Record):
    """`tacos train`: one model on one file of samples."""

    _switches = model_validator(mode="before")(switches)

    data: str
    """A selection, or any pool file that `tacos select` reads."""
    model: str
    """Hub id or folder of the base model; "tiny" builds a small LLaMA on the spot."""
    tiny: TinySettings = TinySettings()
    out: str = "out/model"
    """Folder; the fine-tuned model goes into `model/` in it."""
    seed: int = Field(0, ge=0)
    train: TrainSettings = TrainSettings()
    tracking: TrackingSettings | None = TrackingSettings()
    """The run's `name` is the last part of `out` where it has none; null where who starts the training tracks it."""
