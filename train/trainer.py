"""`trl.SFTTrainer`, fed with planned micro-batches of ready ids and labels.

TRL would otherwise tokenise, mask, pack and shuffle by rules that change between its releases. Here
`tacos.models.chat` decides ids and mask, `train.plan` decides batches, and everything that touches the loss is
stated. What is changed in the trainer, and why:

* the loader follows the plan, so that arms are trained on equal loss tokens;
* a step's loss is the sum over its supervised tokens on all devices, divided by their number, for every
  model (`Trainer` would average micro-batches for models whose forward takes no keyword arguments);
* right padding needs no attention mask, since a causal model's real tokens never see what comes after
  them; without it the fast attention kernels apply;
* NEFTune's noise is scaled by each sample's own length, as in the paper; `transformers` scales it by the
  length of the padded or packed row, which would make packing weaken it;
* on a CPU the head of the model scores supervised positions only, as TRL has it on GPUs, where elsewhere it
  scores all for compilers that want fixed shapes: the same numbers, a fifth faster on Alpaca (2026-11-21);
* the validation loss is a mean over tokens, where `Trainer` averages the means of batches.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import set_seed
from datasets import Dataset
from torch.utils.data import DataLoader
from transformers import EarlyStoppingCallback, PreTrainedModel, PreTrainedTokenizerBase
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from trl import SFTConfig, SFTTrainer
from trl.trainer import utils as trl_utils

from tacos.shipped import find
from train.heads import put_own_head
from train.monitor import StepLog
from train.processes import leave_collectives_to_gloo, on_cpu, world_size
from train.settings import TrainSettings


def trainer_config(
    settings: TrainSettings, steps: int, accumulation: int, packed: bool, seed: int, out: Path
) -> SFTConfig:
    """Everything that matters is said here. Made before the model, which ZeRO-3 shards while it loads."""
    stopping = settings.patience is not None
    every = settings.eval_steps or max(1, steps // 10)
    saved = every if stopping else settings.save_steps
    cpu = on_cpu(settings)
    if cpu and settings.deepspeed:
        leave_collectives_to_gloo()
    return SFTConfig(
        output_dir=str(out),
        max_steps=steps,
        learning_rate=settings.lr,
        lr_scheduler_type=settings.scheduler,
        warmup_steps=round(settings.warmup * steps),
        weight_decay=settings.weight_decay,
        adam_beta1=settings.betas[0],
        adam_beta2=settings.betas[1],
        max_grad_norm=settings.max_grad_norm,
        neftune_noise_alpha=None,  # by `Neftune`
        optim="adamw_torch_fused",
        per_device_train_batch_size=1,  # the planned loader decides
        gradient_accumulation_steps=accumulation,
        average_tokens_across_devices=True,
        gradient_checkpointing=settings.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False},
        bf16=settings.bf16,
        fp16=False,
        use_liger_kernel=settings.liger,
        loss_type="nll",
        packing=False,  # the plan packs
        padding_free=packed,
        shuffle_dataset=False,
        max_length=None,  # cut already
        completion_only_loss=False,  # the labels say it
        assistant_only_loss=False,
        dataset_kwargs={"skip_prepare_dataset": True},
        eval_strategy="steps" if settings.validation else "no",
        eval_steps=every,
        load_best_model_at_end=stopping,
        metric_for_best_model="eval_loss" if stopping else None,
        greater_is_better=False if stopping else None,
        logging_steps=max(1, steps // 50),
        logging_first_step=True,
        save_strategy="steps" if saved else "no",
        save_steps=saved or 500,
        save_total_limit=1,
        report_to="none",  # `train.monitor` does
        use_cpu=cpu,
        ddp_backend="gloo" if cpu and world_size() > 1 else None,
        dataloader_pin_memory=not cpu,
        deepspeed=str(find(settings.deepspeed)) if settings.deepspeed else None,
        disable_tqdm=not sys.stderr.isatty(),
        seed=seed,
        data_seed=seed,
    )


def make_trainer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[dict[str, list[int]]],
    plan: list[list[int]],
    validation: list[list[int]],
    config: SFTConfig,
    settings: TrainSettings,
    adapter: Any = None,
    own_head: bool = False,
) -> PlannedTrainer:
    """rows: ids and labels; plan, validation: rows of each micro-batch, over all devices, in order; own_head: score
    with all logits (`train.heads`)."""
    data = Dataset.from_list(list(rows))
    if config.use_cpu:
        trl_utils._use_triton = lambda device: True  # see above; read by TRL's head alone
    trainer = PlannedTrainer(
        model=model,
        args=config,
        train_dataset=data,
        eval_dataset=data if validation else None,
        processing_class=tokenizer,
        peft_config=adapter,
    )
    if own_head:
        inner: Any = trainer.model
        put_own_head(inner.get_base_model() if adapter else inner)
    trainer.plan, trainer.validation = plan, validation
    trainer.noise = Neftune(trainer.model, settings.neftune_alpha) if settings.neftune_alpha else None
    trainer.remove_callback(PrinterCallback)
    if not sys.stderr.isatty():
        trainer.remove_callback(ProgressCallback)
        if trainer.is_world_process_zero():
            trainer.add_callback(StepLog())
    if settings.patience:
        trainer.add_callback(EarlyStoppingCallback(settings.patience))
    set_seed(config.seed, device_specific=True)  # else dropout and noise would be the same on every device
    return trainer


class PlannedTrainer(SFTTrainer):
    """`SFTTrainer` that follows a plan."""

    plan: list[list[int]]
    """Rows of each micro-batch, in order; device r of n takes every n-th from r on."""
    validation: list[list[int]]
    noise: Neftune | None

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.loss_is_scaled_for_ga = True  # type: ignore[assignment]  # by the whole step's tokens
        self.model_accepts_loss_kwargs = True  # so that a step's tokens are counted for every model

    def loader(self, plan: list[list[int]]) -> DataLoader:
        rows: Any = self.train_dataset
        mine = plan[self.args.process_index :: self.args.world_size]
        pinned = self.args.dataloader_pin_memory
        return DataLoader(rows, batch_sampler=mine, collate_fn=self.data_collator, pin_memory=pinned)

    def get_train_dataloader(self) -> DataLoader:
        return self.loader(self.plan)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        if self.noise:
            self.noise.lengths = sample_lengths(inputs)
        if not self.aux_loss_enabled:  # the router's loss is over real tokens, by the mask
            drop_padding_mask(inputs)
        return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """The validation loss: a mean over tokens, on all devices."""
        to_evaluation(self.model_wrapped)
        total = torch.zeros(2, device=self.args.device)
        for batch in self.loader(self.validation):
            inputs = self._prepare_inputs(batch)
            with torch.no_grad(), self.compute_loss_context_manager():
                out = self.model_wrapped(**inputs, fused_lm_head=True)
            total += torch.stack([-out.log_probs.sum().float(), out.label_mask.sum().float()])
        loss, tokens = self.accelerator.reduce(total, "sum").tolist()
        metrics = {"eval_loss": loss / tokens}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


def drop_padding_mask(inputs: dict[str, Any]) -> None:
    mask = inputs.pop("attention_mask", None)
    if mask is not None:
        inputs["position_ids"] = torch.arange(mask.shape[1], device=mask.device)[None]


def to_evaluation(model: Any) -> Any:
    """Without dropout. Layers in 4 bits have none, and stay: on a CPU bitsandbytes packs their weights anew for
    evaluation, which fails for some shapes and is in the way of what is trained next."""
    model.eval()
    for module in model.modules():
        if type(module).__module__.startswith("bitsandbytes"):
            module.train()
    return model


def sample_lengths(inputs: dict[str, Any]) -> torch.Tensor:
    """Tokens of the sample that each token belongs to; (rows, 1) padded, (1, tokens) packed."""
    if "attention_mask" in inputs:
        return inputs["attention_mask"].sum(1, keepdim=True)
    position = inputs["position_ids"][0]
    sample = (position == 0).cumsum(0) - 1
    return sample.bincount()[sample][None]


class Neftune:
    """Uniform noise on the embeddings in [-1, 1] * alpha / sqrt(length * width) (arXiv:2310.05914, algorithm 1)."""

    def __init__(self, model: Any, alpha: float):
        self.alpha = alpha
        self.lengths: torch.Tensor | None = None
        """Of the micro-batch at hand, as `sample_lengths` gives it."""
        model.get_input_embeddings().register_forward_hook(self)

    def __call__(self, module: Any, inputs: Any, embedded: torch.Tensor) -> torch.Tensor:
        """embedded: (rows, tokens, width)."""
        if not module.training or self.lengths is None:
            return embedded
        scale = self.alpha / torch.sqrt(self.lengths * embedded.shape[-1])
        return embedded + scale[..., None].to(embedded.dtype) * torch.empty_like(embedded).uniform_(-1, 1)
