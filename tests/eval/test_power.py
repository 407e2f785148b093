"""What a comparison can find: variances by hand, against simulation, and the ways to a wanted difference."""

from __future__ import annotations

import numpy as np
import pytest

from eval.power import MOST_SEEDS, Variation, pooled, variation
from eval.stats import against


def test_variances_by_hand() -> None:
    """Seeds (1, 2, 3) and (3, 4, 5): question means vary by 1, seed means by 2, and nothing is left to chance."""
    found = variation([[1, 2, 3], [3, 4, 5]])
    assert found is not None and (found.question, found.chance) == (1, 0)
    assert found.seed == pytest.approx(2**0.5)
    assert variation([[1, 2, 3]]) == Variation(question=1) and variation([[1]]) is None


def test_chance_is_no_spread_of_questions_or_seeds() -> None:
    """(1, -1) and (-1, 1): all means are 0, so both estimates are below 0 and count as none."""
    assert variation([[1, -1], [-1, 1]]) == Variation(question=0, chance=2, seed=0)


def draw(rng: np.random.Generator, sds: Variation, questions: int, seeds: int) -> np.ndarray:
    of_seed = rng.normal(0, sds.seed or 0, (seeds, 1)) + rng.normal(0, sds.chance, (seeds, questions))
    return np.asarray(rng.normal(0, sds.question, (1, questions)) + of_seed)


def test_variances_are_found_again() -> None:
    truth, rng = Variation(question=0.3, chance=0.5, seed=0.1), np.random.default_rng(1)
    found = pooled([one for _ in range(200) if (one := variation(draw(rng, truth, 200, 4)))])
    assert found is not None and found.seed == pytest.approx(0.1, rel=0.1)
    assert (found.question, found.chance) == (pytest.approx(0.3, rel=0.05), pytest.approx(0.5, rel=0.05))


@pytest.mark.parametrize(("questions", "seeds"), [(400, 1), (80, 1), (20, 1), (100, 3), (50, 6)])
@pytest.mark.parametrize("seed", [0.0, 0.06])
def test_eighty_of_a_hundred_repeats_find_it(questions: int, seeds: int, seed: float) -> None:
    sds, rng = (
        Variation(question=0.26, chance=0.4, seed=seed if seeds > 1 else None),
        np.random.default_rng(4),
    )
    smallest = sds.smallest(questions, seeds)
    found = [against(smallest + draw(rng, sds, questions, seeds), 0.0).p_value <= 0.05 for _ in range(1000)]
    assert 0.73 <= np.mean(found) <= 0.92


def test_ways_to_a_wanted_difference() -> None:
    sds = Variation(question=0.26, chance=0.4, seed=0.01)
    needed = sds.questions_for(0.05, 3)
    assert needed is not None and sds.smallest(needed, 3) <= 0.05 < sds.smallest(needed - 1, 3)
    seeds = sds.seeds_for(0.05, 400)
    assert seeds is not None and sds.smallest(400, seeds) <= 0.05 < sds.smallest(400, seeds - 1)
    assert sds.seeds_for(0.03, 400) is None  # questions alone leave 3.6 points
    assert sds.seeds_for(sds.smallest(400, MOST_SEEDS), 400) == MOST_SEEDS
    assert Variation(question=0.26, seed=0.1).questions_for(0.05, 3) is None
    few = Variation(question=0.4, seed=0.02)  # 5,000 questions with 2 seeds find less than 400
    assert few.questions_for(0.10, 2) == next(n for n in range(2, 400) if few.smallest(n, 2) <= 0.10)
    assert few.questions_for(0.06, 3) == next(n for n in range(2, 999) if few.smallest(n, 3) <= 0.06)
    assert Variation(question=0).smallest(10) == 0 and Variation(question=1).smallest(1) == np.inf


def test_arms_with_several_seeds_are_asked_first() -> None:
    assert pooled([]) is None and pooled([Variation(question=3)]) == Variation(question=3)
    found = pooled([Variation(question=9), Variation(question=3, seed=1), Variation(question=4, seed=7)])
    assert found == Variation(question=12.5**0.5, seed=5)
