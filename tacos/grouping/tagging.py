"""Open tagging: a few free-form tags for what each instruction asks for (TACOS, arXiv 2507.03673).

Two taggers behind one hook:

* `LLMTagger` asks a chat model, one call per sample, for coarse tags with an explanation each.
  Sampling follows the released code (temperature 0.6, top_p 1, 1024 tokens). The released code
  sends `instruction` and leaves `input` out; `fields="instruction"` does that, the default sends both.
* `KeyphraseTagger` needs no LLM: KeyBERT takes the phrases of the prompt that lie nearest to the
  whole prompt in embedding space. It sees words and not intentions, so its tags are topical.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from tacos.llm.base import LLM, Request, Sampling
from tacos.llm.parse import parse_tags
from tacos.llm.reading import ask
from tacos.models.embedder import Embedder
from tacos.progress import track
from tacos.prompts import SCHEMAS, fill
from tacos.types import Message, Pool, Record, Sample

CHUNK = 2000
"""Prompts handed to KeyBERT at a time."""


class TaggingSettings(Record):
    """Who tags, and on what."""

    by: Literal["keyphrase", "llm"] = "keyphrase"
    fields: Literal["both", "instruction"] = "both"
    """Send instruction and input (default), or the instruction alone as the released code does."""
    llm: str = "tagger"
    """Which of the configured `llms` tags."""
    sampling: Sampling = Sampling(temperature=0.6, top_p=1.0, max_tokens=1024)
    reask: int = Field(1, ge=0, le=5)
    """Times an unreadable reply is asked for again, each a call that is paid."""
    top_n: int = Field(3, ge=1)
    """Keyphrases per sample."""
    max_words: int = Field(2, ge=1, le=4)
    """Longest keyphrase, in words."""
    min_df: int = Field(3, ge=1)
    """A keyphrase must occur in at least this many prompts."""


@dataclass(frozen=True)
class Tags:
    """Tags of each sample of a pool, aligned by position; errors: row -> why it has none."""

    rows: tuple[tuple[str, ...], ...]
    errors: dict[int, str] = field(default_factory=dict)

    def counts(self) -> Counter[str]:
        """Samples per tag; a tag counts once in a sample."""
        return Counter(tag for row in self.rows for tag in set(row))

    def tagged(self) -> int:
        """How many samples have a tag."""
        return sum(1 for row in self.rows if row)

    def write(self, path: str, ids: Sequence[str]) -> None:
        errors = [self.errors.get(i) for i in range(len(self.rows))]
        table = {
            "id": list(ids),
            "tags": [list(r) for r in self.rows],
            "error": pa.array(errors, pa.string()),
        }
        pq.write_table(pa.table(table), path)

    @classmethod
    def read(cls, path: str) -> Tags:
        table = pq.read_table(path)
        errors = {i: e for i, e in enumerate(table.column("error").to_pylist()) if e}
        return cls(tuple(tuple(row) for row in table.column("tags").to_pylist()), errors)


class Tagger(Protocol):
    """Samples in, tags out."""

    def tag(self, pool: Pool) -> Tags: ...


def tagged_text(sample: Sample, fields: str) -> str:
    return sample.instruction if fields == "instruction" else sample.prompt


def tag_request(sample: Sample, settings: TaggingSettings) -> Request:
    prompt = fill("tag", prompt=tagged_text(sample, settings.fields))
    return Request(
        messages=(Message(role="user", content=prompt),),
        sampling=settings.sampling,
        json_schema=SCHEMAS["tag"],
    )


class LLMTagger:
    """One call per sample; a reply that cannot be read leaves the sample without tags, and counted."""

    def __init__(self, settings: TaggingSettings, llm: LLM):
        self.settings = settings
        self.llm = llm

    def tag(self, pool: Pool) -> Tags:
        settings = self.settings
        read = ask(self.llm, len(pool), lambda i: tag_request(pool[i], settings), _names, settings.reask)
        errors = {i: row.error for i, row in enumerate(read) if row.error is not None}
        return Tags(tuple(row.value or () for row in read), errors)


def _names(reply: str) -> tuple[str, ...]:
    """Raises: ParseError."""
    return tuple(tag.tag for tag in parse_tags(reply))


class KeyphraseTagger:
    """KeyBERT phrases; a prompt without a frequent enough phrase gets none."""

    def __init__(self, settings: TaggingSettings, embedder: Embedder):
        self.settings = settings
        self.embedder = embedder

    def tag(self, pool: Pool, embeddings: np.ndarray | None = None) -> Tags:
        """embeddings: (n_samples, dim) of the tagged texts, where the caller has them already."""
        from keybert import KeyBERT
        from sklearn.feature_extraction.text import CountVectorizer

        texts = [tagged_text(sample, self.settings.fields) for sample in pool]
        # Words start with a letter: numbers name no intention, and each sum would be its own tag.
        vectorizer = CountVectorizer(
            ngram_range=(1, self.settings.max_words),
            stop_words="english",
            min_df=min(self.settings.min_df, len(texts)),
            token_pattern=r"(?u)\b[^\W\d_][\w'-]+\b",
        )
        try:
            phrases = vectorizer.fit(texts).get_feature_names_out()
        except ValueError:  # no phrase is frequent enough
            return Tags(tuple(() for _ in texts), {i: "no keyphrase" for i in range(len(texts))})
        vectors = self.embedder(texts) if embeddings is None else embeddings
        phrase_vectors = self.embedder(list(phrases))
        vectorizer.set_params(vocabulary=phrases, min_df=1)  # the same phrases for every chunk
        bert = KeyBERT(model=self.embedder.model)
        rows: list[tuple[str, ...]] = []
        for start in track(range(0, len(texts), CHUNK), "keyphrases"):
            found = bert.extract_keywords(
                # KeyBERT unwraps the list of a single document: an empty one more keeps the list a list.
                [*texts[start : start + CHUNK], ""],
                vectorizer=vectorizer,
                top_n=self.settings.top_n,
                doc_embeddings=np.vstack([vectors[start : start + CHUNK], vectors[:1]]),
                word_embeddings=phrase_vectors,
            )[:-1]
            rows += [tuple(str(phrase) for phrase, _ in row) for row in found]
        return Tags(tuple(rows), {i: "no keyphrase" for i, row in enumerate(rows) if not row})
