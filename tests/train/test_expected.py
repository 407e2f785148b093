"""What a training will read, before anything is tokenised."""

from __future__ import annotations

import pytest

from tests.conftest import small_pool
from tests.train.helpers import SETTINGS
from train.data import hold_out
from train.expected import training_tokens


def test_rows_held_out_are_not_trained_on():
    pool = small_pool(20)
    settings = SETTINGS.model_copy(update={"budget": "samples", "epochs": 2.0})
    held = settings.model_copy(update={"validation": 0.25})
    assert len(hold_out(20, held.validation, 0)) == 5
    assert training_tokens(pool, 20, held) == pytest.approx(0.75 * training_tokens(pool, 20, settings))
