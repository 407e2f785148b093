"""The trainer of a run, once base, settings and samples are known to go together."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback
from transformers.integrations import is_deepspeed_zero3_enabled
from trl import SFTConfig

from tacos.models.local import check_vocabulary
from tacos.types import Pool
from train import model as models
from train.agreement import Trial, make_trial
from train.checkpoints import CHECKPOINTS
from train.checks import check_disk, check_settings, refused_by_libraries
from train.data import TrainingData, micro_batches, prepare, training_rows, validation_batches
from train.epochs import KeepEpochs, last_steps
from train.processes import rank, world_size
from train.settings import TrainRun
from train.trainer import PlannedTrainer, make_trainer, trainer_config

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger(__name__)


def build_trainer(run: TrainRun, pool: Pool) -> tuple[PlannedTrainer, PreTrainedTokenizerBase, TrainingData]:
    """Ready for its first step.

    Raises: TacosError when the base cannot be loaded; ConfigError for what base, tokenizer, samples and settings
    cannot be together; PoolError when no sample has a supervised token.
    """
    settings = run.train
    tokenizer = models.load_tokenizer(run.model, settings)
    shape = models.skeleton(run.model, settings)
    check_settings(run.model, shape, settings)
    if rank() == 0:  # which made the folder
        check_disk(run.model, shape, settings, Path(run.out))
    data = prepare(tokenizer, pool, settings, run.seed)
    check_vocabulary(run.model, shape, tokenizer, {i for e in data.kept for i in e.ids})
    with refused_by_libraries():
        return assemble(run, tokenizer, data, models.attention(shape)), tokenizer, data


def assemble(
    run: TrainRun, tokenizer: PreTrainedTokenizerBase, data: TrainingData, attention: str
) -> PlannedTrainer:
    """The configuration comes before the model, which ZeRO-3 shards while it loads, and again where the model turns
    out not to close packed samples to each other."""
    packed = models.is_packed(run.train, attention)
    config, micro = laid_out(run, data, packed)
    model = models.load_model(run.model, run.train, tokenizer, attention)
    pad: Any = tokenizer.pad_token_id
    sharded, own_head = is_deepspeed_zero3_enabled(), False
    trial = make_trial(run.model, model, pad, data.kept, run.train, sharded)
    if not sharded:
        own_head, packed = trial.choose(placed(model, config), packed)
        config, micro = laid_out(run, data, packed)
    held_out = validation_batches(data, run.train, world_size(), packed)
    adapter = models.adapter_config(run.train)
    trainer = make_trainer(
        model, tokenizer, training_rows(data.kept), micro, held_out, config, run.train, adapter, own_head
    )
    if run.train.keep_epochs:
        ends = last_steps(data.plan, data.samples)
        trainer.add_callback(KeepEpochs(trainer.accelerator.unwrap_model(trainer.model), ends, Path(run.out)))
    if adapter and not sharded:
        trial.check_adapters(trainer.model, run.train.lora.target)
    if sharded:
        trainer.add_callback(FirstTrial(trainer, trial, packed))
    return trainer


def laid_out(run: TrainRun, data: TrainingData, packed: bool) -> tuple[SFTConfig, list[list[int]]]:
    """The trainer's configuration and its micro-batches."""
    micro, parts = micro_batches(data, run.train, world_size(), packed)
    return trainer_config(
        run.train, len(data.plan), parts, packed, run.seed, Path(run.out) / CHECKPOINTS
    ), micro


def placed(model: Any, config: SFTConfig) -> Any:
    """On the device where the trainer puts it; one in 4 bits stands there already."""
    return model if getattr(model, "is_quantized", False) else model.to(config.device)


class FirstTrial(TrainerCallback):
    """The trial of a model that ZeRO-3 has in shards, which only its engine can run."""

    def __init__(self, trainer: PlannedTrainer, trial: Trial, packed: bool):
        self.trainer, self.trial, self.packed = trainer, trial, packed

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Raises: ConfigError where packing has to be switched off, or the base cannot be trained here."""
        self.trial.check(self.trainer.model_wrapped, self.packed)
