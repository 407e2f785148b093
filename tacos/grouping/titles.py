"""Names for groups of texts: the words that are common in a group and rare in the others (class-based TF-IDF).

    group 7: "Which capital has Peru?", "Name the capital of Chad."   ->   "7: capital, peru, chad"

tf-idf(word, group) = share of the group's words x log(1 + mean words of a group / occurrences of the word in all)
(https://arxiv.org/abs/2203.05794, equation 3). Words of any script; a group whose texts have none keeps its number.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from tacos.selection import Groups
from tacos.text import phrases

WORDS = 3
"""Words in a title."""
TEXTS = 100
"""Texts of a group that its title is taken from, spread evenly over it."""


def titled(groups: Groups, texts: Sequence[str]) -> Groups:
    """The same groups, named "number: word, word, word". texts: one per row of the pool."""
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, CountVectorizer

    shown = [
        members[np.linspace(0, len(members) - 1, min(len(members), TEXTS)).astype(np.int64)]
        for members in groups.members
    ]
    owners = np.repeat(np.arange(len(groups)), [len(rows) for rows in shown])
    vectorizer = CountVectorizer(analyzer=partial(phrases, max_words=1, stop=ENGLISH_STOP_WORDS))
    try:
        counts = vectorizer.fit_transform(texts[row] for rows in shown for row in rows.tolist())
    except ValueError:  # not one word
        return groups
    member = csr_matrix((np.ones(len(owners)), (owners, np.arange(len(owners)))), (len(groups), len(owners)))
    table = (member @ counts).toarray()
    sizes = table.sum(axis=1)
    weight = table / np.maximum(1, sizes[:, None]) * np.log1p(sizes.mean() / table.sum(axis=0))
    words = vectorizer.get_feature_names_out()
    best = np.argsort(-weight, axis=1, kind="stable")[:, :WORDS]
    names = [
        f"{label}: {', '.join(words[i] for i in row if weight[group, i] > 0)}" if sizes[group] else label
        for group, (label, row) in enumerate(zip(groups.labels, best, strict=True))
    ]
    return Groups(tuple(names), groups.members)
