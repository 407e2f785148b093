"""Models in this process: the one place that loads tokenizers, causal language models, encoders and classifiers.

    lm = load_lm("Qwen/Qwen2.5-0.5B", template="plain")     weights and tokenizer, on CUDA, MPS or the CPU
    weights("causal", base, dtype=torch.float32)            weights as the files hold them, for training

Every loader fails with one message: what could not be loaded, why, and what to do. Numbers are those of the
files unless the device has to emulate them (`tacos.models.device`). Every tokenizer that comes from here has a
pad token. `tacos.models.batches` runs such a model over many rows.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tacos.errors import ConfigError, TacosError, first_line
from tacos.models.chat import ensure_template, prompt_ids
from tacos.models.device import in_native_numbers, pick_device
from tacos.models.flops import parameters_at_work, passes
from tacos.models.positions import table_of_positions
from tacos.types import Message
from tacos.usage import Ledger

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

log = logging.getLogger(__name__)
Kind = Literal["causal", "encoder", "classifier"]
CLASSES = {
    "causal": "AutoModelForCausalLM",
    "encoder": "AutoModel",
    "classifier": "AutoModelForSequenceClassification",
}
WHAT = {"causal": "model", "encoder": "encoder", "classifier": "classifier"}
"""What a model is called in messages where the caller has no better word."""
POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class LocalModel:
    """A model in evaluation mode on its device, and its tokenizer."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    ledger: Ledger | None = None
    """Where its passes are counted."""
    adapter: Path | None = None
    """The folder of the adapter that lies on it, if one does."""

    @cached_property
    def parameters(self) -> int:
        """Those at work (`tacos.models.flops`)."""
        return parameters_at_work(self.model)

    def count(self, forward: int, backward: int = 0) -> None:
        """Tokens that it has read, and those of them that gradients were taken of."""
        if self.ledger is not None:
            trained = parameters_at_work(self.model, trained=True) if backward else None
            self.ledger.add(passes(self.parameters, forward, backward, trained))

    @property
    def device(self) -> Any:
        """A `torch.device`."""
        return self.model.device

    @property
    def pad(self) -> int:
        """The token that fills up short rows; attention never sees it."""
        pad: Any = self.tokenizer.pad_token_id
        return int(pad)

    @property
    def context(self) -> int | None:
        """Tokens that the model can hold, prompt and reply together; None where its config does not say."""
        text: Any = self.model.config.get_text_config()
        known = getattr(text, "max_position_embeddings", None) or table_of_positions(self.model)
        return int(known) if known else None


def load_lm(
    source: str,
    dtype: str = "auto",
    template: str = "auto",
    device: str = "auto",
    ledger: Ledger | None = None,
) -> LocalModel:
    """A causal language model with a chat template, ready to be asked.

    source: hub id or folder. dtype: "auto", "bfloat16", "float16" or "float32". template: as
    `tacos.models.chat.ensure_template`. device: "auto" takes CUDA, then Apple's MPS, then the CPU. ledger: where its
    passes are counted.

    Raises: TacosError naming the model when it cannot be loaded; ConfigError for an unknown template, or a
    tokenizer that is not the model's.
    """
    tokenizer = load_tokenizer(source, template)
    model = weights("causal", source, dtype=dtype)
    used: list[int] = []
    with suppress(TacosError):  # of a template that takes no lone question
        used = prompt_ids(tokenizer, [Message(role="user", content="Hi")])
    check_vocabulary(source, model, tokenizer, used)
    return LocalModel(placed(model, dtype, pick_device(device)), tokenizer, ledger)


def with_adapter(lm: LocalModel, folder: Path) -> LocalModel:
    """The model with a LoRA adapter on it, whose weights alone want gradients; without dropout.

    Raises: TacosError where the adapter cannot be loaded onto the model.
    """
    from peft import PeftModel

    try:
        adapted: Any = PeftModel.from_pretrained(lm.model, str(folder), is_trainable=True)
    except Exception as error:  # damaged files raise what they like
        raise cannot_load("adapter", str(folder), error) from error
    return LocalModel(adapted.eval(), lm.tokenizer, lm.ledger, folder)


def load_tokenizer(
    source: str, template: str | None = None, what: str = "model", instead: str = ""
) -> PreTrainedTokenizerBase:
    """With a pad token, and with a chat template where one is named.

    what, instead: as `cannot_load`.

    Raises: TacosError naming the source; ConfigError for an unknown template.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except Exception as error:  # damaged files raise what they like
        raise cannot_load(what, source, error, instead) from error
    if template is not None:
        ensure_template(tokenizer, template)
    if tokenizer.pad_token_id is None:  # padding is masked from attention and loss alike
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)
    return tokenizer


def weights(
    kind: Kind, source: str, what: str | None = None, instead: str = "", **options: Any
) -> PreTrainedModel:
    """The model as its files hold it, on the CPU unless `options` say otherwise.

    options: of transformers' `from_pretrained`, such as dtype, attn_implementation, quantization_config.
    what, instead: as `cannot_load`.

    Raises: TacosError naming the source, also where its files lack weights of a causal model or hold them in another
    shape, which transformers would make up at random; the head of a classifier may be new.
    """
    import transformers

    made, always = getattr(transformers, CLASSES[kind]), {"trust_remote_code": False}
    try:
        model, info = made.from_pretrained(
            source, output_loading_info=True, ignore_mismatched_sizes=True, **always, **options
        )
        check_weights(kind, model, info)
    except Exception as error:  # damaged files raise what they like
        raise cannot_load(what or WHAT[kind], source, error, instead) from error
    loaded: PreTrainedModel = model
    return loaded


def check_weights(kind: Kind, model: PreTrainedModel, info: Mapping[str, Any]) -> None:
    """info: as transformers tells of loading. Raises: ValueError where weights were made up."""
    if odd := sorted(info["mismatched_keys"]):
        name, held, wanted = odd[0]
        raise ValueError(
            f"its files hold {name} as {list(held)} and its config.json asks for {list(wanted)}{others(odd)}"
        )
    lacking = sorted(set(info["missing_keys"]) & {name for name, _ in model.named_parameters()})
    if kind == "causal" and lacking:
        raise ValueError(f"its files hold no weights for {lacking[0]}{others(lacking)}")


def others(found: Sequence[Any]) -> str:
    return f" and {len(found) - 1} more" if found[1:] else ""


def check_vocabulary(
    source: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, used: Iterable[int]
) -> None:
    """Whether the model has an embedding for every id that it will meet.

    Some tokenizers have more tokens than their model, such as those of Gemma 3, whose token for an image has none in
    the models of text. So they are refused for the ids in use, and for a vocabulary, without added tokens, that is
    another one's.

    used: ids of prompts or samples; the tokenizer's own special tokens for padding, beginning and end are added.

    Raises: ConfigError naming both sizes and a token.
    """
    embeddings: Any = model.get_input_embeddings()
    held = int(getattr(embeddings, "num_embeddings", None) or embeddings.weight.shape[0])
    tokens = len(tokenizer)
    if tokens <= held:
        return
    special = (
        tokenizer.pad_token_id,
        tokenizer.bos_token_id,
        tokenizer.eos_token_id,
        tokenizer.vocab_size - 1,
    )
    lost = max([*used, *(i for i in special if isinstance(i, int))])
    sizes = f"the tokenizer of {source!r} has {tokens} tokens and the model's embeddings {held}"
    if lost >= held:
        raise ConfigError(
            f"{sizes}, none of them for {tokenizer.convert_ids_to_tokens(lost)!r} ({lost}): take the tokenizer that "
            f"belongs to the model, or give the model embeddings for all (`resize_token_embeddings({tokens})`)"
        )
    log.warning("%s; those without one are not used here", sizes)


def placed(model: PreTrainedModel, dtype: str, device: str) -> PreTrainedModel:
    """The model on the device, in numbers that it has of its own, in evaluation mode."""
    moved: Any = in_native_numbers(model, dtype, device)
    ready: PreTrainedModel = moved.to(device).eval()
    return ready


def cannot_load(what: str, source: str, error: Exception, instead: str = "") -> TacosError:
    """The message of every loader. what: such as "base model". instead: another way out, such as a setting."""
    other = f", or {instead}" if instead else ""
    return TacosError(
        f"cannot load the {what} {source!r}: {reason(error)}; {advice(error, Path(source))}{other}"
    )


def reason(error: Exception) -> str:
    """What a library says in one line, with the kind of error where that line was not written for users."""
    if is_pickle(error):
        return "its weights are a Python pickle that holds more than tensors, and reading one may run code"
    said = first_line(error).rstrip()
    if said.endswith(":"):
        said = " ".join(str(error).split())
    written = isinstance(error, (OSError, ValueError, RuntimeError, ImportError))
    return (said if written else f"{type(error).__name__}: {said}").rstrip(" .:;")


def is_pickle(error: Exception) -> bool:
    """Whether torch refused weights that are more than tensors."""
    return type(error).__name__ == "UnpicklingError" or "weights_only" in str(error)


def advice(error: Exception, folder: Path) -> str:
    """By what is in a folder in place of a model, where that can be seen."""
    if is_pickle(error):
        return (
            "take the model's safetensors, or, where you trust the file, write them once: python -c \"import torch, "
            "safetensors.torch as s; s.save_file(torch.load('pytorch_model.bin', weights_only=False), "
            "'model.safetensors')\""
        )
    if "custom code" in str(error):
        return "code that comes with a model is not run here: take a model of a type that transformers has itself"
    if (folder / "model" / "config.json").is_file():
        return f"name the folder in it, {str(folder / 'model')!r}"
    if (folder / "adapter_config.json").is_file():
        return "it is an adapter alone: name the model that it was merged into, after `tacos train` model/ beside it"
    pointers = [path.name for path in sorted(folder.glob("*")) if path.is_file() and is_pointer(path)]
    if pointers:
        return (
            f"{pointers[0]}{others(pointers)} holds only a name in Git LFS: run `git lfs pull` in the folder"
        )
    if type(error).__name__ == "SafetensorError":
        return "a file of weights is damaged or cut off: copy or download it again"
    return "check the name, the folder and the network"


def is_pointer(path: Path) -> bool:
    """Whether Git LFS put it in place of a file that it did not download."""
    with path.open("rb") as file:
        return file.read(len(POINTER)) == POINTER
