"""Supervised fine-tuning of one selection, under a budget that makes selections comparable.

Two selections of equal size differ in response length, so equal epochs would let the longer one
learn more. With `budget: loss_tokens` every arm takes the same number of optimiser steps on the same
total of supervised tokens, to within one sample: the batches are planned before training
(`train.plan`) and repeat the selection as often as it takes.

The trainer is `trl.SFTTrainer`, fed with ready ids and labels. TRL would otherwise tokenise and mask
by its own rules; here `tacos.chat` decides, so that training, held-out loss and generation agree.
"""

from __future__ import annotations

import shutil
import sys
import time
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from tacos.chat import Encoded, encode, ensure_template, template_hash
from tacos.errors import PoolError, TacosError
from tacos.store.fingerprint import fingerprint, named_by_content
from tacos.types import Pool, Record, Trained
from train.checkpoints import resume_point
from train.plan import plan_batches, plan_epochs, split_micro

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase
    from trl import SFTConfig, SFTTrainer

IGNORED = -100
CHECKPOINTS = "checkpoints"
EXECUTION = {"accumulation", "gradient_checkpointing", "save_steps", "deepspeed", "device"}
"""Fields of `TrainSettings` that leave the answer as it is, up to rounding; outside of every fingerprint."""

Beta = Annotated[float, Field(ge=0, lt=1)]


class LoraSettings(Record):
    """Low-rank adapters; merged into the base when the model is saved."""

    r: int = Field(16, ge=1)
    alpha: int = Field(32, ge=1)
    dropout: float = Field(0.05, ge=0, lt=1)
    target: str | tuple[str, ...] = "all-linear"


class TrainSettings(Record):
    """How to fine-tune; every field changes the result, save those marked as execution."""

    mode: Literal["full", "lora"] = "full"
    lora: LoraSettings = LoraSettings()
    lr: float = Field(2e-5, gt=0)
    scheduler: str = "cosine"
    warmup: float = Field(0.03, ge=0, lt=1)
    """Share of the steps."""
    weight_decay: float = Field(0.0, ge=0)
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    """AdamW's; TACOS's released code has 0.9, 0.95."""
    max_grad_norm: float = Field(1.0, gt=0)
    neftune_alpha: float | None = Field(None, gt=0)
    """Noise on the embeddings (arXiv:2310.05914), 5 in the paper."""
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
    template: str = "plain"
    """The chat template for a tokenizer that has none."""
    bf16: bool = False
    accumulation: int = Field(1, ge=1)
    """Micro-batches per step and device. Execution: the step's loss is a mean over all its tokens."""
    gradient_checkpointing: bool = False
    """Execution."""
    save_steps: int = Field(0, ge=0)
    """Steps between checkpoints that a killed run goes on from; 0 for none. Execution."""
    deepspeed: str | None = None
    """A DeepSpeed config file. Execution."""
    device: Literal["auto", "cpu"] = "auto"
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


def train(
    pool: Pool, base: str, settings: TrainSettings, seed: int, out: Path, report_to: Sequence[str] = ()
) -> Trained:
    """Fine-tune `base` (a path or a hub name) on the pool and save model and tokenizer into `out/model`.

    A killed run goes on from its last whole checkpoint; checkpoints of any other run in `out` are removed,
    and so are this run's own once the model is saved.

    Raises: TacosError when the base cannot be loaded; PoolError when no sample has a supervised token.
    """
    from transformers import set_seed

    started = time.perf_counter()
    set_seed(seed)
    quiet()
    model, tokenizer = load_base(base, settings)
    encoded = [encode(tokenizer, sample.messages, settings.max_length) for sample in pool]
    kept = [e for e in encoded if e.loss_tokens]
    if not kept:
        raise PoolError(
            f"none of {len(encoded)} samples has an assistant token within max_length={settings.max_length}"
        )
    plan = make_plan(kept, settings, seed)
    trainer = make_trainer(model, tokenizer, kept, plan, settings, seed, out, report_to)
    run = identity(pool, base, settings, seed)
    start = resume_from(trainer, out / CHECKPOINTS, run, settings)
    result = trainer.train(resume_from_checkpoint=start)
    save(trainer, tokenizer, settings, out / "model")
    if trainer.is_world_process_zero():
        shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)
    used = [kept[i] for batch in plan for i in batch]
    return Trained(
        samples=len(kept),
        epochs=len(used) / len(kept),
        steps=len(plan),
        tokens=sum(len(e.ids) for e in used),
        loss_tokens=sum(e.loss_tokens for e in used),
        final_loss=final_loss(trainer.state.log_history, result.training_loss),
        seconds=time.perf_counter() - started,
        dropped=len(encoded) - len(kept),
        truncated=sum(e.truncated for e in kept),
        template_hash=template_hash(tokenizer),
    )


def load_base(base: str, settings: TrainSettings) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Raises: TacosError naming the base when it cannot be loaded."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    dtype = torch.bfloat16 if settings.bf16 and settings.mode == "lora" else torch.float32
    try:
        tokenizer = AutoTokenizer.from_pretrained(base)
        model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
    except (OSError, ValueError) as error:
        raise TacosError(f"cannot load the base model {base!r}: {str(error).splitlines()[0]}") from error
    ensure_template(tokenizer, settings.template)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token  # padding is masked from attention and loss alike
    return model, tokenizer


def make_plan(kept: Sequence[Encoded], settings: TrainSettings, seed: int) -> list[list[int]]:
    """One list of rows per optimiser step."""
    if settings.budget == "samples":
        return plan_epochs(len(kept), settings.epochs, settings.batch_size, seed)
    return plan_batches([e.loss_tokens for e in kept], settings.steps, settings.loss_tokens_per_step, seed)


def make_trainer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    kept: Sequence[Encoded],
    plan: list[list[int]],
    settings: TrainSettings,
    seed: int,
    out: Path,
    report_to: Sequence[str],
) -> SFTTrainer:
    from datasets import Dataset
    from transformers.trainer_callback import PrinterCallback, ProgressCallback

    config = trainer_config(settings, len(plan), seed, out, report_to)
    trainer = planned_trainer_class()(
        model=model,
        args=config,
        train_dataset=Dataset.from_list(training_rows(kept)),
        processing_class=tokenizer,
        peft_config=lora_config(settings) if settings.mode == "lora" else None,
    )
    micro = config.world_size * settings.accumulation
    trainer.plan = [part for batch in plan for part in split_micro(batch, micro, empty=len(kept))]
    trainer.remove_callback(PrinterCallback)
    if not sys.stderr.isatty():
        trainer.remove_callback(ProgressCallback)
    return trainer


def training_rows(kept: Sequence[Encoded]) -> list[dict[str, list[int]]]:
    """ids and labels of each sample; after them one row without a supervised token, for `split_micro`."""
    rows = [
        {"input_ids": e.ids, "labels": [t if m else IGNORED for t, m in zip(e.ids, e.mask, strict=True)]}
        for e in kept
    ]
    return [*rows, {"input_ids": kept[0].ids[:2], "labels": [IGNORED] * 2}]


def trainer_config(
    settings: TrainSettings, steps: int, seed: int, out: Path, report_to: Sequence[str]
) -> SFTConfig:
    """Everything that matters is said here, since TRL's defaults change between releases."""
    import torch
    from trl import SFTConfig

    return SFTConfig(
        output_dir=str(out / CHECKPOINTS),
        max_steps=steps,
        learning_rate=settings.lr,
        lr_scheduler_type=settings.scheduler,
        warmup_steps=round(settings.warmup * steps),
        weight_decay=settings.weight_decay,
        adam_beta1=settings.betas[0],
        adam_beta2=settings.betas[1],
        max_grad_norm=settings.max_grad_norm,
        neftune_noise_alpha=settings.neftune_alpha,
        optim="adamw_torch",
        per_device_train_batch_size=1,  # the planned loader decides
        gradient_accumulation_steps=settings.accumulation,
        gradient_checkpointing=settings.gradient_checkpointing,
        bf16=settings.bf16,
        fp16=False,
        loss_type="nll",
        packing=False,
        padding_free=False,
        shuffle_dataset=False,
        max_length=None,  # cut already
        completion_only_loss=False,  # the labels say it
        assistant_only_loss=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        logging_steps=max(1, steps // 50),
        logging_first_step=True,
        save_strategy="steps" if settings.save_steps else "no",
        save_steps=settings.save_steps or 500,
        save_total_limit=1,
        report_to=list(report_to) or "none",
        use_cpu=settings.device == "cpu" or not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        deepspeed=settings.deepspeed,
        disable_tqdm=not sys.stderr.isatty(),
        seed=seed,
        data_seed=seed,
    )


def planned_trainer_class() -> type[Any]:
    """`SFTTrainer` with a loader that follows a plan; made here so that importing this module stays cheap."""
    from torch.utils.data import DataLoader
    from trl import SFTTrainer

    class PlannedTrainer(SFTTrainer):
        """plan: rows of each micro-batch, in order; rank r of n takes every n-th from r on."""

        plan: list[list[int]]

        def get_train_dataloader(self) -> DataLoader:
            mine = self.plan[self.args.process_index :: self.args.world_size]
            rows: Any = self.train_dataset
            return DataLoader(
                rows,
                batch_sampler=mine,
                collate_fn=self.data_collator,
                pin_memory=self.args.dataloader_pin_memory,
            )

    return PlannedTrainer


def lora_config(settings: TrainSettings) -> Any:
    from peft import LoraConfig

    lora = settings.lora
    target = lora.target if isinstance(lora.target, str) else list(lora.target)
    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=target,
        task_type="CAUSAL_LM",
    )


def save(
    trainer: SFTTrainer, tokenizer: PreTrainedTokenizerBase, settings: TrainSettings, folder: Path
) -> None:
    """A plain model folder; adapters are merged, so that everything downstream loads one kind of model."""
    if settings.mode == "lora" and trainer.is_world_process_zero():
        merged: Any = trainer.accelerator.unwrap_model(trainer.model)
        merged.merge_and_unload().save_pretrained(folder)
    elif settings.mode == "full":
        trainer.save_model(str(folder))
    if trainer.is_world_process_zero():
        tokenizer.save_pretrained(folder)


def identity(pool: Pool, base: str, settings: TrainSettings, seed: int) -> dict[str, Any]:
    """All that decides the weights; the samples in their order, as the plan counts rows."""
    samples = [(sample.id, [(m.role, m.content) for m in sample.messages]) for sample in pool]
    fields = settings.model_dump(mode="json", exclude=EXECUTION)
    return {
        "samples": fingerprint(samples),
        "base": named_by_content(base),
        "seed": seed,
        **{f"train.{name}": value for name, value in fields.items()},
    }


def resume_from(
    trainer: SFTTrainer, folder: Path, run: dict[str, Any], settings: TrainSettings
) -> str | None:
    """The checkpoint to go on from; the main process clears the folder before the others look."""
    with trainer.args.main_process_first(local=False, desc="looking for checkpoints"):
        found = resume_point(folder, run, deepspeed=settings.deepspeed is not None)
    return str(found) if found else None


def final_loss(history: Iterable[dict[str, Any]], mean: float) -> float:
    """The last logged training loss; the mean over the run when none was logged."""
    losses = [entry["loss"] for entry in history if "loss" in entry]
    return float(losses[-1] if losses else mean)


def quiet() -> None:
    """Keep the libraries' chatter out of the log, and their bars off anything but a terminal."""
    import datasets
    import transformers

    warnings.filterwarnings(
        "ignore", message=".*gradient_checkpointing` is deprecated", category=FutureWarning
    )
    transformers.logging.set_verbosity_error()
    datasets.utils.logging.set_verbosity_error()
    if not sys.stderr.isatty():
        transformers.logging.disable_progress_bar()
        datasets.disable_progress_bars()
