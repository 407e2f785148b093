"""Weights of one's own judge labelled pairs through `llms`, like any other model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from tacos.cli.app import app

from . import work


def test_a_local_model_is_checked_like_any_other(
    taught_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It writes grades that can be read and mean nothing; its replies are cached, so a second check asks nothing."""
    monkeypatch.chdir(tmp_path)
    rows = [
        {"instruction": one.question, "output_1": one.answer_1, "output_2": one.answer_2, "label": 1 + i % 2}
        for i, one in enumerate(work.comparisons()[:8])
    ]
    Path("pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    local = {"backend": "transformers", "model": str(taught_model), "concurrency": 8, "max_failed_share": 1.0}
    settings = {"judge": "local", "llms": {"local": local}, "embedder": {"device": "cpu"}}
    settings["pairwise"] = {"sampling": work.SHORT.model_dump()}
    Path("judge.yaml").write_text(yaml.safe_dump(settings))
    words = ["eval", "judge-check", "--pairs", "pairs.jsonl", "--config", "judge.yaml", "--json"]
    first = CliRunner().invoke(app, words)
    assert first.exit_code == 0, first.stderr
    found = json.loads(first.stdout.splitlines()[-1])
    assert found["n"] + found["unparsed"] == 8 and found["n"] > 0
    assert found["judge"].startswith("LLM judge (") and found["recommendation"]
    again = CliRunner().invoke(app, [*words, "--judge", "local", "longer"])
    judges = json.loads(again.stdout.splitlines()[-1])["judges"]
    assert judges[found["judge"]]["accuracy"] == found["accuracy"] and "longer wins" in judges
