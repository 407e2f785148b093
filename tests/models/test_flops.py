"""What models computed: parameters at work by hand, tokens once and without padding, and kept over a kill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf

from tacos.artifacts import ArtifactStore
from tacos.models.batches import Supervised, hidden_states, next_logits, token_losses
from tacos.models.embedder import Embedder, EmbedderSettings
from tacos.models.flops import KeptLedger, flops, parameters_at_work, passes, watch
from tacos.models.local import LocalModel, load_lm
from tacos.scoring import model_run
from tacos.scoring.ifd import Ifd
from tacos.stage import Done, Tools
from tacos.types import Pool, make_sample
from tacos.usage import Ledger, Usage
from tests.scoring.scored import setup

LLAMA_AT_WORK = 2 * (4 * 32 * 32 + 3 * 32 * 64 + 2 * 32) + 32
"""Two layers of attention, MLP and norms, and the last norm; no embedding, no head."""


def test_embeddings_and_head_are_not_at_work(llama: str) -> None:
    model: Any = load_lm(llama, device="cpu").model
    assert parameters_at_work(model) == LLAMA_AT_WORK
    tied = hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=90, n_positions=64, n_embd=32, n_layer=1, n_head=4))
    layer = (32 * 96 + 96) + (32 * 32 + 32) + (32 * 128 + 128) + (128 * 32 + 32) + 2 * 64
    assert parameters_at_work(tied) == layer + 64
    model.requires_grad_(False)
    model.model.norm.requires_grad_(True)
    assert (parameters_at_work(model, trained=True), parameters_at_work(model)) == (32, LLAMA_AT_WORK)


def test_operations_by_hand() -> None:
    assert flops(85_000_000, 400_000) == 6.8e13
    assert flops(100, 10, 10) == 6 * 100 * 10
    assert flops(100, 10, 10, trained=0) == 4 * 100 * 10
    assert passes(100, 10, 10, trained=5) == Usage(forward_tokens=10, backward_tokens=10, flops=4100)


def test_every_pass_is_counted_once_and_no_padding(llama: str) -> None:
    lm = load_lm(llama, device="cpu", ledger=Ledger())
    assert lm.ledger is not None
    rows = [Supervised([5] * n, [1] * n) for n in (9, 4, 7)]
    list(token_losses(lm, rows, budget=20))
    assert lm.ledger.total == Usage(forward_tokens=20, flops=2.0 * LLAMA_AT_WORK * 20)
    list(next_logits(lm, [list(row.ids) for row in rows], [3]))
    list(hidden_states(lm, rows))
    assert lm.ledger.total.forward_tokens == 60
    lm.count(forward=10, backward=10)
    assert lm.ledger.total.flops == 2.0 * LLAMA_AT_WORK * 60 + 6.0 * LLAMA_AT_WORK * 10
    list(token_losses(LocalModel(lm.model, lm.tokenizer), rows))  # no ledger, nothing to count into


def test_a_watched_module_counts_training_as_such(llama: str) -> None:
    model: Any = hf.BertModel(
        hf.BertConfig(
            vocab_size=90, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64
        )
    )
    ledger, size = Ledger(), parameters_at_work(model)
    watch(model, ledger)
    given = {
        "input_ids": torch.ones(2, 3, dtype=torch.long),
        "attention_mask": torch.tensor([[1, 1, 1], [1, 0, 0]]),
    }
    model(**given)
    with torch.inference_mode():
        model(**given)
    assert ledger.total == Usage(forward_tokens=8, backward_tokens=4, flops=6.0 * size * 4 + 2.0 * size * 4)
    model.requires_grad_(False)  # a frozen encoder under a head
    model(**given)
    assert ledger.total.backward_tokens == 4


def test_embedding_counts_the_tokens_of_distinct_texts(minilm: Embedder) -> None:
    ledger = Ledger()
    embedder = Embedder(EmbedderSettings(), ledger=ledger)
    embedder._model = minilm.model
    embedder(["a cat", "a cat", "the dog sat"])
    assert ledger.total.forward_tokens == 4 + 5  # with [CLS] and [SEP]
    assert embedder.parameters and ledger.total.flops == 2.0 * embedder.parameters * 9
    assert 10.5e6 < embedder.parameters < 11.5e6


def test_a_ledger_of_kept_rows_adds_up_what_was_read_before(tmp_path: Path) -> None:
    first, path = Ledger(), tmp_path / "passes.jsonl"
    KeptLedger(first, path).add(passes(10, 7))
    KeptLedger(first, tmp_path / "other.jsonl").add(passes(10, 5))
    path.write_text(path.read_text() + '{"forward_tok')
    again = Ledger()
    kept = KeptLedger(again, path)
    assert again.total == passes(10, 7)
    kept.add(passes(10, 1))
    assert again.total == passes(10, 8) and first.total == passes(10, 12)


class Killed(KeyboardInterrupt):
    pass


def test_a_killed_reading_counts_what_its_rows_took(
    llama: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = Pool.from_samples(make_sample(f"Say {i}.", "word " * (i + 1), id=f"s{i}") for i in range(6))
    part = Ifd(model=llama, batch_tokens=64)

    def run(root: Path) -> Done:
        stage = part.build(setup(pool))
        store, tools = ArtifactStore(root), Tools(Ledger(), None, None, "cpu")  # type: ignore[arg-type]
        store.run(stage, tools)
        return store.record(stage.inputs["losses"])

    whole = run(tmp_path / "whole")
    tokens = whole.usage.forward_tokens
    assert whole.usage.flops == 2.0 * LLAMA_AT_WORK * tokens and tokens > 100
    assert whole.outcome.metrics["parameters"] == LLAMA_AT_WORK
    assert whole.usage.as_first_paid().flops == whole.usage.flops

    real, seen = model_run.kept_rows, []

    def cut_off(path: Path, n: int, work: Any) -> Any:
        def some(rows: Any, which: str) -> Any:
            for found in work(rows, which):
                yield found
                seen.append(found)
                if len(seen) == 3:
                    raise Killed

        return real(path, n, some)

    monkeypatch.setattr(model_run, "kept_rows", cut_off)
    with pytest.raises(Killed):
        run(tmp_path / "killed")
    monkeypatch.undo()
    resumed = run(tmp_path / "killed").usage
    assert tokens < resumed.forward_tokens < 2 * tokens  # half-read rows were read again
    assert np.isclose(resumed.flops, 2.0 * LLAMA_AT_WORK * resumed.forward_tokens)
