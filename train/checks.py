"""What a base, its tokenizer and the settings have to fit in, looked at before the weights are loaded.

Each is a `ConfigError` with the remedy. Most are read off the model built without weights (`train.model.skeleton`),
which takes a moment for any size. Losses are compared with weights (`train.agreement`).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D
from transformers.utils import is_liger_kernel_available

from tacos.errors import ConfigError, nearest
from tacos.models.positions import table_of_positions
from train.settings import LoraSettings, TrainSettings

LAYERS = (nn.Linear, nn.Embedding, Conv1D)
"""What an adapter stands beside."""
NAMES = {
    "`target_modules`": "train.lora.target",
    "lora_dropout": "train.lora.dropout",
    "use_liger_kernel": "train.liger",
    "gradient_checkpointing": "train.gradient_checkpointing",
}
"""Names of settings in the libraries' messages, and ours."""
ADVICE = {
    "train.lora.dropout != 0": "set train.lora.dropout=0, or name targets without experts, such as [q_proj, v_proj]",
    "Mamba-based models": "name the layers that train.lora.target may have, such as [in_proj, x_proj]",
}
"""What to do, by words of a message that does not say it."""


def check_settings(base: str, model: PreTrainedModel, settings: TrainSettings) -> None:
    """model: with or without its weights.

    Raises: ConfigError naming the setting that does not fit the base.
    """
    check_numbers(base, model)
    check_positions(base, model, settings.max_length)
    if settings.gradient_checkpointing and not model.supports_gradient_checkpointing:
        raise ConfigError(
            f"the base model {base!r} ({model.config.model_type}) cannot recompute its activations: leave out "
            "train.gradient_checkpointing"
        )
    if settings.liger and not is_liger_kernel_available():
        raise ConfigError("train.liger needs liger-kernel: pip install 'tacos-select[gpu]', or leave it out")
    if settings.mode != "full":
        check_targets(base, model, settings.lora)


def check_numbers(base: str, model: PreTrainedModel) -> None:
    """Weights of few bits take no small step, and what transformers 5.19 makes of them it does not save again: fp8 as
    fp8 without saying so, 4 bits not at all."""
    if given := getattr(model.config, "quantization_config", None):
        method = (
            given.get("quant_method", "a way not named") if isinstance(given, dict) else given.quant_method
        )
        raise ConfigError(
            f"the base model {base!r} is quantised already (quantization_config in its config.json: {method}), and "
            "such weights cannot be trained: take the same model in 16 or 32 bits, which train.mode=qlora puts in 4 "
            "bits itself"
        )


def check_disk(base: str, model: PreTrainedModel, settings: TrainSettings, out: Path) -> None:
    """Room for the weights in float32 and in the numbers that are saved, and for two checkpoints with both of Adam's
    averages, of which the older goes when the newer is whole."""
    parameters = model.num_parameters()
    kept = 2 * 12 if settings.mode == "full" and (settings.save_steps or settings.patience) else 0
    needed, free = parameters * (4 + 4 + kept), shutil.disk_usage(out).free
    if needed > free:
        raise ConfigError(
            f"{out} has {free / 1e9:.1f} GB free, and training {base!r}, of {parameters / 1e9:.2f} billion parameters, "
            f"writes up to {needed / 1e9:.1f} GB: make room, give another out"
            + (", or set train.save_steps=0" if kept else "")
        )


def check_positions(base: str, model: PreTrainedModel, max_length: int) -> None:
    limit = table_of_positions(model)
    if limit is not None and max_length > limit:
        raise ConfigError(
            f"train.max_length is {max_length}, and the base model {base!r} has {limit} positions and none after "
            f"them: set train.max_length to {limit} or less"
        )


def check_targets(base: str, model: PreTrainedModel, lora: LoraSettings) -> None:
    """peft leaves out a target that it does not find beside others that it does, merges an adapter into both of two
    tied weights although it was trained on one, and the loss never passes an adapter on the head."""
    if lora.target == "all-linear":
        return
    if not lora.target:
        raise ConfigError(
            "train.lora.target is empty: leave it out for all linear layers, or name modules, such as [q_proj, v_proj]"
        )
    whole = isinstance(lora.target, str)
    modules = dict(model.named_modules())
    holders = weight_holders(modules)
    for target in [lora.target] if isinstance(lora.target, str) else lora.target:
        found = matches(target, modules, whole)
        where = f"train.lora.target: the base model {base!r} has"
        if not found:
            raise ConfigError(f"{where} no module {target!r}{hint(target, modules)}")
        for path in found:
            shared = set(holders.get(id(getattr(modules[path], "weight", None)), ())) - {path}
            if shared:
                raise ConfigError(
                    f"{where} the same weights in {path} as in {min(shared)}, so that an adapter on {target!r} would "
                    "be trained for one of them and merged into both: leave it out, or use train.mode=full"
                )
            if modules[path] is model.get_output_embeddings():
                raise ConfigError(
                    f"{where} its output head in {path}, and the loss does not pass an adapter on {target!r}: leave it "
                    "out, or use train.mode=full"
                )


def hint(target: str, modules: Mapping[str, nn.Module]) -> str:
    """The nearest name, or way to write it, that peft could take."""
    known = {path.rpartition(".")[2] for path, m in modules.items() if isinstance(m, LAYERS)}
    if target in known:  # a single text, not a list
        return f" by its whole path, which a single text is a pattern for: write [{target}]"
    names = re.findall(r"[\w.-]+", target)
    if names[1:] and known.issuperset(names):
        return f", as a single text is a pattern for a whole path: write [{', '.join(names)}]"
    if target.lower().replace("_", "-") == "all-linear":
        return ": all-linear is written so, and alone"
    return f": {nearest(target, known)}"


def weight_holders(modules: Mapping[str, nn.Module]) -> dict[int, list[str]]:
    """Paths of the modules that hold each weight, by its identity; more than one where weights are tied."""
    holders: dict[int, list[str]] = {}
    for path, module in modules.items():
        weight = getattr(module, "weight", None)
        if weight is not None:
            holders.setdefault(id(weight), []).append(path)
    return holders


def matches(target: str, modules: Iterable[str], whole: bool) -> list[str]:
    """Paths of modules by peft's rules. whole: the target is a pattern for the whole path, else its last names."""
    if not whole:
        return [path for path in modules if path == target or path.endswith(f".{target}")]
    try:
        return [path for path in modules if re.fullmatch(target, path)]
    except re.error as error:
        raise ConfigError(f"train.lora.target: {target!r} is no regular expression: {error}") from error


@contextmanager
def refused_by_libraries() -> Iterator[None]:
    """Around the making of model and trainer. Raises: ConfigError with the library's words, for what it refuses."""
    try:
        yield
    except (ValueError, ImportError, NotImplementedError) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        for theirs, ours in NAMES.items():
            said = said.replace(theirs, ours)
        to_do = "".join(f"; {advice}" for words, advice in ADVICE.items() if words in said)
        raise ConfigError(f"this training cannot be set up: {said.rstrip('.')}{to_do}") from error
