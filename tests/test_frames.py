"""A run folder as pandas tables: the numbers of its files, and nothing where there is no number."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eval.exact_match import EXACT_MATCH
from eval.results import ArmMeasure, Results, RunMeasure
from eval.samples import SAMPLES, MeasuredRun, write_samples
from tacos.errors import TacosError
from tacos.frames import ARMS, COSTS, RUNS, Frames, load
from tacos.store.files import write_json
from tacos.types import Question
from tacos.usage import Usage
from tests.eval.fixtures import ARMS as MADE_UP
from tests.eval.fixtures import make_results

VALUES = {"q1": 1.0, "q2": 0.0, "q3": 1.0}


def write_run(folder: Path, results: Results) -> Path:
    folder.mkdir()
    write_json(folder / "results.json", results)
    measured = [MeasuredRun("tacos", "tacos", False, 0, EXACT_MATCH, VALUES)]
    write_samples(folder / SAMPLES, measured, {"q1": Question(id="q1", turns=("a",), set="vicuna")})
    return folder


@pytest.fixture(scope="module")
def results() -> Results:
    """tacos with a seed whose verdicts could not be read, and with prices unknown."""
    made = make_results(arms=tuple(a for a in MADE_UP if a.name in ("tacos", "random", "zero-shot")), seeds=2)
    first = made.runs[0]
    unread = {"winning_score": RunMeasure(value=None, unread=120)}
    usage = Usage(calls=8, unpriced_calls=8, seconds=2.0)
    changed = first.model_copy(
        update={"measures": first.measures | unread, "selection_usage": usage, "audit": first.audit}
    )
    lead = made.summary[0]
    nothing = {"winning_score": ArmMeasure(interval=None)}
    summary = [lead.model_copy(update={"measures": lead.measures | nothing}), *made.summary[1:]]
    return made.model_copy(update={"runs": [changed, *made.runs[1:]], "summary": summary})


@pytest.fixture(scope="module")
def run(results: Results, tmp_path_factory: pytest.TempPathFactory) -> Frames:
    return load(write_run(tmp_path_factory.mktemp("runs") / "small", results))


def test_every_number_of_an_arm_comes_back(run: Frames, results: Results) -> None:
    assert run.results == results and tuple(run.arms.columns) == ARMS
    table = run.arms.set_index(["arm", "measure"])
    assert len(table) == sum(len(s.measures) for s in results.summary)
    found, made = table.loc[("tacos", "exact_match")], results.summary[0].measures["exact_match"]
    assert made.interval is not None and made.gain is not None
    assert (found["mean"], found.low, found.high, found.n) == tuple(made.interval.model_dump().values())
    assert (found.gain, found.gain_low, found.gain_high) == (made.gain.mean, made.gain.low, made.gain.high)
    assert (
        np.isnan(table.loc[("random", "exact_match")].gain) and table.loc[("random", "exact_match")].baseline
    )
    assert np.isnan(table.loc[("tacos", "winning_score")]["mean"])


def test_runs_count_what_was_not_read(run: Frames, results: Results) -> None:
    assert tuple(run.runs.columns) == RUNS and len(run.runs) == sum(len(r.measures) for r in results.runs)
    table = run.runs.set_index(["arm", "seed", "measure"])
    unread = table.loc[("tacos", 0, "winning_score")]
    assert unread.unread == 120 and np.isnan(unread.value)
    read = table.loc[("tacos", 1, "winning_score")]
    assert (read.unread, read.value) == (
        0,
        next(r for r in results.runs if (r.arm, r.seed) == ("tacos", 1)).measures["winning_score"].value,
    )


def test_the_tables_are_named_in_a_line(run: Frames) -> None:
    assert repr(run).startswith(f"<{run.results.name}: results, and rows of arms {len(run.arms)}, ")


def test_samples_are_those_of_the_file(run: Frames) -> None:
    assert dict(zip(run.samples["id"], run.samples["value"], strict=True)) == VALUES
    assert run.samples.groupby("set", dropna=False).value.mean().to_list() == [1.0, 0.5]


def test_costs_are_means_over_seeds_and_unknown_ones_are_missing(run: Frames, results: Results) -> None:
    assert tuple(run.costs.columns) == COSTS
    costs = run.costs.set_index("arm")
    own = costs.loc["tacos"]
    assert (own.calls, own.unpriced_calls) == (4, 4) and np.isnan(own.money_usd)
    assert own.seconds == pytest.approx((2.0 + 41.82) / 2) and own.training_flops == 6.84e11
    assert costs.loc["random"].money_usd == 0
    assert costs.loc["zero-shot"].drop(["method", "baseline"]).isna().all()


def test_a_folder_without_its_files_is_named(results: Results, tmp_path: Path) -> None:
    with pytest.raises(TacosError, match="give the folder of a finished run"):
        load(tmp_path)
    folder = write_run(tmp_path / "run", results)
    written = (folder / SAMPLES).read_bytes()
    for content in (b"no parquet", written[:-40] + b"\xff" * 32 + written[-8:]):
        (folder / SAMPLES).write_bytes(content)
        with pytest.raises(TacosError, match=r"samples\.parquet is damaged"):
            load(folder)
    (folder / SAMPLES).unlink()
    with pytest.raises(TacosError, match=r"no .*samples\.parquet"):
        load(folder)


def test_the_module_loads_pandas_only_when_asked() -> None:
    code = (
        "import sys, tacos.frames; print([m for m in ('pandas', 'matplotlib', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
