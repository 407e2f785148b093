"""Compression: worked by hand, against compressing all again, and pick for pick as released."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tacos.allocation.zip import Archive, ZipSelection, sharegpt
from tacos.errors import BudgetError
from tacos.selection import Groups, Scores
from tacos.types import Pool, make_sample
from tests.allocation import inputs


def selected(pool: Pool, folder: Path, budget: int, **settings: Any) -> list[int]:
    job = inputs.job(folder, pool=pool)
    picks = ZipSelection(**settings).allocate(Groups.one(len(pool)), Scores.none(len(pool)), budget, job)
    return [p.index for p in picks]


def test_a_text_that_repeats_itself_comes_last(tmp_path: Path) -> None:
    pool = Pool.from_samples(
        make_sample("Say.", text) for text in ("abc " * 40, "Mice hide from owls at night.", "x y " * 4)
    )
    assert selected(pool, tmp_path, 3) == [1, 2, 0]


def test_a_copy_of_what_is_taken_adds_nothing_new(tmp_path: Path) -> None:
    texts = (
        "Mice hide from owls at night.",
        "Mice hide from owls at night.",
        "Glass is made of molten sand.",
    )
    pool = Pool.from_samples(make_sample("Say.", text, id=f"r{i}") for i, text in enumerate(texts))
    assert selected(pool, tmp_path, 3) in ([0, 2, 1], [2, 0, 1])


def test_equal_ratios_go_to_the_first_row(tmp_path: Path) -> None:
    pool = Pool.from_samples(make_sample("Say.", "the same", id=f"r{i}") for i in range(4))
    assert selected(pool, tmp_path, 2) == [0, 1]


def test_a_shortlist_stays_open_in_the_paper_and_is_used_up_in_the_released_code(tmp_path: Path) -> None:
    sizes = {"candidates": 30, "shortlist": 30, "take": 5}
    pool = inputs.texts(60)
    paper = selected(pool, tmp_path, 10, **sizes)
    released = selected(pool, tmp_path, 10, variant="released", **sizes)
    assert len(set(paper)) == len(set(released)) == 10
    archive = Archive(sharegpt(pool), b"[", b", ", b"]")
    ratios = archive.ratios([], range(60))
    first = set(ZipSelection(variant="released").lowest(ratios, 30).tolist())
    assert set(released[:5]) <= first and not set(released[5:]) & first
    assert len(set(selected(pool, tmp_path, 60, variant="released", **sizes))) == 60  # opened again


def test_a_budget_above_the_rows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match=r"budget 7 is above the 6 samples in the pool"):
        selected(inputs.texts(6), tmp_path, 7)


@given(st.lists(st.binary(min_size=1, max_size=300), min_size=2, max_size=40), st.integers(0, 40))
def test_a_copied_state_compresses_as_all_again(texts: list[bytes], held: int) -> None:
    archive = Archive(texts, b"[", b", ", b"]")
    before = list(range(min(held, len(texts) - 1)))
    whole = b"[" + b", ".join([texts[row] for row in before] + [texts[-1]]) + b"]"
    found = archive.ratios(before, [len(texts) - 1])
    assert found.tolist() == [len(whole) / len(zlib.compress(whole, 9))]


def test_the_released_code_picks_the_same(tmp_path: Path) -> None:
    released = inputs.RELEASED["zip"]
    sizes = dict(zip(("candidates", "shortlist", "take"), released["k"], strict=True))
    assert selected(inputs.texts(), tmp_path, 80, variant="released", **sizes) == released["picks"]
