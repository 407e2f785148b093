"""Text embeddings behind one small class.

The default model is all-MiniLM-L6-v2 (384 dimensions). With the `offline` extra it is read from an
installed package, whose weights are checked by SHA-256; otherwise it comes from the hub.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from tacos.errors import TacosError
from tacos.store.fingerprint import file_digest
from tacos.types import Record

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

log = logging.getLogger(__name__)

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


class EmbedderSettings(Record):
    """Which sentence-transformers model embeds the texts."""

    model: str = MINILM
    max_tokens: int = Field(128, ge=8)
    """Texts are cut here, in tokens of the model; MiniLM was trained at 128."""
    batch_size: int = Field(64, ge=1)
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"

    def identity(self) -> dict[str, str | int]:
        return {"model": self.model, "max_tokens": self.max_tokens}
