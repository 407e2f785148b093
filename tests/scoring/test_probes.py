"""Altered copies of samples: each grade does what it says, and the seed decides."""

from __future__ import annotations

import numpy as np
import pytest

from tacos.errors import PoolError
from tacos.scoring.probes import GRADES, STEPS, at_step, padded, probes, truncated, with_errors
from tacos.types import Pool, make_sample

TEXT = "There were 12 apples and 7 pears in the basket; nobody counted them twice."


def pool(n: int = 12) -> Pool:
    return Pool.from_samples(
        make_sample(f"Tell me about {'tea' if i % 2 else 'coal'} number {i}", f"{TEXT} Case {i}.", id=f"r{i}")
        for i in range(n)
    )


def test_a_cut_leaves_the_share_that_is_said() -> None:
    text = " ".join(f"w{i}" for i in range(8)) + "."
    assert [truncated(text, share) for share in (0.25, 0.5, 0.75)] == [
        "w0 w1 w2 w3 w4 w5",
        "w0 w1 w2 w3",
        "w0 w1",
    ]


def test_errors_are_counted_take_numbers_first_and_hold_the_fewer() -> None:
    made = with_errors(TEXT, (1, 2, 4), ["zebra", "cloud"], np.random.default_rng(0))
    differ = [
        {i for i, (a, b) in enumerate(zip(TEXT.split(), text.split(), strict=True)) if a != b}
        for text in made
    ]
    assert [len(places) for places in differ] == [1, 2, 4]
    assert differ[0] < differ[1] < differ[2] and differ[1] == {2, 5}  # 12 and 7
    assert all(len(made[1].split()[place]) == len(TEXT.split()[place]) for place in (2, 5))


def test_padding_only_adds_and_says_the_beginning_again() -> None:
    text = padded(
        "Tea is hot and it is brewed from leaves in many lands. Milk is cold.", np.random.default_rng(0)
    )
    assert text.startswith(
        "Tea is hot and it is brewed from leaves in many lands. Milk is cold.\n\nIn other words: Tea"
    )
    assert text.count("Milk is cold.") == 1


def test_each_kind_alters_rows_of_its_own_in_every_grade() -> None:
    rows = pool(14)
    made = probes(rows, rows, 5, seed=0)
    assert [probe.kind for probe in made] == [
        kind for kind in GRADES for _ in range(3)
    ]  # 14 rows, four kinds
    assert len({probe.row for probe in made}) == 12
    for probe in made:
        assert len(probe.answers) == len(GRADES[probe.kind]) and rows[probe.row].response not in probe.answers


def test_an_altered_row_takes_the_place_of_its_original() -> None:
    rows = pool(14)
    made = probes(rows, rows, 5, seed=0)
    for step in range(1, STEPS + 1):
        altered = at_step(rows, made, step)
        assert altered.ids == rows.ids and altered.prompts == rows.prompts
        pairs = zip(rows.responses, altered.responses, strict=True)
        differ = {i for i, (before, after) in enumerate(pairs) if before != after}
        assert differ == {probe.row for probe in made if step <= len(probe.answers)}


def test_the_nearest_swap_answers_a_prompt_of_the_same_subject() -> None:
    rows = pool(24)
    answers = {text: i for i, text in enumerate(rows.responses)}
    swapped = [probe for probe in probes(rows, rows, 6, seed=0) if probe.kind == "swap"]
    assert len(swapped) == 6
    assert all(answers[probe.answers[0]] % 2 == probe.row % 2 for probe in swapped)


def test_the_seed_decides_and_short_answers_are_left_alone() -> None:
    rows = pool()
    once, again, other = (probes(rows, rows, 3, seed) for seed in (0, 0, 1))
    assert once == again != other
    short = Pool.from_samples([make_sample("What is 3 + 4?", "7", id=str(i)) for i in range(8)])
    assert probes(short, rows, 3, 0) == []


def test_answers_that_are_all_the_same_cannot_be_swapped() -> None:
    same = Pool.from_samples(make_sample(f"Ask {i}", TEXT, id=f"r{i}") for i in range(8))
    with pytest.raises(PoolError, match="every row of the pool has the same answer"):
        probes(same, same, 1, seed=0)
