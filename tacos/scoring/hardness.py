"""Will the base model do worse than the response at hand? A classifier that does not see the response.

IterSelectTune (arXiv 2410.13464) trains BERT-base on the verdicts of a judge. Two classifiers, one interface:

    light          logistic regression on frozen embeddings: seconds on a CPU, the default
    transformers   a sequence classifier fine-tuned whole, BERT-base by name

Both weigh the classes as scikit-learn's "balanced" does, n / (2 n_c): with 90 hard and 10 easy labels an easy one
counts 5 times, a hard one 0.56 times. Labels of one class alone teach nothing: `Prior` then answers the same for all.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from pydantic import Field

from tacos.models import local
from tacos.models.device import pick_device
from tacos.models.flops import watch
from tacos.progress import track
from tacos.store.fingerprint import named_by_content
from tacos.types import Record
from tacos.usage import Ledger

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)
BERT = "google-bert/bert-base-uncased"
LIGHT = "set classifier.by=light"
"""What to do where there is no such model."""
BLOCK = 65536
"""Rows whose embeddings are in memory at a time."""
PREDICT_BATCH = 128


class ClassifierSettings(Record):
    """M(x). The paper's figures for training it are not known; all numbers here are ours."""

    by: Literal["light", "transformers"] = "light"
    folds: int = Field(5, ge=0)
    """Cross-validation of each round's classifier, as many more trainings; 0 leaves it out."""
    penalty: float = Field(1.0, gt=0)
    """light: inverse strength C of the L2 penalty."""
    model: str = BERT
    """transformers: hub id or folder."""
    max_tokens: int = Field(128, ge=8)
    """transformers: texts are cut here."""
    epochs: int = Field(3, ge=1)
    batch_size: int = Field(32, ge=1)
    lr: float = Field(2e-5, gt=0)
    """transformers: the peak, reached after a tenth of the steps, then linear to 0."""

    def identity(self) -> dict[str, Any]:
        """What of these changes M or its check."""
        if self.by == "light":
            return self.model_dump(include={"by", "folds", "penalty"})
        return self.model_dump(exclude={"penalty"}) | {"model": named_by_content(self.model)}


class Classifier(Protocol):
    """rows: numbers of pool rows."""

    def fit(self, rows: np.ndarray, labels: np.ndarray) -> None:
        """labels: 1 hard, 0 easy, both present. What an earlier fit learned is forgotten."""
        ...

    def probability(self, rows: np.ndarray) -> np.ndarray:
        """P(hard), (len(rows),) float32."""
        ...


class Prior:
    """The share of hard labels, smoothed to (hard + 1) / (n + 2), for every row."""

    def __init__(self, labels: np.ndarray):
        self.share = (labels.sum() + 1) / (len(labels) + 2)

    def probability(self, rows: np.ndarray) -> np.ndarray:
        return np.full(len(rows), self.share, dtype=np.float32)


class LightClassifier:
    """vectors: (n, dim) float32 of what the base is asked, row by row of the pool; may be memory-mapped."""

    def __init__(self, vectors: np.ndarray, penalty: float):
        from sklearn.linear_model import LogisticRegression

        self.vectors = vectors
        self.model = LogisticRegression(C=penalty, class_weight="balanced", max_iter=1000)

    def fit(self, rows: np.ndarray, labels: np.ndarray) -> None:
        self.model.fit(np.asarray(self.vectors[rows], dtype=np.float64), labels)

    def probability(self, rows: np.ndarray) -> np.ndarray:
        weights, bias = self.model.coef_[0].astype(np.float32), self.model.intercept_[0]
        parts = [
            np.asarray(self.vectors[rows[at : at + BLOCK]] @ weights) for at in range(0, len(rows), BLOCK)
        ]
        logits = np.concatenate([np.zeros(0, np.float32), *parts]) + bias
        return np.asarray(1 / (1 + np.exp(-logits)), dtype=np.float32)


class EncoderClassifier:
    """texts: what the base is asked, one per row of the pool. device: "auto" takes CUDA where there is one. ledger:
    where its passes are counted."""

    def __init__(
        self,
        texts: Sequence[str],
        settings: ClassifierSettings,
        seed: int,
        device: str = "auto",
        ledger: Ledger | None = None,
    ):
        self.texts = texts
        self.settings = settings
        self.seed = seed
        self.device = pick_device(device)
        self.ledger = ledger
        self.tokenizer: Any = local.load_tokenizer(settings.model, what="classifier", instead=LIGHT)
        self.model: Any = None

    def fit(self, rows: np.ndarray, labels: np.ndarray) -> None:
        """From the pretrained weights, with class-weighted cross-entropy. Raises: TacosError without a model."""
        import torch
        from transformers import get_linear_schedule_with_warmup

        settings = self.settings
        torch.manual_seed(self.seed)  # the new head, and dropout
        model: Any = local.weights(
            "classifier", settings.model, instead=LIGHT, num_labels=2, dtype=torch.float32
        )
        self.model = model.to(self.device).train()
        if self.ledger is not None:
            watch(self.model, self.ledger)
        weights = len(labels) / (2 * np.bincount(labels, minlength=2))
        loss = torch.nn.CrossEntropyLoss(torch.tensor(weights, dtype=torch.float32, device=self.device))
        optimizer = torch.optim.AdamW(self.model.parameters(), lr=settings.lr)
        order = np.random.default_rng(self.seed)
        plan = [
            batch
            for _ in range(settings.epochs)
            for batch in chunks(order.permutation(len(rows)), settings.batch_size)
        ]
        schedule = get_linear_schedule_with_warmup(optimizer, len(plan) // 10, len(plan))
        for batch in track(plan, "classifier"):
            wanted = torch.tensor(labels[batch], dtype=torch.int64, device=self.device)
            loss(self._logits(rows[batch]), wanted).backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
        self.model.eval()

    def probability(self, rows: np.ndarray) -> np.ndarray:
        import torch

        found = np.zeros(len(rows), dtype=np.float32)
        by_length = np.argsort([len(self.texts[row]) for row in rows.tolist()], kind="stable")
        with torch.inference_mode():
            for places in track(chunks(by_length, PREDICT_BATCH), "hardness"):
                found[places] = self._logits(rows[places]).softmax(dim=-1)[:, 1].float().cpu().numpy()
        return found

    def _logits(self, rows: np.ndarray) -> torch.Tensor:
        """(len(rows), 2)."""
        texts = [self.texts[row] for row in rows.tolist()]
        encoded = self.tokenizer(
            texts, truncation=True, max_length=self.settings.max_tokens, padding=True, return_tensors="pt"
        )
        logits: torch.Tensor = self.model(**encoded.to(self.device)).logits
        return logits


def chunks(items: np.ndarray, size: int) -> list[np.ndarray]:
    return [items[start : start + size] for start in range(0, len(items), size)]


class ClassifierCheck(Record):
    """How well a classifier does on labels that it has not seen, over all folds."""

    auc: float
    """0.5 is chance."""
    balanced_accuracy: float
    """Mean of the two classes' recall, at probability 0.5."""
    folds: int


def cross_validate(
    make: Callable[[], Classifier], rows: np.ndarray, labels: np.ndarray, folds: int, seed: int
) -> ClassifierCheck | None:
    """None where a class has fewer than two labels, or no folds are asked for."""
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    folds = min(folds, *np.bincount(labels, minlength=2).tolist())
    if folds < 2:
        return None
    unseen = np.zeros(len(rows), dtype=np.float32)
    for train, test in StratifiedKFold(folds, shuffle=True, random_state=seed).split(rows, labels):
        model = make()
        model.fit(rows[train], labels[train])
        unseen[test] = model.probability(rows[test])
    accuracy = balanced_accuracy_score(labels, unseen >= 0.5)
    return ClassifierCheck(
        auc=float(roc_auc_score(labels, unseen)), balanced_accuracy=float(accuracy), folds=folds
    )


def trained(make: Callable[[], Classifier], rows: np.ndarray, labels: np.ndarray) -> Classifier | Prior:
    """A classifier of all labels; the prior, said in the log, where they are of one class."""
    if len(np.unique(labels)) < 2:
        of = "there is no label" if not len(labels) else f"all {len(labels)} labels are the same"
        log.warning("%s: the classifier says %.2f for every row", of, Prior(labels).share)
        return Prior(labels)
    model = make()
    model.fit(rows, labels)
    return model
