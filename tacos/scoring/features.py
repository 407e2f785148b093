"""What can be read off an instruction-response pair without a language model: 18 numbers with names.

Three kinds: the text itself (length, ending, repetition), the fit to its own prompt (shared words,
cosine), and the fit to the pool (is this response, or one of its sentences, used for many different
prompts; does it resemble, in content and length, what the nearest prompts were answered with).
All texts are Unicode-normalized and white space folded first, so escapes and blank lines carry nothing.
Words and sentences are those of `tacos.text`, so that the numbers mean the same in every script.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tacos.progress import track
from tacos.text import ends_finished, is_spaceless, sentences, words

SURFACE = (
    "log_words",
    "ends_finished",
    "starts_upper",
    "distinct_words",
    "distinct_bigrams",
    "repeated_sentences",
    "prompt_words_used",
    "response_words_new",
    "digits",
    "punctuation",
    "mean_word_length",
)
"""What needs no pool and no embedding; CaR's quality scorer (`tacos.scoring.iqs`) reads these too."""
NAMES = (
    *SURFACE[:8],
    "cosine_prompt",
    "response_reuse",
    "sentence_reuse_max",
    "sentence_reuse_mean",
    *SURFACE[8:],
    "neighbor_cosine",
    "neighbor_length_gap",
    "neighbor_shape",
)

PLAIN_MARKS = str.maketrans("\u2018\u2019\u201c\u201d\u2013\u2014", "''\"\"--")
REFERENCE_ROWS = 20_000
NEIGHBORS = 8
SPACELESS_WORD = 4
"""Characters of a script without spaces that say as much as a word: one word of Thai, two of Chinese."""


def tidy(text: str) -> str:
    """Escapes decoded, NFKC, plain quotes, runs of white space folded to one space."""
    text = text.replace("\\n", "\n").replace('\\"', '"').replace("\\'", "'")
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda m: chr(int(m.group(1), 16)), text)
    text = unicodedata.normalize("NFKC", text).translate(PLAIN_MARKS)
    return re.sub(r"\s+", " ", text).strip()


def folded_sentences(text: str) -> list[str]:
    return [part.casefold() for part in sentences(text)]


@dataclass
class Corpus:
    """What the pool looks like: sentence counts, and prompts and responses to compare with.

    prompts, responses: (n, dim) unit embeddings of the pool; a seeded sample of at most
    `REFERENCE_ROWS` rows serves as neighbours, so cost stays linear in the pool.
    """

    texts: Sequence[str]
    prompts: np.ndarray
    responses: np.ndarray
    seed: int = 0

    def __post_init__(self) -> None:
        import faiss

        tidied = [tidy(text) for text in self.texts]
        self.response_counts = Counter(text.casefold() for text in tidied)
        self.sentence_counts = Counter(s for text in tidied for s in set(folded_sentences(text)))
        rng = np.random.default_rng(self.seed)
        n = len(tidied)
        self.rows = np.sort(rng.permutation(n)[:REFERENCE_ROWS])
        self.log_words = np.log1p([len(words(tidied[i])) for i in self.rows])
        self.shape = np.array([float(ends_finished(tidied[i])) for i in self.rows])
        self.index = faiss.IndexFlatIP(self.prompts.shape[1])
        self.index.add(np.ascontiguousarray(self.prompts[self.rows]))

    def neighbors(self, own: np.ndarray, prompts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Positions in `rows` of the nearest other prompts, and which of them exist; both (n, k)."""
        _, near = self.index.search(np.ascontiguousarray(prompts), min(NEIGHBORS + 1, len(self.rows)))
        usable = (near >= 0) & (self.rows[near] != own[:, None])
        return near, usable


def _begins_well(text: str) -> bool:
    """With a capital, a digit, or a letter of a script that has no capitals."""
    first = text[:1]
    return first.isupper() or first.isdigit() or (first.isalpha() and first.lower() == first.upper())


def _is_mark(c: str) -> bool:
    """Neither letter, digit nor space, nor a vowel sign or tone mark that stands on a letter."""
    return not c.isalnum() and not c.isspace() and unicodedata.category(c)[0] != "M"


def _runs(said: Sequence[str], n: int) -> list[tuple[str, ...]]:
    """Runs of `n` words; where a script has no spaces, of `SPACELESS_WORD` characters for each: single ones come back
    in any text, and a loop would not show."""
    if 2 * sum(map(is_spaceless, said)) > len(said):
        n *= SPACELESS_WORD
    return list(zip(*(said[i:] for i in range(n)), strict=False))


def _distinct(runs: Sequence[tuple[str, ...]]) -> float:
    return len(set(runs)) / max(1, len(runs))


def surface(prompt: str, response: str) -> list[float]:
    """The features of `SURFACE`, in order, of texts that are already tidy."""
    said = [w.casefold() for w in words(response)]
    asked = {w.casefold() for w in words(prompt)}
    n = max(1, len(said))
    parts = folded_sentences(response)
    return [
        np.log1p(len(said)),
        float(ends_finished(response)),
        float(_begins_well(response)),
        _distinct(_runs(said, 1)),
        _distinct(_runs(said, 2)),
        1 - len(set(parts)) / max(1, len(parts)),
        len(asked & set(said)) / max(1, len(asked)),
        sum(w not in asked for w in said) / n,
        sum(c.isdigit() for c in response) / max(1, len(response)),
        sum(map(_is_mark, response)) / max(1, len(response)),
        sum(map(len, said)) / n,
    ]


def text_features(prompt: str, response: str, corpus: Corpus, own: int) -> list[float]:
    """The features that need no embedding; `own` is 1 when the response itself stands in the corpus."""
    read = surface(prompt, response)
    reuse = [
        np.log1p(corpus.sentence_counts[s] - own) if corpus.sentence_counts[s] > own else 0.0
        for s in folded_sentences(response)
    ]
    return [
        *read[:8],
        np.log1p(max(0, corpus.response_counts[response.casefold()] - own)),
        max(reuse, default=0.0),
        float(np.mean(reuse)) if reuse else 0.0,
        *read[8:],
    ]


def features(
    prompts: Sequence[str],
    responses: Sequence[str],
    prompt_vectors: np.ndarray,
    response_vectors: np.ndarray,
    corpus: Corpus,
    rows: np.ndarray,
    in_corpus: bool,
) -> np.ndarray:
    """(n, 18) float64, columns as in `NAMES`.

    rows: (n,) the pool row each pair comes from, never taken as its own neighbour.
    in_corpus: True for the pool's own responses, whose sentences are counted once by themselves.
    """
    tidied = [tidy(r) for r in responses]
    own = int(in_corpus)
    pairs = track(list(zip(prompts, tidied, strict=True)), "features")
    text = np.array([text_features(tidy(p), r, corpus, own) for p, r in pairs])
    cosine = np.einsum("ij,ij->i", prompt_vectors, response_vectors)
    near, usable = corpus.neighbors(rows, prompt_vectors)
    weight = usable / np.maximum(1, usable.sum(axis=1, keepdims=True))
    likeness = np.einsum("ij,ikj->ik", response_vectors, corpus.responses[corpus.rows[near]])
    gap = text[:, 0] - (corpus.log_words[near] * weight).sum(axis=1)
    shape = text[:, 1] - (corpus.shape[near] * weight).sum(axis=1)
    columns = [text[:, :8], cosine[:, None], text[:, 8:], (likeness * weight).sum(axis=1)[:, None]]
    return np.hstack([*columns, gap[:, None], shape[:, None]])
