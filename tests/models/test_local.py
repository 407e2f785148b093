"""Models in this process: one way to load them, one message, and batches that change nothing."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf

from tacos.errors import ConfigError, TacosError
from tacos.models.batches import (
    Supervised,
    buckets,
    hidden_states,
    last_logits,
    mean_pool,
    next_logits,
    out_of_memory,
    pad_right,
    token_losses,
)
from tacos.models.local import LocalModel, load_lm, load_tokenizer, weights
from tests.llm import tiny_llama

SMALL = {
    "vocab_size": 300,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}
CAUSAL: dict[str, Callable[[], Any]] = {
    "llama": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**SMALL)),
    "qwen2": lambda: hf.Qwen2ForCausalLM(hf.Qwen2Config(**SMALL)),
    "qwen3": lambda: hf.Qwen3ForCausalLM(hf.Qwen3Config(**SMALL, head_dim=8)),
    "mistral": lambda: hf.MistralForCausalLM(hf.MistralConfig(**SMALL, sliding_window=5)),
    "gemma": lambda: hf.GemmaForCausalLM(hf.GemmaConfig(**SMALL, head_dim=8)),
    "gemma2": lambda: hf.Gemma2ForCausalLM(hf.Gemma2Config(**SMALL, head_dim=8, sliding_window=6)),
    "phi3": lambda: hf.Phi3ForCausalLM(hf.Phi3Config(**SMALL, pad_token_id=0)),
    "gpt2": lambda: hf.GPT2LMHeadModel(
        hf.GPT2Config(vocab_size=300, n_positions=64, n_embd=32, n_layer=2, n_head=4)
    ),
    "gpt-neox": lambda: hf.GPTNeoXForCausalLM(
        hf.GPTNeoXConfig(**{k: v for k, v in SMALL.items() if "key_value" not in k})
    ),
    "opt": lambda: hf.OPTForCausalLM(
        hf.OPTConfig(
            vocab_size=300,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            ffn_dim=64,
            word_embed_proj_dim=32,
            max_position_embeddings=64,
        )
    ),
}
ENCODERS: dict[str, Callable[[], Any]] = {
    "bert": lambda: hf.BertModel(
        hf.BertConfig(**{k: v for k, v in SMALL.items() if "key_value" not in k}), add_pooling_layer=False
    ),
    "xlm-roberta": lambda: hf.XLMRobertaModel(
        hf.XLMRobertaConfig(**{k: v for k, v in SMALL.items() if "key_value" not in k}, pad_token_id=1)
    ),
}


def local(make: Callable[[], Any], pad: int = 1) -> LocalModel:
    torch.manual_seed(0)
    tokenizer: Any = SimpleNamespace(pad_token_id=pad)
    return LocalModel(make().eval(), tokenizer)


def rows(seed: int = 0) -> list[Supervised]:
    """Of 2 to 40 tokens; each second token counts, and the last."""
    rng = np.random.default_rng(seed)
    lengths = [40, 2, 17, 33, 5, 17, 9, 26]
    ids = [rng.integers(3, 90, size=n).tolist() for n in lengths]
    return [Supervised(row, [int(i % 2 == 1 or i == len(row) - 1) for i in range(len(row))]) for row in ids]


def test_rows_of_like_length_share_a_batch_up_to_the_budget() -> None:
    assert buckets([30, 900, 20, 850], 2000) == [[1, 3], [0, 2]]
    assert buckets([5, 5, 5], 10) == [[0, 1], [2]]
    assert buckets([50, 1], 10) == [[0], [1]]  # over the budget: alone
    assert buckets([], 10) == []


def test_padding_goes_right() -> None:
    ids, mask = pad_right([[5, 6, 7], [8]], pad=0)
    assert ids.tolist() == [[5, 6, 7], [8, 0, 0]] and mask.tolist() == [[1, 1, 1], [1, 0, 0]]


@pytest.mark.parametrize("name", CAUSAL)
def test_a_batch_gives_what_each_row_gives_alone(name: str) -> None:
    lm, given = local(CAUSAL[name]), rows()
    ids = [list(row.ids) for row in given]
    losses = dict(token_losses(lm, given, budget=100))
    logits = dict(next_logits(lm, ids, [7, 3], budget=100))
    mean, last, each = (
        dict(hidden_states(lm, given, pooling, budget=100)) for pooling in ("mean", "last", "none")
    )
    assert sorted(losses) == sorted(logits) == sorted(mean) == list(range(8))
    counts = [1 + i % 2 for i in range(len(ids))]
    with torch.inference_mode():
        ends = list(last_logits(lm, ids, counts))
    for i, row in enumerate(given):
        with torch.inference_mode():
            alone = lm.model(input_ids=torch.tensor([ids[i]]), output_hidden_states=True)
        own = torch.log_softmax(alone.logits[0].float(), -1)
        wanted = [-float(own[k - 1, ids[i][k]]) for k in range(1, len(ids[i])) if row.mask[k]]
        assert losses[i] == pytest.approx(wanted, abs=1e-4)
        assert logits[i] == pytest.approx(alone.logits[0, -1, [7, 3]].tolist(), abs=1e-4)
        assert ends[i].numpy() == pytest.approx(alone.logits[0, -counts[i] :].numpy(), abs=1e-4)
        states = alone.hidden_states[-1][0].numpy()[np.flatnonzero(row.mask)]
        assert each[i] == pytest.approx(states, abs=1e-4)
        assert mean[i] == pytest.approx(states.mean(axis=0), abs=1e-4)
        assert last[i] == pytest.approx(states[-1], abs=1e-4)


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_does_not_see_the_padding(name: str) -> None:
    lm, given = local(ENCODERS[name]), rows()
    together = dict(hidden_states(lm, given, "mean"))
    for i, row in enumerate(given):
        (alone,) = dict(hidden_states(lm, [row], "mean")).values()
        assert together[i] == pytest.approx(alone, abs=1e-4)


def test_a_row_in_which_nothing_counts_has_no_loss_and_costs_nothing() -> None:
    lm = local(CAUSAL["llama"])
    found = dict(token_losses(lm, [Supervised([4, 5], [1, 0]), Supervised([4, 5], [0, 1])]))
    assert found[0].shape == (0,) and found[1].shape == (1,)
    assert dict(token_losses(lm, [])) == {}


def test_results_come_batch_by_batch_the_longest_first() -> None:
    lm = local(CAUSAL["llama"])
    order = [row for row, _ in token_losses(lm, rows(), budget=50)]
    assert order[0] == 0 and order[-1] == 1


class Small:
    """A model in a memory that holds so many tokens."""

    def __init__(self, lm: LocalModel, holds: int):
        self.lm, self.holds, self.seen = lm, holds, list[int]()
        self.forward = lm.model.forward

    def __call__(self, input_ids: torch.Tensor, *given: Any, **more: Any) -> Any:
        self.seen.append(input_ids.numel())
        if input_ids.numel() > self.holds:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return self.forward(input_ids, *given, **more)


def test_a_batch_that_does_not_fit_into_memory_is_halved_and_the_run_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lm, given = local(CAUSAL["llama"]), rows()
    wanted = dict(token_losses(lm, given))
    small = Small(lm, holds=90)
    monkeypatch.setattr(lm.model, "forward", small)
    found = dict(token_losses(lm, given, budget=400))
    assert sorted(found) == list(range(8))
    assert all(found[i] == pytest.approx(wanted[i], abs=1e-4) for i in found)
    assert [size > 90 for size in small.seen] == sorted((size > 90 for size in small.seen), reverse=True)
    assert "320 tokens do not fit into memory; going on with 160 a batch" in caplog.text


def test_a_row_that_does_not_fit_into_memory_alone_is_an_error_with_a_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lm = local(CAUSAL["llama"])
    monkeypatch.setattr(lm.model, "forward", Small(lm, holds=30))
    with pytest.raises(TacosError, match="out of memory: a text of 40 tokens alone does not fit"):
        list(next_logits(lm, [list(row.ids) for row in rows()], [3]))


@pytest.mark.parametrize(
    ("said", "memory"),
    [
        ("MPS backend out of memory (MPS allocated: 9 GB)", True),
        ("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: not enough memory: you tried to", True),
        ("alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory", True),
        ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
        ("CUDA error: device-side assert triggered", False),
    ],
)
def test_out_of_memory_is_told_from_other_errors_on_every_device(said: str, memory: bool) -> None:
    assert out_of_memory(RuntimeError(said)) is memory


def test_an_error_of_another_kind_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = local(CAUSAL["llama"])

    def broken(*given: Any, **more: Any) -> Any:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(lm.model, "forward", broken)
    with pytest.raises(RuntimeError, match="mat1"):
        list(token_losses(lm, rows()))


def test_the_mean_over_tokens_by_hand() -> None:
    states = torch.tensor([[[1.0], [3.0], [9.0]], [[5.0], [5.0], [5.0]]])
    assert mean_pool(states, torch.tensor([[1, 1, 0], [0, 0, 0]])).tolist() == [[2.0], [0.0]]


def test_a_model_comes_with_a_template_and_something_to_pad_with(tmp_path: Path) -> None:
    folder = tiny_llama.build(tmp_path / "m", context=64)
    lm = load_lm(str(folder), template="plain", device="cpu")
    assert lm.tokenizer.chat_template and "### " in lm.tokenizer.chat_template
    assert (lm.context, lm.device.type, lm.model.training) == (64, "cpu", False)
    assert lm.pad == lm.tokenizer.eos_token_id
    with pytest.raises(ConfigError, match="unknown chat template 'plane'"):
        load_tokenizer(str(folder), "plane")


def test_weights_of_16_bits_that_a_cpu_emulates_are_loaded_in_32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tiny_llama.build(tmp_path / "m")
    weights("causal", str(folder), dtype=torch.bfloat16).save_pretrained(folder)
    monkeypatch.setattr("tacos.models.device.native_bfloat16", lambda device: False)
    assert load_lm(str(folder), device="cpu").model.dtype is torch.float32
    assert load_lm(str(folder), dtype="bfloat16", device="cpu").model.dtype is torch.bfloat16


def test_every_loader_says_what_is_missing_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    loaders: dict[str, Callable[[str], Any]] = {
        "model": load_lm,
        "tokenizer": lambda source: load_tokenizer(source, what="tokenizer"),
        "encoder": lambda source: weights("encoder", source),
        "classifier": lambda source: weights("classifier", source, num_labels=2),
        "base model": lambda source: weights("causal", source, "base model", instead="set base.model"),
    }
    for what, load in loaders.items():
        for source in ("no/such", str(tmp_path / "empty")):
            with pytest.raises(
                TacosError, match=f"cannot load the {what} '{source}': .+; check the name, the"
            ):
                load(source)
    with pytest.raises(TacosError, match=r"the network, or set base\.model$"):
        loaders["base model"]("no/such")


def edit(path: Path, **changed: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "half of the weights": (
        lambda folder: os.truncate(folder / "model.safetensors", 4000),
        r"SafetensorError: .*; a file of weights is damaged or cut off: copy or download it again$",
    ),
    "a pickle that runs code": (
        lambda folder: hostile(folder),
        r"its weights are a Python pickle that holds more than tensors, .*save_file\(torch\.load\(",
    ),
    "pointer to weights": (
        lambda folder: (folder / "model.safetensors").write_text(
            "version https://git-lfs.github.com/spec/v1\n"
        ),
        r"; model\.safetensors holds only a name in Git LFS: run `git lfs pull` in the folder$",
    ),
    "tokenizer without tokens": (
        lambda folder: (folder / "tokenizer.json").write_text("{}"),
        r"KeyError: 'added_tokens'; check",
    ),
    "heads that do not divide": (
        lambda folder: edit(folder / "config.json", num_attention_heads=3),
        r"hidden size \(\d+\) is not a multiple of the number of attention heads \(3\); check",
    ),
    "a type of numbers that is none": (
        lambda folder: edit(folder / "config.json", dtype="float7"),
        r"AttributeError: module 'torch' has no attribute 'float7'; check",
    ),
    "another width": (
        lambda folder: edit(folder / "config.json", vocab_size=7),
        r"its files hold \S+ as \[\d+, \d+\] and its config\.json asks for \[7, \d+\].*; check",
    ),
    "code of its own": (
        lambda folder: edit(folder / "config.json", model_type="own", auto_map={"AutoConfig": "own.Config"}),
        r"custom code .*; code that comes with a model is not run here: take a model of a type that transformers",
    ),
    "an adapter": (
        lambda folder: (folder / "config.json").rename(folder / "adapter_config.json"),
        r"; it is an adapter alone: name the model that it was merged into, after `tacos train` model/ beside it$",
    ),
    "a folder around it": (
        lambda folder: shutil.copytree(folder.rename(folder.with_name("inner")), folder / "model"),
        r"; name the folder in it, '.*/m/model'$",
    ),
}
"""What is done to a model's folder, and what is then said."""


class Hostile:
    """Writes a file where it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


def hostile(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Hostile(folder / "ran"), protocol=2))


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_folder_that_cannot_be_loaded_says_why_and_what_to_do(damage: str, tmp_path: Path) -> None:
    folder = tiny_llama.build(tmp_path / "m")
    do, message = DAMAGE[damage]
    do(folder)
    with pytest.raises(TacosError, match="^cannot load the model '.*/m': .*" + message):
        load_lm(str(folder), device="cpu")
    assert not (folder / "ran").exists()


def test_weights_that_the_files_lack_are_not_made_up(tmp_path: Path) -> None:
    folder = tiny_llama.build(tmp_path / "m")
    whole = weights("causal", str(folder), dtype=torch.float32)
    whole.config.tie_word_embeddings = False
    inner: Any = whole.base_model
    inner.save_pretrained(folder)  # as an encoder, without the head
    with pytest.raises(
        TacosError, match=r"cannot load the model .*: its files hold no weights for lm_head\.weight;"
    ):
        weights("causal", str(folder))
    assert weights("encoder", str(folder)).config.hidden_size == whole.config.hidden_size
