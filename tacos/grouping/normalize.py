"""Tag normalization of TACOS (arXiv 2507.03673): thousands of loose tags become a usable vocabulary.

Four steps, each a function from a mapping to a coarser one:

    frequency    drop tags seen in fewer than alpha samples               [released code: alpha=20]
    rules        lower case, non-word runs to one space, Porter stem      [released code]
    association  merge tags that imply each other, by FP-Growth rules     [paper figure; InsTag's settings]
    semantic     merge tags whose phrase embeddings lie close together    [paper; any sentence encoder]

The released code counts first and applies rules after ("frequency" first); applying the rules first
lets the variants of a tag pool their counts, so more survive. `order` says which, and may leave steps out.

Worked example, order rules then frequency, alpha=2: "Write Code" (1 sample), "write-codes" (1) and
"poem" (1) become "write code" (2) and "poem" (1); "poem" is dropped.

Differences: the paper's counts are for Alpaca's 52,002 rows; by default they shrink with the pool, see the settings.
Marks that are part of a name stay (C, C++ and C# are three tags; the released code makes them one), and so do
combining marks, which are letters.
"""

from __future__ import annotations

import logging
import unicodedata
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import regex
from pydantic import Field, field_validator

from tacos.errors import PoolError
from tacos.selection import Tags
from tacos.types import Record

Step = Literal["frequency", "rules", "association", "semantic"]
Embed = Callable[[list[str]], np.ndarray]

log = logging.getLogger(__name__)
_LETTER = r"\p{L}\p{M}\p{N}"
NAME_OR_WORD = regex.compile(
    rf"(?<![{_LETTER}.])\.(?=net\b)[{_LETTER}]+|[{_LETTER}]+\+\+|(?<![{_LETTER}])\p{{L}}[#+](?![{_LETTER}])|[{_LETTER}]+"
)
"""Words, and names that end in marks: C++, C#, .NET, A+."""


class NormalizationSettings(Record):
    """Steps and their constants; the paper's symbol beside each."""

    order: tuple[Step, ...] = ("frequency", "rules", "association", "semantic")
    min_count: int | None = Field(None, ge=1)
    """alpha: a tag must occur in at least this many samples; None is 1% of the tagged samples, at most the paper's
    20, which 2,000 samples reach."""
    stem: Literal["word", "phrase"] = "word"
    """Stem each word, or the whole phrase as if it were one word, as the released code does."""
    support: int | None = Field(None, ge=1)
    """FP-Growth: a pair of tags must occur together in at least this many samples; None is 2% of the tagged samples,
    at least 3 and at most InsTag's 40, which 2,000 samples reach."""
    confidence: float = Field(0.99, gt=0, le=1)
    """FP-Growth: share of a tag's samples that also carry the other tag."""
    similarity: float = Field(0.9, gt=0, le=1)
    """Semantic: cosine from which two tags are one."""
    untagged: Literal["drop", "group"] = "drop"
    """A sample with no tag left is dropped, or kept under the tag "untagged"."""

    @field_validator("order")
    @classmethod
    def _each_once(cls, order: tuple[Step, ...]) -> tuple[Step, ...]:
        if len(set(order)) != len(order):
            raise ValueError("a step occurs twice in `order`")
        return order

    def for_pool(self, tagged: int) -> NormalizationSettings:
        """The settings with every count given. tagged: samples that have a tag."""
        counts = {
            "min_count": self.min_count or min(20, max(1, tagged // 100)),
            "support": self.support or min(40, max(3, tagged // 50)),
        }
        return self.model_copy(update=counts)


@dataclass(frozen=True)
class Normalized:
    """Normalized tags, and distinct tags and tagged samples left after each step (raw first)."""

    tags: Tags
    distinct: dict[str, int]
    samples: dict[str, int]


def normalize(tags: Tags, settings: NormalizationSettings, embed: Embed) -> Normalized:
    """Apply the steps of `settings.order` in turn; a sample that loses its last tag gets the reason as its error.

    Raises: PoolError where no sample has a tag, or none keeps one.
    """
    settings = settings.for_pool(tags.tagged())
    raw, errors = tags, dict(tags.errors)
    distinct, samples = {"raw": len(tags.counts())}, {"raw": tags.tagged()}
    for step in settings.order:
        mapping = mapping_of(step, tags, settings, embed)
        rows = tuple(apply(mapping, row) for row in tags.rows)
        lost = [
            i for i, (before, after) in enumerate(zip(tags.rows, rows, strict=True)) if before and not after
        ]
        errors |= {i: _why_lost(step, tags.rows[i], settings) for i in lost}
        tags = Tags(rows, errors)
        distinct[step], samples[step] = len(tags.counts()), tags.tagged()
    if settings.untagged == "group":
        return Normalized(
            Tags(tuple(row or ("untagged",) for row in tags.rows), raw.errors), distinct, samples
        )
    _check_left(raw, tags, settings)
    return Normalized(tags, distinct, samples)


def _why_lost(step: Step, row: Sequence[str], settings: NormalizationSettings) -> str:
    named = ", ".join(row[:3])
    if step == "frequency":
        return f"no tag of it ({named}) stands in group.normalization.min_count={settings.min_count} samples"
    return f"no tag of it ({named}) is left by the {step} step of the normalization"


def _check_left(raw: Tags, tags: Tags, settings: NormalizationSettings) -> None:
    """Says which samples have no tag, and why. Raises: PoolError when that is all of them."""
    n, left = len(tags.rows), tags.tagged()
    if not raw.tagged():
        why = next((reason for reason, _ in Counter(raw.errors.values()).most_common(1)), "no tag")
        raise PoolError(
            f"none of {n:,} prompts has a tag, so there is nothing to group by; most often: {why}. Keyphrases are "
            "phrases that stand in several prompts (group.tagging.min_df); an LLM tags what prompts ask for "
            "(group.tagging.llm)"
        )
    if not left:
        commonest = raw.counts().most_common(1)[0]
        raise PoolError(
            f"no tag is left after normalization: the commonest of {len(raw.counts()):,}, {commonest[0]!r}, stands in "
            f"{commonest[1]:,} samples; set group.normalization.min_count (now {settings.min_count}) to no more than "
            "that"
        )
    if left < n:
        dropped = raw.tagged() - left
        log.warning(
            "%d of %d samples (%.0f%%) have no tag and stand in no group: %d had none, %d lost theirs to normalization "
            "(group.normalization.min_count=%d); group.normalization.untagged=group keeps them",
            n - left,
            n,
            100 * (n - left) / n,
            n - left - dropped,
            dropped,
            settings.min_count,
        )


def mapping_of(step: Step, tags: Tags, settings: NormalizationSettings, embed: Embed) -> dict[str, str]:
    """Old tag -> new tag; tags that are to go are absent. settings: with every count given (`for_pool`)."""
    counts = tags.counts()
    if step == "frequency":
        return {tag: tag for tag, count in counts.items() if count >= (settings.min_count or 1)}
    if step == "rules":
        return rule_mapping(counts, settings.stem)
    if step == "association":
        return association_mapping(tags, settings.support or 1, settings.confidence)
    return semantic_mapping(counts, settings.similarity, embed)


def apply(mapping: dict[str, str], row: Iterable[str]) -> tuple[str, ...]:
    """The row's new tags, each once, in order of first appearance."""
    return tuple(dict.fromkeys(mapping[tag] for tag in row if tag in mapping))


def rule_mapping(counts: Iterable[str], stem: str = "word") -> dict[str, str]:
    """ "Email-Writing" -> "email write", "C++ / .NET" -> "c++ .net"; a tag of punctuation alone is dropped."""
    import snowballstemmer

    stemmer = snowballstemmer.stemmer("porter")

    def rule(tag: str) -> str:
        words = NAME_OR_WORD.findall(unicodedata.normalize("NFC", tag.lower()))
        return (
            str(stemmer.stemWord(" ".join(words))) if stem == "phrase" else " ".join(stemmer.stemWords(words))
        )

    return {tag: new for tag in counts if (new := rule(tag))}


def association_mapping(tags: Tags, support: int, confidence: float) -> dict[str, str]:
    """Merge a -> b for every rule a => b of two tags that reaches support and confidence.

    Rules come from mlxtend's FP-Growth. A tag merges into its most frequent consequent (ties:
    alphabetical), and chains are followed to their end; of two tags that imply each other the
    rarer (ties: the later in the alphabet) merges into the other.
    """
    counts = tags.counts()
    identity = {tag: tag for tag in counts}
    for antecedent, consequents in association_rules(tags, support, confidence).items():
        rank = {tag: (-counts[tag], tag) for tag in {antecedent, *consequents}}
        best = min(consequents, key=rank.__getitem__)
        if rank[best] < rank[antecedent]:
            identity[antecedent] = best
    return {tag: _follow(identity, tag) for tag in identity}


def association_rules(tags: Tags, support: int, confidence: float) -> dict[str, list[str]]:
    """Antecedent -> consequents, for rules between single tags."""
    import pandas as pd

    with warnings.catch_warnings():  # mlxtend turns on every DeprecationWarning of the process, torch's too
        from mlxtend.frequent_patterns import fpgrowth
        from mlxtend.preprocessing import TransactionEncoder

    frequent = {tag for tag, count in tags.counts().items() if count >= support}
    rows = [[tag for tag in row if tag in frequent] for row in tags.rows]
    rows = [row for row in rows if len(row) > 1]
    if len(rows) < support:  # no pair can stand together so often
        return {}
    encoder = TransactionEncoder()
    frame: Any = pd.DataFrame  # pandas-stubs do not know the accessor `sparse` on the class
    matrix = frame.sparse.from_spmatrix(encoder.fit_transform(rows, sparse=True), columns=encoder.columns_)
    # A hair below the exact share, so that a pair seen exactly `support` times is not lost to rounding.
    found = fpgrowth(matrix, min_support=(support - 0.5) / len(rows), use_colnames=True, max_len=2)
    rules: dict[str, list[str]] = {}
    counts = tags.counts()
    for items, share in zip(found["itemsets"], found["support"], strict=True):
        if len(items) != 2:
            continue
        together = round(share * len(rows))
        for a in items:
            if together >= confidence * counts[a]:
                rules.setdefault(a, []).append(next(b for b in items if b != a))
    return rules


def _follow(mapping: dict[str, str], tag: str) -> str:
    while mapping[tag] != tag:  # every step goes to a strictly more frequent (or earlier) tag, so this ends
        tag = mapping[tag]
    return tag


def semantic_mapping(counts: Counter[str], similarity: float, embed: Embed) -> dict[str, str]:
    """Walk tags from the most frequent down; each joins the first kept tag it is close enough to.

    The leader rule keeps the frequent name and never chains a-b-c into one tag when a and c differ.
    """
    names = [tag for tag, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    if not names:
        return {}
    vectors = embed(names)
    mapping: dict[str, str] = {}
    leaders: list[int] = []
    near = np.empty((0, vectors.shape[1]), dtype=vectors.dtype)
    for i, name in enumerate(names):
        cosine = near[: len(leaders)] @ vectors[i]
        if len(leaders) and cosine.max() >= similarity:
            mapping[name] = names[leaders[int(cosine.argmax())]]
            continue
        if len(leaders) == len(near):  # grow by doubling: appending row by row would copy n^2
            near = np.concatenate([near, np.empty((max(64, len(near)), near.shape[1]), near.dtype)])
        near[len(leaders)] = vectors[i]
        leaders.append(i)
        mapping[name] = name
    return mapping
