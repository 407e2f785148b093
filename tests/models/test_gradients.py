"""Gradients by row: equal to one row at a time, projected as released, whatever they share a batch with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tacos.errors import TacosError
from tacos.models import gradients as module
from tacos.models.batches import Supervised
from tacos.models.gradients import Moments, Projection, gradients, projected, trained_weights
from tacos.models.local import LocalModel, load_lm, with_adapter
from tests.models.test_local import CAUSAL, local, rows
from tests.scoring import tiny_models


def adapted(model: Any, tokenizer: Any) -> LocalModel:
    """A LoRA on every linear layer, none of whose weights is 0."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=2, lora_alpha=4, lora_dropout=0.5, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    made: Any = get_peft_model(model, config).eval()
    numbers = np.random.default_rng(3)
    with torch.no_grad():
        for name, weight in made.named_parameters():
            if "lora" in name:
                weight.copy_(
                    torch.tensor(numbers.standard_normal(tuple(weight.shape)), dtype=torch.float32) * 0.1
                )
    return LocalModel(made, tokenizer)


def alone(lm: LocalModel, row: Supervised) -> torch.Tensor:
    """The gradient by the model's own loss."""
    labels = [i if counts else -100 for i, counts in zip(row.ids, row.mask, strict=True)]
    lm.model.zero_grad()
    model: Any = lm.model
    model(input_ids=torch.tensor([list(row.ids)]), labels=torch.tensor([labels])).loss.backward()
    found = torch.cat([weight.grad.flatten() for _, weight in trained_weights(lm)])  # type: ignore[union-attr]
    lm.model.zero_grad()
    return found


@pytest.mark.parametrize("name", sorted(CAUSAL))
def test_a_batch_gives_each_row_its_own_gradient(name: str) -> None:
    plain = local(CAUSAL[name])
    lm, given = adapted(plain.model, plain.tokenizer), [row for row in rows() if any(row.mask[1:])]
    try:
        found = dict(gradients(lm, given, budget=100))
    except TacosError as error:
        assert "one row at a time" in str(error)  # experts see tokens, not rows
        found = dict(gradients(lm, given, budget=1))
    for i, row in enumerate(given):
        assert found[i].numpy() == pytest.approx(alone(lm, row).numpy(), abs=1e-4)


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalModel]:
    folder = tiny_models.build(tmp_path_factory.mktemp("lm") / "llama", "llama")
    plain = load_lm(str(folder), device="cpu")
    yield adapted(plain.model, plain.tokenizer)


GIVEN = [Supervised([3 + i, 9, 4 + i, 8], [0, 1, 1, 1]) for i in range(5)]


def test_a_step_of_adam_by_hand() -> None:
    moments = Moments(torch.tensor([1.0]), torch.tensor([4.0]), (0.5, 0.75), 0.0)
    # (0.5 * 1 + 0.5 * 3) / sqrt(0.75 * 4 + 0.25 * 9) = 2 / sqrt(5.25)
    assert moments.step(torch.tensor([[3.0]])).tolist() == [[pytest.approx(2 / 5.25**0.5)]]


def test_a_projection_is_signs_that_keep_dot_products() -> None:
    projection = Projection(400, 2048, torch.device("cpu"))
    both = torch.tensor(np.random.default_rng(0).standard_normal((2, 400)), dtype=torch.float32)
    made = projection(both)
    assert torch.equal(made, Projection(400, 2048, torch.device("cpu"))(both))
    assert sorted(projection(torch.eye(400)[:2]).unique().tolist()) == [-1.0, 1.0]
    cosine = torch.nn.functional.cosine_similarity
    assert float(cosine(*both, dim=0) - cosine(*made, dim=0)) == pytest.approx(0, abs=0.08)


def test_a_projection_that_is_not_kept_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = torch.ones(3, 50)
    kept = Projection(50, 300, torch.device("cpu"))(rows)
    monkeypatch.setattr(module, "KEPT", 0)
    again = Projection(50, 300, torch.device("cpu"))
    assert torch.equal(again(rows), kept) and not again._kept


def test_large_adapters_are_projected_in_blocks_of_their_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DRAWN", 64 * 20)
    monkeypatch.setattr(module, "KEPT", 0)
    projection = Projection(50, 64, torch.device("cpu"))
    signs = projection(torch.eye(50))
    assert sorted(signs.unique().tolist()) == [-1.0, 1.0] and abs(float(signs.mean())) < 0.1
    rows = torch.tensor(np.random.default_rng(0).standard_normal((3, 50)), dtype=torch.float32)
    assert torch.allclose(projection(rows), rows @ signs, atol=1e-4)
    assert not torch.equal(signs[:20], signs[20:40])  # each block from a seed of its own


def test_rows_are_projected_in_blocks_of_what_memory_holds(
    lm: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = sum(weight.numel() for _, weight in trained_weights(lm))
    projection = Projection(size, 64, torch.device("cpu"))
    whole = dict(projected(lm, GIVEN, projection))
    monkeypatch.setattr(module, "HELD", 2 * size)
    parts = dict(projected(lm, GIVEN, projection))
    assert sorted(whole) == sorted(parts) == list(range(5))
    for row in whole:
        assert parts[row] == pytest.approx(whole[row], abs=1e-4)
        assert whole[row] == pytest.approx(projection(alone(lm, GIVEN[row])[None])[0].numpy(), abs=1e-3)


def test_rows_do_not_wait_for_all_others(lm: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    together: list[int] = []

    class Counting(Projection):
        def __call__(self, gradients: torch.Tensor) -> torch.Tensor:
            together.append(len(gradients))
            return super().__call__(gradients)

    monkeypatch.setattr(module, "TOGETHER", 2)
    size = sum(weight.numel() for _, weight in trained_weights(lm))
    list(projected(lm, GIVEN, Counting(size, 64, torch.device("cpu"))))
    assert together == [2, 2, 1]


def test_an_adapter_is_loaded_without_dropout_and_wants_gradients(lm: LocalModel, tmp_path: Path) -> None:
    model: Any = lm.model
    model.save_pretrained(tmp_path / "adapter")
    tiny_models.build(tmp_path / "llama", "llama")
    again = with_adapter(load_lm(str(tmp_path / "llama"), device="cpu"), tmp_path / "adapter")
    assert [name for name, _ in trained_weights(again)] == [name for name, _ in trained_weights(lm)]
    wanted, found = dict(gradients(lm, GIVEN)), dict(gradients(again, GIVEN))
    assert all(torch.allclose(found[row], wanted[row], atol=1e-5) for row in wanted)


def test_an_adapter_that_is_not_there_is_named(lm: LocalModel, tmp_path: Path) -> None:
    with pytest.raises(TacosError, match="cannot load the adapter"):
        with_adapter(lm, tmp_path / "none")
