"""A finished run once more from its replies: nobody is asked, nothing is trained, and what differs is named."""

from __future__ import annotations

import json
import logging
import sqlite3
from pathlib import Path

import pytest

from eval.results import ArmSummary
from tacos.config import parse
from tacos.errors import LLMError, TacosError
from tacos.pipeline.run import run_experiment
from tacos.pipeline.settings import ExperimentSettings
from tacos.store import tables
from tests.llm.server import FaultServer
from tests.pipeline.benchmark_files import tiny_experiment, verdict, write_assets
from tests.pipeline.helpers import LLM_TACOS, reply_to, write_pool


def any_reply(content: str) -> str:
    judged = (
        "score_1" in content
        or content.startswith("Rate")
        or ("<response" not in content and "<prompt>" not in content)
    )
    return verdict(content) if judged and "<response_1>" not in content else reply_to(content)


class Recorded:
    """An experiment with an LLM's selection and an LLM's judge, run once; its server is gone."""

    def __init__(self, folder: Path):
        write_pool(folder / "pool.jsonl", 40)
        self.folder, self.assets = folder, write_assets(folder / "assets")
        with FaultServer(answer=any_reply) as server:
            llm = {"model": "m", "endpoint": server.endpoint, "concurrency": 2}
            data = tiny_experiment(
                folder, server.endpoint, llms=dict.fromkeys(("judge", "tagger", "scorer"), llm)
            )
            data["arms"] = {"tacos": {"method": "tacos", **LLM_TACOS}, "random": {"method": "random"}}
            data["benchmarks"] = {"mt_bench": data["benchmarks"]["mt_bench"]}
            self.settings = parse(ExperimentSettings, data)
            self.results = run_experiment(self.settings, assets=self.assets)[0]

    def replay(self) -> tuple[list[ArmSummary], Path]:
        results, folder = run_experiment(self.settings, assets=self.assets, replay=True)
        assert results.total_usage.calls == 0
        return results.summary, folder

    def recorded(self, stage: str) -> Path:
        (run,) = (run for run in self.results.runs if run.arm == "tacos")
        return self.folder / "artifacts" / run.artifacts[stage]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return Recorded(tmp_path_factory.mktemp("replay"))


def test_a_replay_gives_the_recorded_numbers(run: Recorded, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        summary, folder = run.replay()
    assert summary == run.results.summary
    assert folder.name == "small-replay" and (folder / "report.html").is_file()
    (line,) = (text for text in caplog.messages if text.startswith("replayed"))
    made = int(line.split()[1])
    assert made >= 6 and line == f"replayed {made} stages, {made} of them as they were recorded"
    again = run.folder / "artifacts" / "replay" / "small"
    assert {path.name for path in again.iterdir()} >= {"tag", "compare", "select", "mt_bench"}
    assert not {path.name for path in again.iterdir()} & {"load", "base", "train", "answer_mt_bench"}


def test_what_comes_out_otherwise_is_named(run: Recorded, caplog: pytest.LogCaptureFixture) -> None:
    selection = run.recorded("select") / tables.SELECTION
    before = selection.read_text()
    rows = [json.loads(line) for line in before.splitlines()]
    selection.write_text("".join(json.dumps(row) + "\n" for row in rows[::-1]))
    try:
        run.replay()
    finally:
        selection.write_text(before)
    (line,) = (text for text in caplog.messages if "is not as it was recorded" in text)
    assert line.startswith("select ") and line.endswith(": selection.jsonl")


def test_a_reply_that_is_missing_ends_the_replay(run: Recorded) -> None:
    replies = run.folder / "artifacts" / "replies.sqlite"
    with sqlite3.connect(replies) as cache:
        cache.execute("CREATE TABLE aside AS SELECT * FROM replies LIMIT 1")
        cache.execute("DELETE FROM replies WHERE key IN (SELECT key FROM aside)")
    try:
        with pytest.raises(LLMError, match=r"a reply is not in the cache, that to .*without --replay first"):
            run.replay()
    finally:
        with sqlite3.connect(replies) as cache:
            cache.execute("INSERT INTO replies SELECT * FROM aside")
            cache.execute("DROP TABLE aside")


def test_a_model_that_is_not_trained_ends_the_replay(run: Recorded) -> None:
    assert run.settings.train is not None
    other = run.settings.train.model_copy(update={"lr": 0.01})
    chosen = run.settings.model_copy(update={"train": other})
    with pytest.raises(TacosError, match=r"train \w+ is not finished, and a replay"):
        run_experiment(chosen, assets=run.assets, replay=True)


def test_without_a_cache_there_is_nothing_to_replay(run: Recorded, tmp_path: Path) -> None:
    chosen = run.settings.model_copy(update={"artifacts": str(tmp_path / "none")})
    with pytest.raises(TacosError, match=r"no reply is recorded"):
        run_experiment(chosen, assets=run.assets, replay=True)
