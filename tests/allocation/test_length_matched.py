"""Lengths are those that were wanted, and the draw is uniform among rows of one length."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.allocation.length_matched import LengthMatched, matched, moved, quantiles
from tacos.errors import BudgetError, ConfigError
from tacos.selection import Groups, Scores
from tacos.types import Pool, make_sample
from tests.allocation import inputs
from tests.scoring import scored


def test_a_wanted_length_that_is_gone_is_the_nearest() -> None:
    lengths, wanted = np.array([3.0, 5, 8, 20]), np.array([3.0, 3, 9])
    taken = matched(lengths, wanted, np.random.default_rng(0))
    assert sorted(lengths[taken]) == [3, 5, 8] and moved(lengths[taken], wanted) == 1


def test_another_budget_takes_quantiles() -> None:
    lengths = np.array([9.0, 1, 5, 7, 3])
    assert quantiles(lengths, 5).tolist() == [1, 3, 5, 7, 9]
    assert quantiles(lengths, 1).tolist() == [5]
    assert quantiles(lengths, 10).tolist() == [1, 1, 3, 3, 5, 5, 7, 7, 9, 9]
    assert quantiles(lengths, 2).tolist() == [3, 7]


def test_rows_of_one_length_are_drawn_alike() -> None:
    counts = np.zeros(4)
    for seed in range(400):
        counts[matched(np.array([2.0, 2, 2, 9]), np.array([2.0]), np.random.default_rng(seed))] += 1
    assert counts[3] == 0 and counts[:3].min() > 90  # 133 expected, sd 9.4


@given(st.lists(st.integers(1, 9), min_size=1, max_size=50), st.integers(0, 50), st.integers(0, 99))
def test_rows_are_taken_once_and_exact_where_they_can_be(held: list[int], budget: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    lengths = np.array(held, dtype=np.float64)
    wanted = np.sort(rng.integers(1, 10, min(budget, len(held)))).astype(np.float64)
    taken = matched(lengths, wanted, rng)
    assert len(taken) == len(set(taken.tolist())) == len(wanted)
    for length in range(1, 10):
        most = min((lengths == length).sum(), (wanted == length).sum())
        assert (lengths[taken] == length).sum() >= most


def test_a_selection_is_matched_from_its_file(tmp_path: Path) -> None:
    pool = Pool.from_samples(make_sample("Say.", "word " * (1 + i % 10), id=f"r{i}") for i in range(100))
    like = [{"instruction": "Say.", "output": "word " * n} for n in (7, 7, 7, 2)]
    file = tmp_path / "like.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in like))
    part, job = LengthMatched(like=str(file)), inputs.job(tmp_path, pool=pool, seed=3)
    picks = part.allocate(Groups.one(100), Scores.none(100), 8, job)
    assert sorted(len(pool[p.index].response.split()) for p in picks) == [2, 2, 7, 7, 7, 7, 7, 7]
    assert job.metrics == {"moved": 0} and {p.reason for p in picks} == {"draw of a wanted length"}
    with pytest.raises(BudgetError, match=r"budget 101 is above the 100 samples in the pool"):
        part.allocate(Groups.one(100), Scores.none(100), 101, job)


def test_no_file_is_said_before_any_work() -> None:
    setup = scored.setup(Pool.from_samples([]))
    with pytest.raises(ConfigError, match=r"in allocate\.like, or a file"):
        LengthMatched().inputs(setup)
    with pytest.raises(ConfigError, match=r"allocate\.like: there is no file none\.jsonl"):
        LengthMatched(like="none.jsonl").identity(setup)
