"""Open tagging: a few free-form tags for what each instruction asks for (TACOS, arXiv 2507.03673).

Two taggers:

* `LLMTagger` asks a chat model, one call per sample, for coarse tags with an explanation each.
  Sampling follows the released code (temperature 0.6, top_p 1, 1024 tokens). The released code
  sends `instruction` and leaves `input` out; `text: instruction` does that, the default sends both.
* `KeyphraseTagger` needs no LLM: KeyBERT takes the phrases of the prompt that lie nearest to the
  whole prompt in embedding space. It sees words and not intentions, so its tags are topical.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import numpy as np
from pydantic import Field

from tacos.llm.asking import Asking
from tacos.llm.base import LLM, Request, Sampling
from tacos.llm.parse import parse_tags
from tacos.llm.reading import ask
from tacos.models.embedder import Embedder, EmbedderSettings
from tacos.progress import track
from tacos.selection import Tags
from tacos.text import phrases
from tacos.types import Pool, Sample

CHUNK = 2000
"""Prompts handed to KeyBERT at a time."""


FIELDS = ("prompt",)
"""What a tagging prompt is filled with."""


class TaggingSettings(Asking):
    """Who tags, and on what."""

    llm: str | None = None
    """Which of the configured `llms` tags; None takes keyphrases."""
    prompt: str = "tag"
    sampling: Sampling = Sampling(temperature=0.6, top_p=1.0, max_tokens=1024)
    text: Literal["prompt", "instruction"] = "prompt"
    """Instruction and input, or the instruction alone as the released code does."""
    embedder: EmbedderSettings | None = None
    """What embeds prompts and keyphrases; null is the run's."""
    top_n: int = Field(3, ge=1)
    """Keyphrases per sample."""
    max_words: int = Field(2, ge=1, le=4)
    """Longest keyphrase, in words; where there are no spaces, in pairs of characters."""
    min_df: int = Field(3, ge=1)
    """A keyphrase must occur in at least this many prompts."""

    def tagged_text(self, sample: Sample) -> str:
        return sample.instruction if self.text == "instruction" else sample.prompt


def tag_request(sample: Sample, settings: TaggingSettings) -> Request:
    return settings.request(prompt=settings.tagged_text(sample))


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
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer

        texts = [self.settings.tagged_text(sample) for sample in pool]
        # Words start with a letter: numbers name no intention, and each sum would be its own tag.
        vectorizer = CountVectorizer(
            analyzer=partial(phrases, max_words=self.settings.max_words, stop=ENGLISH_STOP_WORDS),
            min_df=min(self.settings.min_df, len(texts)),
        )
        try:
            known = vectorizer.fit(texts).get_feature_names_out()
        except ValueError:  # no phrase is frequent enough
            return Tags(tuple(() for _ in texts), {i: "no keyphrase" for i in range(len(texts))})
        vectors = self.embedder(texts) if embeddings is None else embeddings
        phrase_vectors = self.embedder(list(known))
        vectorizer.set_params(vocabulary=known, min_df=1)  # the same phrases for every chunk
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
