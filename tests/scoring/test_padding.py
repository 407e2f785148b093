"""What scorers read in a batch is what they read alone, whatever the architecture."""

from __future__ import annotations

import pytest
import torch

from tacos.models.local import LocalModel
from tacos.scoring.answer_loss import Layout, answer_losses
from tacos.scoring.rating_tokens import rated, softmax
from tacos.types import Pool, make_sample
from tests.models.test_local import CAUSAL
from tests.scoring import tiny_models

POOL = Pool.from_samples(
    make_sample("word " * (1 + i % 3), "and so on, " * (1 + i % 4) + str(i), id=str(i)) for i in range(9)
)


@pytest.mark.parametrize("name", CAUSAL)
def test_a_score_in_a_batch_is_the_score_alone(name: str) -> None:
    torch.manual_seed(0)
    tokenizer = tiny_models.bpe(begins=True)
    tokenizer.pad_token = tokenizer.eos_token
    lm = LocalModel(CAUSAL[name]().eval(), tokenizer)
    texts = [[prompt, response] for prompt, response in zip(POOL.prompts, POOL.responses, strict=True)]
    for layout in (Layout("none", 60, "skip"), Layout("none", 24, "cut")):
        alone, together = (dict(answer_losses(lm, POOL, layout, budget, "losses")) for budget in (1, 4096))
        assert sorted(alone) == sorted(together) == list(range(9))
        for row, kept in together.items():
            assert kept.error is None and kept.values == pytest.approx(alone[row].values, abs=1e-4)
    alone, together = (dict(rated(lm, texts, 5, softmax, budget, "ratings")) for budget in (1, 4096))
    for row, kept in together.items():
        assert len(kept.values) == 10 and kept.values == pytest.approx(alone[row].values, abs=1e-4)
