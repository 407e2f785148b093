"""Altered copies of samples: each grade does what it says, and the seed decides."""

from __future__ import annotations

import numpy as np

from tacos.scoring.probes import GRADES, padded, probes, truncated, with_errors
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


def test_every_altered_row_has_every_grade_and_keeps_its_prompt() -> None:
    rows = pool()
    made = list(probes(rows, rows, 5, seed=0))
    assert len(made) == 5 * sum(map(len, GRADES.values()))
    for probe, sample in made:
        assert sample.id == probe.id == f"{probe.of}~{probe.kind}-{probe.grade}"
        original = rows.by_id(probe.of)
        assert sample.prompt == original.prompt and sample.response != original.response


def test_the_nearest_swap_answers_a_prompt_of_the_same_subject() -> None:
    rows = pool()
    answers = {text: i for i, text in enumerate(rows.responses)}
    for probe, sample in probes(rows, rows, 12, seed=0, kinds=("swap",)):
        if probe.grade == "near":
            assert answers[sample.response] % 2 == int(probe.of[1:]) % 2


def test_the_seed_decides_and_short_answers_are_left_alone() -> None:
    rows = pool()
    once, again, other = (
        [sample.response for _, sample in probes(rows, rows, 3, seed)] for seed in (0, 0, 1)
    )
    assert once == again != other
    short = Pool.from_samples([make_sample("What is 3 + 4?", "7", id="a")])
    assert list(probes(short, rows, 3, 0)) == []
