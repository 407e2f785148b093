"""CaR from end to end: with a scorer trained on pairs, and without one."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from tacos.artifacts import ArtifactStore
from tacos.config import parse
from tacos.errors import TacosError
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.pipeline.graph import selection_stage
from tacos.pipeline.settings import SelectSettings
from tacos.scoring.instruction_quality import warn_of_another_language
from tacos.scoring.iqs.folder import read_card, save
from tacos.scoring.iqs.light import LightScorer, LightSettings
from tacos.store.tables import read_scores
from tacos.types import Pool, make_sample
from tests.pipeline.helpers import reply, scripted_tools, write_pool
from tests.scoring.test_iqs import toy_pairs


@pytest.fixture
def scorer(tmp_path: Path) -> Path:
    """A light scorer that learned the toy pairs' taste; no embeddings, so no floor."""
    pairs = toy_pairs()
    settings = LightSettings(floor_slope=0)
    save(LightScorer(settings).fit(pairs), tmp_path / "iqs", pairs, 0, {})
    return tmp_path / "iqs"


def select(tmp_path: Path, budget: int = 8, **score: Any) -> list[dict[str, Any]]:
    pool = write_pool(tmp_path / "pool.jsonl")
    parts = {"group": {"k": 3}, "score": {"fit": {"fit_rows": 20}, **score}}
    data = {"pool": {"source": str(pool)}, "method": "car", "budget": budget, **parts}
    stage = selection_stage(parse(SelectSettings, data))
    tools = scripted_tools(tmp_path / "replies.sqlite", ScriptedLLM(reply))
    folder = ArtifactStore(tmp_path / "artifacts").run(stage, tools)
    return [json.loads(line) for line in (folder / "selection.jsonl").read_text().splitlines()]


def test_a_trained_scorer_ranks_and_every_cluster_is_there(tmp_path: Path, scorer: Path) -> None:
    rows = select(tmp_path, scorer=str(scorer))
    picked = [row["selection"] for row in rows]
    (folder,) = [p for p in (tmp_path / "artifacts" / "score").iterdir() if p.is_dir()]
    scores = read_scores(folder).values
    assert picked[0]["score"] == pytest.approx(scores.max(), abs=1e-4)
    top = [p["score"] for p in picked if p["reason"] == "top score"]
    assert top == sorted(top, reverse=True)
    assert {p["group"].partition(": ")[0] for p in picked} == {"0", "1", "2"}


def test_a_pool_in_another_language_than_the_scorers_is_named_with_its_share(
    tmp_path: Path, scorer: Path, caplog: pytest.LogCaptureFixture
) -> None:
    german = (
        "Das ist so, weil der Tee mit dem Brot gut geht und wir es im Dorf an jedem Tag so machen wollen."
    )
    english = (
        "Most people like it because it goes with bees. Most people like tea because it goes with bread, too."
    )
    rows = [make_sample(f"Frage {i}?", german if i % 3 == 0 else english) for i in range(9)]
    warn_of_another_language(Pool.from_samples(rows), read_card(scorer))
    assert (
        "3 of 9 rows (33%) hold few of the commonest words of toy, on which score.scorer was" in caplog.text
    )
    caplog.clear()
    warn_of_another_language(Pool.from_samples(rows[1:3]), read_card(scorer))
    assert not caplog.text


def test_another_scorer_is_another_selection_stage(tmp_path: Path, scorer: Path) -> None:
    first = select(tmp_path, scorer=str(scorer))
    moved = scorer.rename(tmp_path / "elsewhere")
    assert select(tmp_path, scorer=str(moved)) == first
    assert (
        len([p for p in (tmp_path / "artifacts" / "score").iterdir() if p.is_dir()]) == 1
    )  # named by content


def test_without_a_scorer_it_says_what_ranks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert len(select(tmp_path)) == 8
    assert "no scorer trained on expert pairs" in caplog.text


def test_a_folder_that_is_no_scorer_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(TacosError, match="is not a quality scorer"):
        select(tmp_path, scorer=str(tmp_path))
    assert not (tmp_path / "artifacts").exists()
