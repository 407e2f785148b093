"""A scorer whose premise fails is told of, once and in one place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tacos.artifacts import ArtifactStore
from tacos.models.embedder import EmbedderSettings
from tacos.part import Scorer, Setup
from tacos.pipeline.pool import load_stage
from tacos.pipeline.pool_settings import PoolSettings
from tacos.premises import check_premises, check_ratios
from tacos.scoring.length import Length
from tacos.selection import Scores
from tacos.stage import Job, Tools
from tacos.types import Pool
from tacos.usage import Ledger
from tests.conftest import LetterEmbedder, small_pool
from tests.pipeline.helpers import write_pool


def told(values: list[float], caplog: pytest.LogCaptureFixture, by_length: bool = False) -> dict[str, float]:
    caplog.clear()
    return check_premises("mine", small_pool(len(values)), Scores(np.array(values)), by_length)


def test_one_score_for_nearly_all_is_told(caplog: pytest.LogCaptureFixture) -> None:
    few, many = (Scores(np.array([1.0] * ones + [2.0] * (20 - ones))) for ones in (17, 19))
    check_premises("mine", small_pool(20), few)
    assert "the score 1" not in caplog.text
    check_premises("mine", small_pool(20), many)
    assert (
        "mine gives 19 of 20 rows the score 1: the choice among them is by their order in the pool"
        in caplog.text
    )


def test_one_constant_score_is_told(caplog: pytest.LogCaptureFixture) -> None:
    assert told([3.0, np.nan, 3.0, 3.0], caplog) == {}
    assert caplog.messages == [
        "mine gives all 3 rows the score 3: the choice among them is by their order in the pool"
    ]
    told([3.0, np.nan, 3.0, 3.1], caplog)
    told([np.nan, 3.0], caplog)
    assert caplog.messages == []


def test_a_scorer_that_mostly_reads_length_is_told(caplog: pytest.LogCaptureFixture) -> None:
    rising = [float(i**3) for i in range(30)]
    assert told(rising, caplog) == {"length_correlation": 1.0}
    assert (
        "mine mostly reads length: its rank correlation with the length of the response is 1.00"
        in caplog.text
    )
    assert told([-value for value in rising], caplog) == {"length_correlation": -1.0}
    assert "is -1.00; compare with score=length" in caplog.text
    mixed = [float(i * 7 % 30) for i in range(30)]
    assert abs(told(mixed, caplog)["length_correlation"]) < 0.8 and caplog.messages == []


def test_length_itself_and_few_rows_are_not_told(caplog: pytest.LogCaptureFixture) -> None:
    assert told([float(i) for i in range(30)], caplog, by_length=True) == {}
    assert told([float(i) for i in range(19)], caplog) == {}
    assert caplog.messages == []


def test_ratios_are_told_only_where_all_are_above_1(caplog: pytest.LogCaptureFixture) -> None:
    check_ratios("ifd", np.array([1.2, 1.0]))
    check_ratios("ifd", np.array([]))
    assert caplog.messages == []
    check_ratios("ifd", np.array([1.2, 1.3]))
    assert "ifd: all 2 ratios are above 1 (the lowest is 1.200)" in caplog.text


class Letters(Scorer):
    """Characters of the response, by another name."""

    name = "letters"

    def score(self, pool: Pool, job: Job) -> Scores:
        return Scores(np.array([float(len(text)) for text in pool.responses]))


def test_every_scorer_is_looked_at_and_the_record_keeps_the_figure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    load = load_stage(PoolSettings(source=str(write_pool(tmp_path / "pool.jsonl", 40))))
    setup = Setup(load, 3, 0, EmbedderSettings(), {})
    store, tools = ArtifactStore(tmp_path / "a"), Tools(Ledger(), LetterEmbedder, lambda name: None, "cpu")  # type: ignore[arg-type, return-value]
    stage = Letters().build(setup)
    store.run(stage, tools)
    assert store.record(stage).outcome.metrics["length_correlation"] > 0.9
    assert "letters mostly reads length" in caplog.text
    caplog.clear()
    store.run(Length().build(setup), tools)
    assert "mostly reads length" not in caplog.text
