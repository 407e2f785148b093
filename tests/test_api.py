"""tacos from Python: few names, found when asked for; the commands' results; also while an event loop runs."""

from __future__ import annotations

import asyncio
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tacos
from tacos.errors import ConfigError
from tacos.methods import METHODS
from tacos.part import Scorer, scorer
from tacos.selection import Scores
from tacos.stage import Job
from tacos.types import Pool
from tests.llm.server import FaultServer
from tests.pages import ROOT, page
from tests.pipeline.helpers import reply_to, write_pool

QUIET = {"tracking.mode": "disabled"}


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_import_is_light_and_names_come_when_asked_for() -> None:
    code = (
        "import sys, tacos; light = [m for m in ('torch', 'numpy', 'pydantic', 'tacos.api') if m in sys.modules];"
        "tacos.shipped_configs, tacos.SCORERS; print(light, 'torch' in sys.modules, 'tacos.api' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] False True"


def test_every_name_is_there_and_told_of() -> None:
    for name in tacos.__all__:
        found = getattr(tacos, name)
        assert found.__doc__, name
        assert f"`{name}" in page("tacos").text, f"{name} is not in the manual"
    assert set(tacos.__all__) <= set(dir(tacos))
    own = {n for n, f in vars(sys.modules["tacos.api"]).items() if inspect.isfunction(f) and n[0] != "_"}
    assert {name for name in own if getattr(tacos.api, name).__module__ == "tacos.api"} <= set(tacos.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tacos.nothing  # noqa: B018


def test_the_generated_pool_is_read_by_its_name() -> None:
    pool = tacos.read_pool("builtin")
    assert len(pool) == 3000 and pool.ids[0] == "builtin-000000"


def test_parts_and_methods_are_found_by_name() -> None:
    assert set(tacos.METHODS) == set(METHODS) and tacos.SCORERS.get("length").name == "length"
    assert "tags" in tacos.GROUPERS and "per_group" in tacos.ALLOCATORS
    with pytest.raises(ConfigError, match="did you mean 'length'"):
        tacos.SCORERS.get("lenght")


def test_a_part_that_is_registered_in_a_cell_selects() -> None:
    @scorer("last_letter", summary="the last letter of the response")
    class LastLetter(Scorer):
        def score(self, pool: Pool, job: Job) -> Scores:
            return Scores(np.array([float(ord(text[-1])) for text in pool.responses]))

    write_pool(Path("pool.jsonl"))
    own = {"group": "none", "score": "last_letter", "allocate": "top"}
    try:
        picked = tacos.select("pool.jsonl", "recipe", 4, out="rows.jsonl", changes=own | QUIET)
    finally:
        del tacos.SCORERS._items["last_letter"]
    assert picked.selected == 4
    assert [sample.response[-1] for sample in tacos.read_pool("rows.jsonl")] == ["5", "5", "5", "5"]


def select_by_llm(endpoint: str) -> Any:
    llm = {"model": "m", "endpoint": endpoint, "concurrency": 4}
    config = {
        "llms": {"judge": llm},
        "score": {"by": "rating", "llm": "judge"},
        "group": "none",
        "allocate": "top",
    }
    return tacos.select("pool.jsonl", "recipe", 5, out="rows.jsonl", config=config, changes=QUIET)


def test_a_language_model_is_asked_while_an_event_loop_runs() -> None:
    async def cell() -> Any:
        """As Jupyter runs a cell."""
        return select_by_llm(server.endpoint)

    write_pool(Path("pool.jsonl"))
    with FaultServer(answer=reply_to) as server:
        inside = asyncio.run(cell())
        rows = Path("rows.jsonl").read_bytes()
        assert (server.hits, inside.selected, inside.usage.calls) == (24, 5, 24)
        again = select_by_llm(server.endpoint)  # outside of one, from what was paid inside
        assert (server.hits, again.run_dir, Path("rows.jsonl").read_bytes()) == (24, inside.run_dir, rows)
    assert [sample.id for sample in tacos.read_pool("rows.jsonl")] == [
        json.loads(r)["id"] for r in rows.splitlines()
    ]


def test_a_plan_is_of_an_experiment_or_a_selection() -> None:
    write_pool(Path("pool.jsonl"))
    stages = tacos.plan({"method": "random", "budget": 5}, {"pool.source": "pool.jsonl"})
    assert [stage.stage for stage in stages] == ["load", "select"] and not Path("artifacts").exists()
    arms = {
        arm
        for stage in tacos.plan("quickstart", {"train": None, "pool.builtin.size": 300})
        for arm in stage.arms
    }
    assert {"tacos/seed0", "full/seed0"} <= arms


def test_what_is_wrong_is_raised() -> None:
    with pytest.raises(ConfigError, match="did you mean 'quickstart'"):
        tacos.run("quickstrat")
    with pytest.raises(ConfigError, match=r"this config is \d+ experiments"):
        tacos.run("quickstart", {"matrix": {"budgets": [100, 200]}})
    with pytest.raises(ConfigError, match="unknown setting 'buget'"):
        tacos.select("builtin", changes={"buget": 3})
    with pytest.raises(ConfigError, match="setting 'data' is missing"):
        tacos.train({"model": "tiny"})


@pytest.mark.slow
def test_the_example_runs_as_a_script(tmp_path: Path) -> None:
    script = ROOT / "scripts" / "examples" / "from_python.py"
    done = subprocess.run([sys.executable, str(script), "made"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = done.stdout
    assert "20 of 300 rows in made/longest.jsonl" in said and "stages to run" in said
    assert "length: length of the response" in said
    table = [
        line.split()[0] for line in said.splitlines() if line.startswith(("longest ", "mine ", "random "))
    ]
    assert table == ["longest", "mine", "random"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made"]
