"""The paper's quality scorer: a transformers encoder with a regression head (CaR, arXiv 2402.18191).

As released [code]: XLM-R large; the hidden states of all layers mixed by sparsemax weights (Martins &
Astudillo, arXiv 1602.02068), averaged over tokens, then 2048 -> 1024 -> 1 with tanh and dropout 0.1; mean
squared error against 1 for the revision and 0 for the original; head and mix at 1.5e-5, the encoder's top
layer at 1e-6 and each layer below at 0.95 of the one above; word embeddings frozen, all of the encoder frozen
for the first 0.3 epoch; whole layers dropped from the mix with p 0.1, gradients clipped at 1.0, fp16 on a GPU;
batch 16, 4 epochs, the epoch of best Kendall rank correlation kept, patience 2.

    sparsemax(1.0, 0.8, -1.0) = (0.6, 0.4, 0.0): a layer can be left out altogether

Differences: the texts are cleaned (`text.py`; the released ones leak), so the published 84.25% is no
target; pairs that are identical after cleaning are left out, as their rows would say 0 and 1 of one text.
"""

from __future__ import annotations

import copy
import logging
import math
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from tacos.errors import TacosError
from tacos.models import local
from tacos.models.device import pick_device
from tacos.models.embedder import source_of
from tacos.progress import track
from tacos.scoring.iqs.base import Kind, Vectors
from tacos.scoring.iqs.measure import measure
from tacos.scoring.iqs.pairs import QualityPairs
from tacos.scoring.iqs.text import canonical, triple
from tacos.types import Record

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

LAYER = re.compile(r"(?:^|\.)(?:layers?|h|block|blocks)\.(\d+)\.")
ENCODER, HEAD = "encoder", "head.safetensors"


class EncoderSettings(Record):
    """The paper's values; see the module."""

    model: str = "FacebookAI/xlm-roberta-large"
    """Hub id or folder of an encoder."""
    max_tokens: int = Field(512, ge=16)
    mix: Literal["sparsemax", "softmax"] = "sparsemax"
    hidden: tuple[int, ...] = (2048, 1024)
    dropout: float = Field(0.1, ge=0, lt=1)
    layer_dropout: float = Field(0.1, ge=0, lt=1)
    """Probability that a layer is left out of the mix in a training step."""
    encoder_lr: float = Field(1e-6, ge=0)
    layer_decay: float = Field(0.95, gt=0, le=1)
    head_lr: float = Field(1.5e-5, gt=0)
    freeze_embeddings: bool = True
    frozen_epochs: float = Field(0.3, ge=0)
    """The encoder learns nothing for this part of the first epoch (above 1: of all epochs)."""
    batch_size: int = Field(16, ge=1)
    epochs: int = Field(4, ge=1)
    patience: int = Field(2, ge=1)
    """Epochs without a better Kendall correlation before training stops."""
    gradient_clip: float = Field(1.0, gt=0)
    """Largest norm of a step's gradient."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Of activations. auto: float16 on a GPU, as released, and float32 on a CPU."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    batch_rows: int = Field(32, ge=1)
    """Texts scored at once; not part of the answer."""


class EncoderScorer:
    """Fit on pairs, or opened from a folder; see the module."""

    kind: Kind = "encoder"

    def __init__(self, settings: EncoderSettings):
        self.settings = settings
        self.network: Any = None
        self.tokenizer: Any = None

    def score(
        self, prompts: Sequence[str], responses: Sequence[str], vectors: Vectors | None = None
    ) -> np.ndarray:
        """(n,) float64, 1 for texts like revisions, 0 for originals; NaN where a side is empty.

        vectors: not read; the encoder makes its own.

        Raises: TacosError when the scorer is not trained, ValueError when lengths differ.
        """
        import torch

        if self.network is None:
            raise TacosError("this quality scorer is not trained: fit or load it first")
        pairs = list(zip(prompts, responses, strict=True))
        there = np.array([bool(canonical(p) and canonical(r)) for p, r in pairs], dtype=bool)
        texts = [triple(p, r) for p, r in pairs]
        unique = sorted(set(texts), key=lambda text: (len(text), text))  # batches of like length
        value: dict[str, float] = {}
        self.network.eval()
        batches = [
            unique[at : at + self.settings.batch_rows]
            for at in range(0, len(unique), self.settings.batch_rows)
        ]
        with torch.inference_mode():
            for batch in track(batches, "quality"):
                value |= zip(batch, self._forward(batch).float().tolist(), strict=True)
        return np.where(there, np.array([value[text] for text in texts]), np.nan) if texts else np.empty(0)

    def fit(self, pairs: QualityPairs, valid: QualityPairs, seed: int = 42) -> dict[str, Any]:
        """Train, keep the epoch of best Kendall correlation on `valid`, and say how it went.

        Raises: TacosError for no pair with different sides, or when the encoder cannot be loaded.
        """
        import torch

        rows = label_rows(pairs)
        if not rows:
            raise TacosError(
                f"{pairs.source} holds no pair with different sides: give pairs of which one is better"
            )
        torch.manual_seed(seed)
        self.network, self.tokenizer = new_network(self.settings)
        self.network.to(self._device)
        optimizer = torch.optim.AdamW(parameter_groups(self.network, self.settings))
        scaler = torch.amp.GradScaler(self._device, enabled=self._dtype == torch.float16)
        rng = np.random.default_rng(seed)
        best, kept, since, history = -math.inf, None, 0, []
        for epoch in range(self.settings.epochs):
            started = time.perf_counter()
            loss = self._epoch([rows[i] for i in rng.permutation(len(rows))], epoch, optimizer, scaler)
            tau, accuracy = self._validate(valid, seed)
            seconds = round(time.perf_counter() - started, 1)
            history.append(
                {
                    "epoch": epoch + 1,
                    "loss": loss,
                    "kendall": tau,
                    "pair_accuracy": accuracy,
                    "seconds": seconds,
                }
            )
            log.info("epoch %d: loss %.4f, Kendall %.4f on validation, %.1f s", epoch + 1, loss, tau, seconds)
            since += 1
            if tau > best:
                best, kept, since = tau, copy.deepcopy(self.network.state_dict()), 0
            elif since >= self.settings.patience:
                break
        if kept is not None:
            self.network.load_state_dict(kept)
        return {"kendall": best, "rows": len(rows), "epochs": history}

    def _epoch(self, rows: list[tuple[str, float]], epoch: int, optimizer: Any, scaler: Any) -> float:
        """One pass; mean squared error over its rows."""
        import torch

        size = self.settings.batch_size
        frozen = self.settings.frozen_epochs * len(rows)
        self.network.train()
        total = 0.0
        for at in track(list(range(0, len(rows), size)), f"epoch {epoch + 1}"):
            batch = rows[at : at + size]
            self.network.freeze(epoch * len(rows) + at < frozen, self.settings.freeze_embeddings)
            labels = torch.tensor([label for _, label in batch], device=self._device)
            loss = torch.nn.functional.mse_loss(self._forward([text for text, _ in batch]).float(), labels)
            self._step(loss, optimizer, scaler)
            total += loss.item() * len(batch)
        return total / len(rows)

    def _step(
        self, loss: torch.Tensor, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler
    ) -> None:
        """Gradients too small for float16 are scaled up, and down again before they are clipped."""
        from torch.nn.utils import clip_grad_norm_

        optimizer.zero_grad(set_to_none=True)  # a frozen weight then has no gradient and stays as it is
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        clip_grad_norm_(self.network.parameters(), self.settings.gradient_clip)
        scaler.step(optimizer)
        scaler.update()

    def _validate(self, valid: QualityPairs, seed: int) -> tuple[float, float]:
        from scipy.stats import kendalltau

        better, worse = self.score(valid.prompts, valid.better), self.score(valid.worse_prompts, valid.worse)
        labels = np.repeat([1, 0], len(better))
        tau = kendalltau(np.concatenate([better, worse]), labels, nan_policy="omit").statistic
        accuracy = measure(valid, better, worse).pair_accuracy
        return float(np.nan_to_num(tau, nan=-1.0)), float(accuracy or 0.0)

    def _forward(self, texts: list[str]) -> torch.Tensor:
        import torch

        encoded = self.tokenizer(
            texts, truncation=True, max_length=self.settings.max_tokens, padding=True, return_tensors="pt"
        ).to(self._device)
        with torch.autocast(self._device, self._dtype, enabled=self._dtype != torch.float32):
            scores: torch.Tensor = self.network(encoded["input_ids"], encoded["attention_mask"])
        return scores

    @property
    def _device(self) -> str:
        return pick_device(self.settings.device)

    @property
    def _dtype(self) -> torch.dtype:
        import torch

        named = self.settings.dtype
        if named == "auto":
            return torch.float16 if self._device == "cuda" else torch.float32
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[named]

    def write(self, folder: Path) -> None:
        from safetensors.torch import save_file

        self.network.encoder.save_pretrained(folder / ENCODER)
        self.tokenizer.save_pretrained(folder / ENCODER)
        rest = {
            k: v.contiguous() for k, v in self.network.state_dict().items() if not k.startswith("encoder.")
        }
        save_file(rest, folder / HEAD)

    @classmethod
    def open(cls, folder: Path, settings: EncoderSettings) -> EncoderScorer:
        """Raises: TacosError, OSError, ValueError or RuntimeError when files are absent or do not fit together."""
        from safetensors.torch import load_file

        made = cls(settings)
        made.network, made.tokenizer = new_network(settings, folder / ENCODER)
        missing, unexpected = made.network.load_state_dict(load_file(folder / HEAD), strict=False)
        if unexpected or any(not name.startswith("encoder.") for name in missing):
            raise ValueError("its head is not of this version")
        made.network.to(made._device)
        return made


def label_rows(pairs: QualityPairs) -> list[tuple[str, float]]:
    """Two rows a pair: the better text with 1, the worse with 0; identical sides are left out."""
    better = map(triple, pairs.prompts, pairs.better)
    worse = map(triple, pairs.worse_prompts, pairs.worse)
    return [row for a, b in zip(better, worse, strict=True) if a != b for row in ((a, 1.0), (b, 0.0))]


def new_network(settings: EncoderSettings, folder: Path | None = None) -> tuple[Any, Any]:
    """A network with a fresh head on the encoder of `settings`, or of a saved folder, and its tokenizer.

    Raises: TacosError when the encoder cannot be had.
    """
    from tacos.scoring.iqs.network import QualityNetwork

    source = str(folder or source_of(settings.model))
    instead = "train it again" if folder else "give a local folder as encoder.model"
    encoder = local.weights("encoder", source, instead=instead, dtype="float32")
    tokenizer = local.load_tokenizer(source, what="encoder", instead=instead)
    network = QualityNetwork(encoder, settings.hidden, settings.dropout, settings.mix, settings.layer_dropout)
    return network, tokenizer


def parameter_groups(network: Any, settings: EncoderSettings) -> list[dict[str, Any]]:
    """AdamW groups: `head_lr` for head and mix, `encoder_lr` * decay^(layers above) inside the encoder.

    What stands below all layers (embeddings) learns as slowly as one more layer, what stands above like the top.
    """
    names = [name for name, _ in network.encoder.named_parameters()]
    depths = [int(found.group(1)) for name in names if (found := LAYER.search(name))]
    top = max(depths, default=0)
    first = next((i for i, name in enumerate(names) if LAYER.search(name)), 0)
    groups: dict[float, list[Any]] = {settings.head_lr: []}
    for place, (name, weight) in enumerate(network.encoder.named_parameters()):
        found = LAYER.search(name)
        above = top - int(found.group(1)) if found else top + 1 if place < first else 0
        groups.setdefault(settings.encoder_lr * settings.layer_decay**above, []).append(weight)
    groups[settings.head_lr] += [w for n, w in network.named_parameters() if not n.startswith("encoder.")]
    return [{"params": weights, "lr": lr} for lr, weights in groups.items()]
