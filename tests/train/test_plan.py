from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.errors import ConfigError
from train.plan import deal, plan_batches, plan_epochs, split_micro


def test_steps_end_at_cumulative_boundaries():
    # Samples of 3 tokens, 4 per step: totals 6 >= 4, 9 >= 8, 12 >= 12.
    plan = plan_batches([3, 3, 3], steps=3, tokens_per_step=4, seed=0)
    order = list(itertools.islice(deal(3, 0), 4))
    assert plan == [order[:2], order[2:3], order[3:4]]


def test_equal_samples_fill_steps_exactly():
    plan = plan_batches([2, 2, 2, 2], steps=4, tokens_per_step=4, seed=1)
    assert [len(batch) for batch in plan] == [2, 2, 2, 2]
    assert sorted(plan[0] + plan[1]) == sorted(plan[2] + plan[3]) == [0, 1, 2, 3]


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=60),
    st.integers(1, 20),
    st.integers(40, 200),
    st.integers(0, 5),
)
def test_every_arm_gets_the_same_tokens_to_within_a_sample(tokens, steps, per_step, seed):
    plan = plan_batches(tokens, steps, per_step, seed)
    total = sum(tokens[i] for batch in plan for i in batch)
    assert len(plan) == steps and all(plan)
    assert steps * per_step <= total < steps * per_step + max(tokens)
    assert plan == plan_batches(tokens, steps, per_step, seed)


def test_sample_larger_than_a_step_is_refused():
    with pytest.raises(ConfigError, match="one sample alone has 9"):
        plan_batches([1, 9], steps=2, tokens_per_step=8, seed=0)


def test_sample_without_supervised_tokens_is_a_bug_of_the_caller():
    with pytest.raises(ValueError, match="supervised"):
        plan_batches([1, 0], steps=2, tokens_per_step=8, seed=0)


def test_epochs_visit_every_row():
    plan = plan_epochs(5, epochs=2.4, batch_size=2, seed=3)
    assert [len(batch) for batch in plan] == [2, 2, 1, 2, 2, 1, 2]
    rows = [i for batch in plan for i in batch]
    assert sorted(rows[:5]) == sorted(rows[5:10]) == [0, 1, 2, 3, 4]


def test_micro_batches_share_a_step():
    assert split_micro([4, 7, 1, 9, 2], 2, empty=10) == [[4, 1, 2], [7, 9]]


def test_a_short_step_is_filled_with_the_empty_row():
    assert split_micro([4, 7], 3, empty=9) == [[4], [7], [9]]


@given(st.lists(st.integers(0, 99), min_size=1, max_size=30), st.integers(1, 40))
def test_a_split_keeps_every_row_once(batch, parts):
    split = split_micro(batch, parts, empty=100)
    assert len(split) == parts and all(split)
    assert sorted(i for part in split for i in part if i != 100) == sorted(batch)
