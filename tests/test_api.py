"""tacos from Python: few names, found when asked for; the commands' results; also while an event loop runs."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pandas import DataFrame

import tacos
from tacos.errors import ConfigError, TacosError
from tacos.methods import METHODS
from tacos.part import Scorer, scorer
from tacos.selection import Scores
from tacos.stage import Job
from tacos.store.own_code import code_of
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


OWN = """
import numpy as np
from tacos.part import Scorer, scorer
from tacos.selection import Scores

def letter(text):
    return float(ord(text[-1]))

@scorer("mine_alone", summary="the last letter of the response")
class MineAlone(Scorer):
    def score(self, pool, job):
        return Scores(np.array([letter(text) for text in pool.responses]))
"""


@pytest.fixture
def own_file(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module beside the notebook."""
    monkeypatch.syspath_prepend(".")
    file = Path("own_scorer.py")
    file.write_text(OWN)
    yield file
    del tacos.SCORERS._items["mine_alone"]
    del sys.modules["own_scorer"]


def test_a_part_of_ones_own_that_was_changed_scores_anew(own_file: Path) -> None:
    def rows(out: str) -> list[str]:
        own = {"group": "none", "score": "mine_alone", "allocate": "top"}
        done = tacos.select("pool.jsonl", "recipe", 4, out=out, changes=own | QUIET)
        return [done.run_dir, *tacos.read_pool(done.out).ids]

    write_pool(Path("pool.jsonl"))
    module = importlib.import_module("own_scorer")
    first = rows("first.jsonl")
    assert rows("again.jsonl") == first
    own_file.write_text(OWN.replace("float(ord", "-float(ord"))  # in a function that the class calls
    importlib.reload(module)
    assert not set(rows("changed.jsonl")) & set(first)
    own_file.write_text(OWN)
    importlib.reload(module)
    assert rows("first_again.jsonl") == first


def test_a_cell_that_runs_again_takes_its_place_and_another_class_does_not() -> None:
    def cell(sign: int) -> type[Scorer]:
        @scorer("of_a_cell", summary="all alike")
        class OfACell(Scorer):
            def score(self, pool: Pool, job: Job) -> Scores:
                return Scores(np.full(len(pool), float(sign)))

        return OfACell

    try:
        cell(1)
        second = cell(2)
        assert tacos.SCORERS.get("of_a_cell") is second
    finally:
        del tacos.SCORERS._items["of_a_cell"]
    with pytest.raises(ConfigError, match=r"'length' is both .*length.Length and .*: give yours another"):
        scorer("length")(type("Length", (Scorer,), {}))


def test_a_part_of_a_cell_is_told_by_its_methods() -> None:
    class OneRead:
        def score(self) -> int:
            return 1

    class TwoRead:
        def score(self) -> int:
            return 2

    same = type("OneRead", (), {"score": OneRead.score})
    for made in (OneRead, TwoRead, same):
        made.__module__ = "__main__"
    assert code_of(OneRead) == code_of(same) != code_of(TwoRead)
    assert code_of(tacos.SCORERS.get("length")) == ""


@pytest.mark.parametrize("kind", [staticmethod, classmethod, property, cached_property])
def test_a_part_of_a_cell_is_told_by_its_helpers_of_every_kind_too(kind: Callable[[Any], Any]) -> None:
    def one(*_: object) -> int:
        return 1

    def two(*_: object) -> int:
        return 2

    made = [type("Own", (), {"__module__": "__main__", "helper": kind(helper)}) for helper in (one, two)]
    assert code_of(made[0]) != code_of(made[1])


def test_a_part_that_reads_what_is_no_json_is_named_before_its_inputs_are_blamed() -> None:
    @scorer("reads_json", summary="whether the response is JSON")
    class ReadsJson(Scorer):
        def score(self, pool: Pool, job: Job) -> Scores:
            return Scores(np.array([float(bool(json.loads(text))) for text in pool.responses]))

    write_pool(Path("pool.jsonl"))
    own = {"group": "none", "score": "reads_json", "allocate": "top"}
    try:
        with pytest.raises(
            TacosError, match=r"score \(reads_json\) cannot .* its own code reads something else"
        ):
            tacos.select("pool.jsonl", "recipe", 4, out="rows.jsonl", changes=own | QUIET)
    finally:
        del tacos.SCORERS._items["reads_json"]


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


def test_a_data_frame_is_no_pool() -> None:
    with pytest.raises(ConfigError, match=r"pool is a DataFrame: give a file.*df\.to_json"):
        tacos.select(DataFrame({"prompt": ["a"]}), "longest", 1)  # type: ignore[arg-type]
