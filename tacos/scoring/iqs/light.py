"""The light quality scorer: interpretable features and word sequences under a pairwise objective, on a CPU.

    q(x) = w . style(x) + v . terms(x) + length_weight * log(1 + words) - floors(x)

* style: some 110 named numbers (`style.py`), standardised and clipped.
* terms: words and marks in sequences of one to three ("<s> here are"), dampened counts on the unit sphere,
  so that they carry no length. w and v are one Bradley-Terry fit on revised against original.
* length: judges of long answers like length more than experts who revised short ones.
* floors: a response less on its prompt's subject (cosine of frozen sentence embeddings, for its length), or
  more repetitive, than 99% of the training texts loses `floor_slope` for each standard deviation below.
  Experts' pairs hold next to no such response, so a fit on them alone takes a repeated one for a better one.

    cosine for its length: mean 0, sd 0.15, floor -0.40; a response at -0.70 loses 3.0 * 0.30 / 0.15 = 6.0

5-fold cross-validation on the 2,285 expert pairs, each side below its own instruction (2026-11-26; 41
identical pairs count one half; the default over 5 divisions, sd over them 0.2 and 0.3 points, its parts over one):

                              all     length-matched
    the longer wins           80.6%       57.8%
    default                   87.5%       75.0%
    without terms             86.7%       73.1%
    without floors            88.0%       75.7%
    without length_weight     88.4%       75.6%

Without the weight on length, with three times that on terms and with features for openers ("Here are ...:") it was
89.4% and 78.0% at home; but on seven sources of GPT-4's preferences (`scripts/bench/iqs_sources.py`, table in
`tacos/methods/README.md`) it lost 4.8 points to "the longer wins" on average, where the default gains 1.5. There the
length brings 2.8 points and the floors 2.3, since weak models repeat themselves; openers are a fashion of the experts
that cost 7 points on one model's answers.

Tried and left out: embedding differences and products, splines, boosted trees (no gain in cross-validation); corrupted
responses among the training pairs (2 to 4 points lost); features relative to what is usual at their length, tighter
clipping (no gain abroad); training on the other sources, the measured one left out (less than a point, within noise).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import scipy
from pydantic import Field

from tacos.errors import TacosError
from tacos.models.embedder import Embedder, EmbedderSettings
from tacos.progress import track
from tacos.scoring.iqs.base import Kind, Vectors
from tacos.scoring.iqs.pairs import QualityPairs
from tacos.scoring.iqs.style import STYLE, styles
from tacos.scoring.iqs.text import canonicals
from tacos.scoring.pairwise import bradley_terry
from tacos.types import Record

TOKEN = re.compile(r"\d+|[^\W\d_]+(?:'[^\W\d_]+)*|[^\w\s]|\n")
LOG_WORDS, TRIGRAMS = STYLE.index("log_words"), STYLE.index("distinct_trigrams")
LONG = 4.0
"""log(1 + words) from which the usual cosine of prompt and response grows no more; 54 words."""
CHUNK = 2048
FEWEST = 20
COSINE_DECIMALS, DECIMALS = 5, 9


class LightSettings(Record):
    """How the light scorer reads and learns."""

    penalty: float = Field(0.05, gt=0)
    """Inverse strength C of the L2 penalty."""
    clip: float = Field(4.0, gt=0)
    """Standardised features end here, so that no odd text is decided by one number."""
    term_words: int = Field(3, ge=1, le=5)
    term_texts: int = Field(5, ge=1)
    """Terms that stand in fewer training texts are not read."""
    term_weight: float = Field(5.0, ge=0)
    """More trusts the experts' wording further; less carries over better to other sources. 0 leaves it out."""
    length_weight: float = Field(1.5, ge=0)
    """Log-odds added for e times as many words, on top of what experts taught."""
    floor_percentile: float = Field(1.0, ge=0, le=50)
    floor_slope: float = Field(3.0, ge=0)
    """In log-odds per standard deviation; 0 needs no embeddings."""
    floor_depth: float = Field(5.0, gt=0)
    """Standard deviations below a floor from which it gets no worse."""
    response_tokens: int = Field(64, ge=8)
    """As the pool-fitted quality model embeds responses, so that the two share a stage."""
    embedder: EmbedderSettings = EmbedderSettings()


@dataclass(frozen=True)
class Reading:
    """Texts as the scorer reads them.

    style: (n, len(STYLE)). cosine: (n,) of prompt and response; zeros where floors are off.
    """

    style: np.ndarray
    terms: list[list[str]]
    cosine: np.ndarray

    def take(self, rows: np.ndarray) -> Reading:
        return Reading(self.style[rows], [self.terms[i] for i in rows.tolist()], self.cosine[rows])


@dataclass(frozen=True)
class LightWeights:
    """What is learned. centre, scale, style: (len(STYLE),); terms: (n_terms,), aligned with the vocabulary;
    curve: (3,) the usual cosine as a parabola of log words; floors, spread: (2,) of cosine and trigrams."""

    centre: np.ndarray
    scale: np.ndarray
    style: np.ndarray
    terms: np.ndarray
    curve: np.ndarray
    floors: np.ndarray
    spread: np.ndarray


class LightScorer:
    """Fit on pairs, or `load`ed; see the module."""

    kind: Kind = "light"

    def __init__(self, settings: LightSettings, embedder: Embedder | None = None):
        self.settings = settings
        self.embedder = embedder or Embedder(settings.embedder)
        self.vocabulary: dict[str, int] = {}
        self.weights: LightWeights | None = None

    def score(
        self, prompts: Sequence[str], responses: Sequence[str], vectors: Vectors | None = None
    ) -> np.ndarray:
        """q, (n,) log-odds; NaN where a side is empty.

        vectors: embeddings at hand, of prompts at the embedder's `max_tokens` and of responses at
        `response_tokens`; without them canonical texts are embedded here. Embeddings of texts as stored move
        a cosine by a hundredth where typeset quotes stand.

        Raises: TacosError when the scorer is not trained, ValueError when lengths differ.
        """
        if self.weights is None:
            raise TacosError("this quality scorer is not trained: fit or load it first")
        n = len(prompts)
        if len(responses) != n or (vectors and not len(vectors.prompts) == len(vectors.responses) == n):
            raise ValueError(f"{n} prompts, {len(responses)} responses, and vectors of another number")
        if not n:
            return np.empty(0)
        asked, given = canonicals(prompts), canonicals(responses)
        cosine = self._cosine(asked, given, vectors)
        parts = [
            self.score_reading(self._read(asked[at:to], given[at:to], cosine[at:to]))
            for at, to in track([(at, at + CHUNK) for at in range(0, n, CHUNK)], "quality")
        ]
        there = [bool(p and r) for p, r in zip(asked, given, strict=True)]
        return np.where(there, np.concatenate(parts), np.nan)

    def read_pairs(self, pairs: QualityPairs) -> tuple[Reading, Reading]:
        """Better and worse sides, row by row."""
        asked, other = map(canonicals, (pairs.prompts, pairs.worse_prompts))
        better, worse = map(canonicals, (pairs.better, pairs.worse))
        n = len(asked)
        cosine = self._cosine([*asked, *other], [*better, *worse], None)
        return self._read(asked, better, cosine[:n]), self._read(other, worse, cosine[n:])

    def _cosine(self, prompts: list[str], responses: list[str], vectors: Vectors | None) -> np.ndarray:
        """(n,) float64, rounded: what a batch holds beside a text moves the seventh decimal."""
        if not self.settings.floor_slope:
            return np.zeros(len(prompts))
        if vectors is None:
            vectors = Vectors(self.embedder(prompts), self.embedder(responses, self.settings.response_tokens))
        cosine = np.einsum("ij,ij->i", vectors.prompts, vectors.responses).astype(np.float64)
        return np.asarray(np.round(cosine, COSINE_DECIMALS))

    def _read(self, prompts: list[str], responses: list[str], cosine: np.ndarray) -> Reading:
        words = self.settings.term_words if self.settings.term_weight else 0
        return Reading(styles(prompts, responses), [terms(r, words) for r in responses], cosine)

    def fit(self, pairs: QualityPairs) -> LightScorer:
        """Raises: TacosError for fewer than 20 pairs whose sides differ."""
        return self.fit_readings(*self.read_pairs(pairs))

    def fit_readings(self, better: Reading, worse: Reading) -> LightScorer:
        """Pairs that read the same on both sides are left out: they teach nothing."""
        differs = [
            i
            for i, (a, b) in enumerate(zip(better.terms, worse.terms, strict=True))
            if a != b or (better.style[i] != worse.style[i]).any()
        ]
        if len(differs) < FEWEST:
            raise TacosError(
                f"{len(differs)} pairs with different sides; a quality scorer needs {FEWEST} at least: give more pairs"
            )
        a, b = better.take(np.array(differs)), worse.take(np.array(differs))
        s = self.settings
        both = np.vstack([a.style, b.style])
        centre, scale = both.mean(axis=0), both.std(axis=0)
        scale[scale == 0] = 1.0
        self.vocabulary = vocabulary([*a.terms, *b.terms], s.term_texts)
        style = self._standard(a, centre, scale) - self._standard(b, centre, scale)
        difference = style
        if self.vocabulary:
            told = (term_rows(a.terms, self.vocabulary) - term_rows(b.terms, self.vocabulary)) * s.term_weight
            difference = scipy.sparse.hstack([scipy.sparse.csr_matrix(style), told]).tocsr()
        w = bradley_terry(difference, s.penalty)
        ends = len(STYLE)
        curve, floors, spread = _floors(a, b, s.floor_percentile)
        self.weights = LightWeights(centre, scale, w[:ends], w[ends:] * s.term_weight, curve, floors, spread)
        return self

    def score_reading(self, reading: Reading) -> np.ndarray:
        """q, (n,), rounded so that equal texts tie wherever they stand in a matrix product."""
        w = self.weights
        assert w is not None
        q = self._standard(reading, w.centre, w.scale) @ w.style
        if self.vocabulary:
            q = q + term_rows(reading.terms, self.vocabulary) @ w.terms
        q = q + self.settings.length_weight * reading.style[:, LOG_WORDS]
        if self.settings.floor_slope:
            below = (_grounds(reading, w.curve) - w.floors) / w.spread
            q = q + self.settings.floor_slope * np.clip(below, -self.settings.floor_depth, 0).sum(axis=1)
        return np.asarray(np.round(q, DECIMALS))

    def _standard(self, reading: Reading, centre: np.ndarray, scale: np.ndarray) -> np.ndarray:
        return np.clip((reading.style - centre) / scale, -self.settings.clip, self.settings.clip)

    def strongest(self, n: int = 10) -> dict[str, float]:
        """The style features that count most: log-odds for one standard deviation."""
        assert self.weights is not None
        order = np.argsort(-np.abs(self.weights.style))[:n]
        return {STYLE[i]: round(float(self.weights.style[i]), 3) for i in order}

    def write(self, folder: Path) -> None:
        assert self.weights is not None
        arrays = {field.name: getattr(self.weights, field.name) for field in fields(LightWeights)}
        np.savez(folder / "weights.npz", **arrays)
        (folder / "terms.json").write_text(json.dumps(list(self.vocabulary)), encoding="utf-8")
        (folder / "style.json").write_text(json.dumps(STYLE), encoding="utf-8")

    @classmethod
    def open(cls, folder: Path, settings: LightSettings, embedder: Embedder | None = None) -> LightScorer:
        """Raises: OSError, ValueError or KeyError when files are absent or do not fit together."""
        made = cls(settings, embedder)
        if json.loads((folder / "style.json").read_text(encoding="utf-8")) != list(STYLE):
            raise ValueError("its style features are not those of this version")
        words = json.loads((folder / "terms.json").read_text(encoding="utf-8"))
        made.vocabulary = {term: i for i, term in enumerate(words)}
        with np.load(folder / "weights.npz", allow_pickle=False) as arrays:
            made.weights = LightWeights(**{field.name: arrays[field.name] for field in fields(LightWeights)})
        if len(made.weights.style) != len(STYLE) or len(made.weights.terms) != len(words):
            raise ValueError("weights and names are not of one model")
        return made


def terms(text: str, words: int) -> list[str]:
    """All sequences of one to `words` tokens: words without case, marks, line breaks, any number as 0.

    >>> terms("Tea: 10", 2)
    ['<s>', 'tea', ':', '0', '</s>', '<s> tea', 'tea :', ': 0', '0 </s>']
    """
    tokens = ["<s>", *("0" if t.isdigit() else t.casefold() for t in TOKEN.findall(text)), "</s>"]
    return [" ".join(tokens[i : i + n]) for n in range(1, words + 1) for i in range(len(tokens) - n + 1)]


def vocabulary(texts: Sequence[Sequence[str]], least: int) -> dict[str, int]:
    """Number of each term that stands in at least `least` texts, in alphabetical order."""
    counts = Counter(term for text in texts for term in set(text))
    return {term: i for i, term in enumerate(sorted(t for t, n in counts.items() if n >= least))}


def term_rows(texts: Sequence[Sequence[str]], known: dict[str, int]) -> scipy.sparse.csr_matrix:
    """(n, len(known)): 1 + log count of each known term, each row of unit length."""
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.preprocessing import normalize

    rows = CountVectorizer(analyzer=_as_is, vocabulary=known, dtype=np.float64).transform(texts)
    rows.data = 1 + np.log(rows.data)
    return normalize(rows, copy=False)


def _as_is(text: list[str]) -> list[str]:
    return text


def _floors(a: Reading, b: Reading, percentile: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The usual cosine by length, then floor and spread of `_grounds`, over both sides."""
    words = np.minimum(np.concatenate([a.style[:, LOG_WORDS], b.style[:, LOG_WORDS]]), LONG)
    cosine = np.concatenate([a.cosine, b.cosine])
    curve = np.linalg.lstsq(np.vander(words, 3), cosine, rcond=None)[0]
    grounds = np.vstack([_grounds(a, curve), _grounds(b, curve)])
    spread = grounds.std(axis=0)
    spread[spread == 0] = 1.0
    return curve, np.percentile(grounds, percentile, axis=0), spread


def _grounds(reading: Reading, curve: np.ndarray) -> np.ndarray:
    """(n, 2): cosine above the usual one at this length, and the share of distinct trigrams."""
    usual = np.polyval(curve, np.minimum(reading.style[:, LOG_WORDS], LONG))
    return np.column_stack([reading.cosine - usual, reading.style[:, TRIGRAMS]])
