"""Classifiers of hardness: light and transformers, one class alone, and their cross-validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tacos.errors import TacosError
from tacos.scoring.hardness import (
    Classifier,
    ClassifierSettings,
    EncoderClassifier,
    LightClassifier,
    Prior,
    cross_validate,
    trained,
)

WORDS = ("sum", "product", "list", "story", "poem", "the", "of", "a")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of 20,000 weights that knows eight words."""
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

    folder = tmp_path_factory.mktemp("bert")
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(
        vocab_size=5 + len(WORDS),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=32,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    return folder


def texts(n: int) -> tuple[list[str], np.ndarray]:
    """Hard where it speaks of a sum or a product, a fifth of them."""
    rng = np.random.default_rng(0)
    hard = (np.arange(n) % 5 == 0).astype(np.int64)
    subjects = [rng.choice(WORDS[:2] if h else WORDS[2:5]) for h in hard]
    return [f"the {subject} of a {rng.choice(WORDS[5:])}" for subject in subjects], hard


def test_the_encoder_learns_from_the_words(encoder: Path) -> None:
    said, hard = texts(200)
    settings = ClassifierSettings(by="transformers", model=str(encoder), epochs=12, batch_size=16, lr=5e-3)
    first, again = (EncoderClassifier(said, settings, seed=0, device="cpu") for _ in range(2))
    rows = np.arange(100)
    for model in (first, again):
        model.fit(rows, hard[:100])
    probability = first.probability(np.arange(100, 200))
    assert ((probability >= 0.5) == hard[100:]).mean() > 0.95
    assert probability.tolist() == again.probability(np.arange(100, 200)).tolist()


def test_a_classifier_that_cannot_be_loaded_is_named() -> None:
    with pytest.raises(TacosError, match=r"cannot load the classifier 'no/such'.*classifier\.by=light"):
        EncoderClassifier(["a"], ClassifierSettings(by="transformers", model="no/such"), seed=0)


def vectors(n: int, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Hard rows, a tenth of all, lie `shift` along the first axis."""
    rng = np.random.default_rng(1)
    hard = (np.arange(n) % 10 == 0).astype(np.int64)
    x = rng.normal(size=(n, 8)).astype(np.float32)
    x[:, 0] += shift * hard
    return x, hard


def test_the_rare_class_weighs_as_much(tmp_path: Path) -> None:
    x, hard = vectors(600, 2.5)
    np.save(tmp_path / "x.npy", x)
    model = LightClassifier(np.load(tmp_path / "x.npy", mmap_mode="r"), penalty=1.0)
    model.fit(np.arange(300), hard[:300])
    found = model.probability(np.arange(300, 600)) >= 0.5
    assert found.dtype == bool and found[hard[300:] == 1].mean() > 0.8  # unweighted it is about a half


@pytest.mark.parametrize(("labels", "share"), [([1] * 8, 0.9), ([0] * 8, 0.1), ([], 0.5)])
def test_one_class_gives_the_prior_and_says_so(
    labels: list[int], share: float, caplog: pytest.LogCaptureFixture
) -> None:
    def make() -> Classifier:
        raise AssertionError("there is nothing to learn")

    model = trained(make, np.arange(len(labels)), np.array(labels, dtype=np.int64))
    assert isinstance(model, Prior)
    assert model.probability(np.arange(3)) == pytest.approx([share] * 3)
    assert "for every row" in caplog.text


def test_cross_validation_sees_unseen_rows() -> None:
    rows = np.arange(300)
    x, hard = vectors(300, 3.0)
    good = cross_validate(lambda: LightClassifier(x, 1.0), rows, hard, 5, seed=0)
    assert good is not None and good.auc > 0.9 and good.balanced_accuracy > 0.8 and good.folds == 5
    noise, _ = vectors(300, 0.0)
    none = cross_validate(lambda: LightClassifier(noise, 1.0), rows, hard, 5, seed=0)
    assert none is not None and 0.3 < none.auc < 0.7
    two = np.flatnonzero(hard == 1)[:2]
    few = np.concatenate([two, np.flatnonzero(hard == 0)[:8]])
    checked = cross_validate(lambda: LightClassifier(x, 1.0), few, hard[few], 5, seed=0)
    assert checked is not None and checked.folds == 2
    assert cross_validate(lambda: LightClassifier(x, 1.0), few[1:], hard[few[1:]], 5, seed=0) is None
