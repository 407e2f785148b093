"""A whole experiment, small: pool, selections, training, answers, judging, report, and all of it again."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from eval.results import Results
from tacos.cli.app import app
from tacos.frames import load
from tacos.models.embedder import Embedder
from tacos.store.files import read_jsonl
from tacos.types import Pool
from tests.pipeline.helpers import write_pool

SETTINGS: dict[str, Any] = {
    "name": "small",
    "budget": 30,
    "seeds": [0, 1],
    "baseline": "random",
    "controls": [],
    "pool": {"source": "builtin", "builtin": {"size": 260, "test_size": 40, "corpus_size": 300}},
    "arms": {
        "tacos": {
            "method": "tacos",
            "group": {"by": "tags", "normalization": {"min_count": 2, "support": 5}, "clustering": {"k": 6}},
            "score": {"fit": {"fit_rows": 60}},
        },
        "random": {"method": "random"},
        "zero-shot": {"method": "zero-shot"},
    },
    "base": {"tiny": {"vocab_size": 400, "hidden": 32, "layers": 1, "heads": 2, "steps": 4, "block": 64}},
    "train": {
        "lr": 1e-3,
        "budget": "loss_tokens",
        "steps": 3,
        "loss_tokens_per_step": 400,
        "max_length": 128,
    },
    "eval": {"generate": {"max_new_tokens": 8}},
}


def run(folder: Path) -> dict[str, Any]:
    path = folder / "small.yaml"
    settings = SETTINGS | {"artifacts": str(folder / "artifacts"), "runs": str(folder / "runs")}
    path.write_text(yaml.safe_dump(settings, sort_keys=False))
    result = CliRunner().invoke(app, ["run", str(path), "--json"])
    assert result.exit_code == 0, result.output[-2000:]
    return json.loads(result.stdout.splitlines()[-1])


def done_times(folder: Path) -> dict[str, int]:
    return {str(p): p.stat().st_mtime_ns for p in (folder / "artifacts").glob("*/*/done.json")}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, minilm: Embedder) -> Path:
    folder = tmp_path_factory.mktemp("experiment")
    run(folder)
    return folder


@pytest.fixture
def results(finished: Path) -> Results:
    return Results.model_validate_json((finished / "runs" / "small" / "results.json").read_text())


def test_every_arm_and_seed_is_in_the_results(results: Results) -> None:
    assert [(r.arm, r.seed) for r in results.runs] == [(a, s) for s in (0, 1) for a in SETTINGS["arms"]]
    for r in results.runs:
        exact, loss = r.measures["exact_match"], r.measures["heldout_loss"]
        assert exact.interval is not None and exact.interval.n == 40 and exact.value == exact.interval.mean
        assert loss.value is not None and loss.value > 0
        assert ("winning_score" in r.measures) == (r.arm != "random")
        assert (r.trained is None) == (r.arm == "zero-shot")
    assert [s.arm for s in results.summary] == list(SETTINGS["arms"])


def test_arms_get_the_same_steps_and_loss_tokens(results: Results) -> None:
    trained = [r.trained for r in results.runs if r.trained]
    assert {t.steps for t in trained} == {3}
    assert all(abs(t.loss_tokens - 1200) < 120 for t in trained)
    assert {t.samples for t in trained} == {30}
    assert len({t.template_hash for t in trained}) == 1


def test_embedded_parts_are_named(results: Results) -> None:
    said = " ".join(results.parts.values())
    assert said.count("embedded") >= 4
    assert "no LLM" in results.parts["judge"]
    assert results.total_usage.calls == 0


def test_the_truth_stays_out_of_what_selectors_see(finished: Path) -> None:
    pool = Pool.read(next((finished / "artifacts" / "load").glob("*/pool.parquet")))
    assert set(pool.table.column_names) == {"id", "source", "input", "messages", "extra"}
    assert len({s.source for s in pool}) == 1 and not any(s.extra for s in pool)


def test_the_run_folder_leads_to_every_file(finished: Path, results: Results) -> None:
    folder = finished / "runs" / "small"
    left = {
        "config.yaml",
        "stages.json",
        "results.json",
        "samples.parquet",
        "tables",
        "report.md",
        "report.html",
    }
    assert left <= {p.name for p in folder.iterdir()}
    for r in results.runs:
        for stage, artifact in r.artifacts.items():
            link = folder / "artifacts" / f"{r.arm}-seed{r.seed}-{stage}"
            assert link.resolve() == (finished / "artifacts" / artifact).resolve()
            assert (link / "done.json").exists()
    html = (folder / "report.html").read_text()
    pages = {urlsplit(link.group(1)).path for link in re.finditer(r'<a href="([^"]+)"', html)}
    assert pages == {"page/index.html"} and (folder / "page" / "index.html").is_file()
    for r in results.runs:
        assert f"#/run/small/answers?arm={r.arm}" in html


def test_numbers_come_from_the_files(finished: Path, results: Results) -> None:
    for r in results.runs:
        rows = (finished / "artifacts" / r.artifacts["answer"] / "matches.jsonl").read_text().splitlines()
        matches = [json.loads(row)["exact_match"] for row in rows]
        assert r.measures["exact_match"].value == pytest.approx(sum(matches) / len(matches))


def test_means_of_the_samples_are_those_of_the_runs(finished: Path) -> None:
    run = load(finished / "runs" / "small")
    keys = ["arm", "seed", "measure"]
    means = run.samples.groupby(keys).value.mean()
    told = run.runs.set_index(keys).value.loc[means.index]
    assert len(means) >= 3 * len(run.results.runs) and np.allclose(means, told)
    assert run.samples[run.samples.baseline].arm.unique().tolist() == ["random"]


def test_operations_of_selecting_stand_beside_those_of_training(results: Results) -> None:
    for r in results.runs:
        embedded = r.selection_usage
        assert (embedded.flops > 0) == (embedded.forward_tokens > 0) == (r.arm == "tacos")
        if r.trained:
            assert r.trained.flops == 6 * (r.trained.parameters or 0) * r.trained.tokens > 0


def test_arms_that_score_have_a_card_of_their_scorer(finished: Path, results: Results) -> None:
    cards = {run.arm: run.scorer for run in results.runs}
    assert {arm for arm, card in cards.items() if card} == {"tacos"}
    card = cards["tacos"]
    assert card and card.n == 256 and card.first_position.interval
    assert card.cost.calls == 0 and card.cost.forward_tokens > 0
    assert "## Scorers" in (finished / "runs" / "small" / "report.md").read_text()


def test_a_second_run_works_nothing_anew(finished: Path) -> None:
    before = done_times(finished)
    run(finished)
    assert done_times(finished) == before
    plan = CliRunner().invoke(app, ["plan", str(finished / "small.yaml"), "--json"])
    assert all(s["cached"] for s in json.loads(plan.stdout.splitlines()[-1])["stages"])


def test_selections_repeat_bit_for_bit(finished: Path, tmp_path: Path) -> None:
    settings = SETTINGS | {"train": None, "artifacts": str(tmp_path / "a"), "runs": str(tmp_path / "r")}
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    assert CliRunner().invoke(app, ["run", str(tmp_path / "x.yaml")]).exit_code == 0
    first = {
        p.parent.name: p.read_bytes() for p in (finished / "artifacts" / "select").glob("*/selection.jsonl")
    }
    second = {p.parent.name: p.read_bytes() for p in (tmp_path / "a" / "select").glob("*/selection.jsonl")}
    assert first == second and len(first) == 4


def test_the_report_can_be_written_again(finished: Path) -> None:
    folder = finished / "runs" / "small"
    before = (folder / "report.md").read_text()
    (folder / "report.html").unlink()
    assert CliRunner().invoke(app, ["report", str(folder)]).exit_code == 0
    assert (folder / "report.html").exists()
    assert (folder / "report.md").read_text() == before


def test_a_pool_from_a_file_holds_out_its_own_questions(tmp_path: Path) -> None:
    write_pool(tmp_path / "pool.jsonl", 40)
    settings = SETTINGS | {
        "pool": {"source": str(tmp_path / "pool.jsonl"), "holdout": 6},
        "arms": {"random": {"method": "random"}, "longest": {"method": "longest"}},
        "budget": 10,
        "seeds": [0],
        "artifacts": str(tmp_path / "a"),
        "runs": str(tmp_path / "r"),
    }
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    done = CliRunner().invoke(app, ["run", str(tmp_path / "x.yaml")])
    assert done.exit_code == 0, done.output[-2000:]
    results = Results.model_validate_json((tmp_path / "r" / "small" / "results.json").read_text())
    assert (results.pool["read"], results.pool["rows"], results.questions) == (40, 34, 6)
    for arm in results.runs:
        assert not {"defect_rate", "exact_match"} & set(arm.measures)
        assert arm.measures["heldout_loss"].value is not None
    assert [m.name for m in results.measures] == ["heldout_loss", "winning_score", "faulty_answers"]
    judged = results.runs[1].measures["winning_score"]
    assert sum(judged.counts.values()) + judged.unread == 6
    held = {row["id"] for row in read_jsonl(next((tmp_path / "a" / "load").glob("*/questions.jsonl")))}
    for selection in (tmp_path / "a" / "select").glob("*/selection.jsonl"):
        assert not held & {row["id"] for row in read_jsonl(selection)}
