"""Groups are named by the words that their texts share and others do not."""

from __future__ import annotations

import numpy as np

from tacos.grouping.titles import titled
from tacos.selection import Groups

TEXTS = [
    "Name the capital of Peru",
    "Which capital has Chad?",
    "Add 4 and 5, please",
    "Please add seven to eight",
    "中国的首都是哪里",
    "1 + 1",
]


def test_a_title_has_the_words_of_its_group() -> None:
    members = tuple(np.array(rows) for rows in ([0, 1], [2, 3], [4], [5]))
    names = titled(Groups(("0", "1", "2", "3"), members), TEXTS).labels
    assert names[0].startswith("0: capital") and names[1].startswith("1: add")
    assert "首都" in names[2] or "中国" in names[2]
    assert names[3] == "3"  # no word


def test_groups_without_any_word_keep_their_numbers() -> None:
    groups = Groups(("0", "1"), (np.array([0]), np.array([1])))
    assert titled(groups, ["1 + 1", "???"]).labels == ("0", "1")


def test_few_texts_of_a_large_group_name_it() -> None:
    groups = Groups(("0", "1"), (np.arange(5000), np.array([5000])))
    assert titled(groups, ["capital of Peru"] * 5000 + ["add"]).labels[0].startswith("0: ")


def test_texts_are_taken_from_all_of_a_group() -> None:
    """Of 150 texts every third is left out, and not the last fifty."""
    groups = Groups(("0", "1"), (np.arange(150), np.arange(150, 160)))
    texts = ["river"] * 100 + ["mountain lake"] * 50 + ["add"] * 10
    assert "mountain" in titled(groups, texts).labels[0]
