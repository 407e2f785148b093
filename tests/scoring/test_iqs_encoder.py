"""The encoder scorer on encoders of a few thousand weights: sparsemax, freezing, rates, learning, its folder."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tacos.errors import TacosError
from tacos.models.embedder import packaged_minilm
from tacos.scoring.iqs.encoder import (
    EncoderScorer,
    EncoderSettings,
    label_rows,
    new_network,
    parameter_groups,
)
from tacos.scoring.iqs.folder import load, save
from tacos.scoring.iqs.network import sparsemax
from tests.scoring.test_iqs import toy_pairs


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> str:
    """A random two-layer BERT with the packaged vocabulary."""
    from transformers import AutoTokenizer, BertConfig, BertModel

    source = packaged_minilm()
    if source is None:
        pytest.skip("needs the offline extra")
    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = AutoTokenizer.from_pretrained(str(source))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def quick(tiny: str, **changes) -> EncoderSettings:
    values = {
        "model": tiny,
        "max_tokens": 48,
        "hidden": (32,),
        "encoder_lr": 1e-3,
        "head_lr": 3e-3,
        "device": "cpu",
    }
    return EncoderSettings(**(values | changes))


def test_sparsemax_by_hand() -> None:
    assert sparsemax(torch.tensor([1.0, 0.8, -1.0])).tolist() == pytest.approx([0.6, 0.4, 0.0])
    assert sparsemax(torch.zeros(4)).tolist() == pytest.approx([0.25] * 4)
    assert sparsemax(torch.tensor([5.0, 0.0])).tolist() == [1.0, 0.0]


def test_dropped_layers_leave_the_mix_and_the_others_share_their_weight(tiny: str) -> None:
    network, _ = new_network(quick(tiny, layer_dropout=0.5))
    assert network.eval().weights().tolist() == pytest.approx([1 / 3] * 3)
    torch.manual_seed(0)
    drawn = [network.train().weights() for _ in range(200)]
    kept = torch.stack([weights > 0 for weights in drawn])
    assert all(weights.sum().item() == pytest.approx(1, abs=1e-4) for weights in drawn)
    assert {round(1 / n, 4) for n in (1, 2, 3)} == {round(w.max().item(), 4) for w in drawn}
    assert kept.float().mean(0).tolist() == pytest.approx([0.5 + 0.125] * 3, abs=0.1)  # all dropped: all kept


def test_a_step_is_no_longer_than_its_clipped_gradient(tiny: str) -> None:
    scorer = EncoderScorer(quick(tiny, gradient_clip=0.01))
    scorer.network, scorer.tokenizer = new_network(scorer.settings)
    network = scorer.network.eval()
    before = [w.detach().clone() for w in network.parameters()]
    loss = 100 * scorer._forward(["Instruction: a"]).sum()
    optimizer = torch.optim.SGD(network.parameters(), lr=1.0)
    scorer._step(loss, optimizer, torch.amp.GradScaler("cpu", enabled=False))
    moved = (
        sum(((now - then) ** 2).sum() for now, then in zip(network.parameters(), before, strict=True)) ** 0.5
    )
    assert moved.item() == pytest.approx(0.01, rel=1e-3)


def test_half_precision_is_for_gpus_unless_named(tiny: str) -> None:
    assert EncoderScorer(quick(tiny))._dtype == torch.float32
    assert EncoderScorer(quick(tiny, dtype="float16"))._dtype == torch.float16
    if torch.cuda.is_available():
        assert EncoderScorer(quick(tiny, device="cuda"))._dtype == torch.float16
    told = EncoderScorer(quick(tiny, dtype="bfloat16", epochs=2)).fit(toy_pairs(), toy_pairs(20, seed=3))
    assert np.isfinite(told["epochs"][-1]["loss"])


def test_released_values_are_the_defaults() -> None:
    settings = EncoderSettings()
    assert (settings.gradient_clip, settings.layer_dropout, settings.patience) == (1.0, 0.1, 2)
    assert (settings.head_lr, settings.encoder_lr, settings.layer_decay) == (1.5e-5, 1e-6, 0.95)


def test_each_layer_below_learns_more_slowly(tiny: str) -> None:
    settings = quick(tiny, encoder_lr=1.0, layer_decay=0.5, head_lr=7.0)
    network, _ = new_network(settings)
    rate = {id(w): g["lr"] for g in parameter_groups(network, settings) for w in g["params"]}
    named = dict(network.named_parameters())
    assert len(rate) == len(named)
    assert rate[id(network.layers)] == 7.0 and rate[id(named["head.0.weight"])] == 7.0
    at = {n: rate[id(w)] for n, w in named.items()}
    assert {lr for n, lr in at.items() if ".layer.1." in n} == {1.0}
    assert {lr for n, lr in at.items() if ".layer.0." in n} == {0.5}
    assert {lr for n, lr in at.items() if "embeddings" in n} == {0.25}


def test_it_learns_keeps_embeddings_and_reads_back(tiny: str, tmp_path) -> None:
    scorer = EncoderScorer(quick(tiny, epochs=6))
    before, _ = new_network(scorer.settings)
    told = scorer.fit(toy_pairs(), toy_pairs(20, seed=3), seed=0)
    assert told["kendall"] > 0.5 and told["epochs"][-1]["loss"] < told["epochs"][0]["loss"]
    frozen, learned = (
        "encoder.embeddings.word_embeddings.weight",
        "encoder.encoder.layer.1.output.dense.weight",
    )
    now, then = scorer.network.state_dict(), before.state_dict()
    assert torch.equal(now[frozen], then[frozen]) and not torch.equal(now[learned], then[learned])

    unseen = toy_pairs(8, seed=4)
    save(scorer, tmp_path / "m", toy_pairs(), 0, told)
    opened, card = load(tmp_path / "m")
    scores = scorer.score(unseen.prompts, unseen.better)
    assert card.kind == "encoder"
    np.testing.assert_allclose(opened.score(unseen.prompts, unseen.better), scores, atol=1e-6)
    assert np.isnan(scorer.score(["a"], [" "])).all() and len(scorer.score([], [])) == 0
    escaped = [text.replace(" ", "\u00a0").replace("i", "\\u0069") + "\\n\\n" for text in unseen.better]
    assert (scorer.score(unseen.prompts, escaped) == scores).all()


def test_the_encoder_waits_for_its_share_of_an_epoch(tiny: str) -> None:
    scorer = EncoderScorer(quick(tiny, epochs=1, frozen_epochs=1.0))
    before, _ = new_network(scorer.settings)
    scorer.fit(toy_pairs(), toy_pairs(20, seed=3))
    now = scorer.network.state_dict()
    for name, weight in before.state_dict().items():
        if name.startswith("encoder."):
            assert torch.equal(now[name], weight), name


def test_training_stops_when_the_rank_correlation_does_not_grow(tiny: str) -> None:
    scorer = EncoderScorer(quick(tiny, epochs=6, patience=1, head_lr=1e-12, encoder_lr=0.0, dropout=0.0))
    assert len(scorer.fit(toy_pairs(), toy_pairs(20, seed=3))["epochs"]) < 6


def test_rows_are_two_a_pair_without_identical_ones() -> None:
    pairs = toy_pairs(2)
    same = pairs.pairs[0].model_copy(update={"worse": pairs.pairs[0].better + "\\n"})
    rows = label_rows(pairs.model_copy(update={"pairs": [*pairs.pairs, same]}))
    assert [label for _, label in rows] == [1.0, 0.0, 1.0, 0.0]
    assert rows[0][0].startswith("Instruction: Tell me fact 0")


def test_an_encoder_that_is_not_there_is_named() -> None:
    with pytest.raises(TacosError, match="nobody/nothing"):
        EncoderScorer(EncoderSettings(model="nobody/nothing")).fit(toy_pairs(), toy_pairs(20, seed=3))
