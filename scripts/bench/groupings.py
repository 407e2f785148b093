"""How well groups that no LLM made find the classes of a pool: tags against clusters of embeddings and of TF-IDF.

    python scripts/bench/groupings.py dolly.jsonl --label category --k 50 --seeds 3
    python scripts/bench/groupings.py builtin --k 30                    the generated pool, whose skills are known

Every grouping has the same k. A row in m groups counts 1/m in each. NMI is the mutual information of group and class
over the mean of their entropies, purity the share of rows whose class is the commonest of their group, coverage the
share of rows that stand in a group at all; the others are a group of their own in NMI and purity.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import entropy
from sklearn.cluster import KMeans
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import mutual_info_score

from tacos.data.builtin.build import BuiltinSettings, build
from tacos.data.read import read_pool
from tacos.grouping.cluster import ClusteringSettings, cluster_tags
from tacos.grouping.embedding import EmbeddingGroups, cluster_embeddings
from tacos.grouping.normalize import NormalizationSettings, normalize
from tacos.grouping.tagging import KeyphraseTagger, TaggingSettings
from tacos.models.embedder import Embedder, EmbedderSettings
from tacos.selection import Groups, Tags
from tacos.types import Pool

Grouping = Callable[[int], Groups]
"""seed -> groups."""


def labelled(source: str, label: str) -> tuple[Pool, list[str]]:
    """The pool and the class of each row."""
    if source == "builtin":
        made = build(BuiltinSettings())
        skill = {truth.id: truth.skill for truth in made.truth}
        return made.pool, [skill[id_] for id_ in made.pool.ids]
    pool = read_pool(source).pool
    rows = map(json.loads, Path(source).read_text(encoding="utf-8").splitlines())
    classes = {str(row["id"]): row[label] for row in rows}
    return pool, [classes[id_] for id_ in pool.ids]


def measured(groups: Groups, classes: Sequence[str]) -> tuple[float, float, float]:
    """NMI, purity, coverage."""
    names = {name: i for i, name in enumerate(sorted(set(classes)))}
    table = np.zeros((len(groups) + 1, len(names)))
    for row, name in enumerate(classes):
        homes = groups.homes.get(row, [len(groups)])
        table[homes, names[name]] += 1 / len(homes)
    mutual = mutual_info_score(None, None, contingency=table)
    mean = (entropy(table.sum(0)) + entropy(table.sum(1))) / 2
    return mutual / mean, table.max(1).sum() / table.sum(), len(groups.covered) / len(classes)


def tags_of(raw: Tags, embedder: Embedder, min_count: int | None, k: int) -> Grouping:
    """TACOS's groups from keyphrases, every other step by its defaults."""
    left = normalize(raw, NormalizationSettings(min_count=min_count), embedder).tags
    names = sorted(left.counts())
    vectors = embedder(names)
    return lambda seed: cluster_tags(left, names, vectors, ClusteringSettings(k=k), seed)


def tfidf_of(pool: Pool, k: int) -> Grouping:
    matrix = TfidfVectorizer(min_df=3, stop_words="english", sublinear_tf=True).fit_transform(pool.prompts)

    def group(seed: int) -> Groups:
        labels = KMeans(k, n_init=1, random_state=seed).fit_predict(matrix)
        return Groups(tuple(map(str, range(k))), tuple(np.flatnonzero(labels == i) for i in range(k)))

    return group


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pool", help='JSONL, or "builtin"')
    parser.add_argument("--label", default="category")
    parser.add_argument("--k", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    pool, classes = labelled(args.pool, args.label)
    embedder = Embedder(EmbedderSettings())
    vectors = embedder(pool.prompts)
    keyphrases = KeyphraseTagger(TaggingSettings(), embedder).tag(pool, vectors)
    groupings = {
        "keyphrase tags": tags_of(keyphrases, embedder, None, args.k),
        "the same, min_count 3": tags_of(keyphrases, embedder, 3, args.k),
        "embeddings of prompts": lambda seed: cluster_embeddings(vectors, EmbeddingGroups(k=args.k), seed),
        "TF-IDF of prompts": tfidf_of(pool, args.k),
    }
    print(f"{len(pool):,} rows, {len(set(classes))} classes, k = {args.k}, mean of {args.seeds} seeds")
    for name, group in groupings.items():
        found = [measured(group(seed), classes) for seed in range(args.seeds)]
        nmi, purity, coverage = (statistics.mean(values) for values in zip(*found, strict=True))
        print(f"{name:<24} NMI {nmi:.3f}  purity {purity:.3f}  coverage {coverage:.3f}")


if __name__ == "__main__":
    main()
