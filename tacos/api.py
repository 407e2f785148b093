"""tacos from Python: what the commands do, as functions, for notebooks and programs.

    import tacos

    picked = tacos.select("builtin", "tacos", 300, changes={"group.k": 30})      # picked.out: the file of rows
    run = tacos.run("quickstart", {"train.steps": 60, "seeds": [0, 1]})
    run.arms.pivot(index="arm", columns="measure", values="mean")

The names are attributes of `tacos`, each loaded when it is first used, so `import tacos` stays light. A config is a
file, the name of a shipped one, or a mapping in its form; `changes` puts values in their places, as in {"a.b": value}.
Folders and files are read and written as the commands do it, so either goes on where the other stopped. All works
while an event loop runs, as in Jupyter. What is wrong is raised as `tacos.errors.TacosError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tacos.cli.console import assets
from tacos.cli.quiet import quiet
from tacos.config import changed, parse, read_yaml, with_assets
from tacos.errors import ConfigError
from tacos.frames import Frames
from tacos.frames import load as load
from tacos.methods import METHODS as METHODS
from tacos.part import ALLOCATORS as ALLOCATORS
from tacos.part import GROUPERS as GROUPERS
from tacos.part import SCORERS as SCORERS
from tacos.shipped import names as shipped_configs  # noqa: F401  # for `tacos`

if TYPE_CHECKING:
    from eval.results import Results
    from tacos.pipeline.plan import PlannedStage
    from tacos.pipeline.select import SelectReport
    from tacos.types import Pool, Trained

Config = str | Path | Mapping[str, Any]
Changes = Mapping[str, Any]


def run(
    config: Config,
    changes: Changes | None = None,
    *,
    smoke: bool = False,
    retry_failed: bool = False,
    fail_fast: bool = False,
) -> Frames:
    """Run a whole experiment and load its tables, as `tacos run` and `tacos.load` do. Finished stages are reused.

    smoke: a rehearsal, with everything made small. retry_failed: ask again where an earlier run got no answer.
    fail_fast: stop at the first arm that fails; else it is in `results.failures`, and the others go on.

    Raises: ConfigError for a config with a matrix, which is several experiments; TacosError for what went wrong.
    """
    from tacos.pipeline.matrix import cells
    from tacos.pipeline.run import run_experiment

    quiet()
    found = cells(_settings(config, changes, smoke))
    if found[0].where:
        raise ConfigError(
            f"this config is {len(found)} experiments: `tacos run` does them, tacos.load reads each"
        )
    _, folder = run_experiment(found[0].settings, retry_failed, fail_fast, assets())
    return load(folder)


def plan(config: Config, changes: Changes | None = None, *, smoke: bool = False) -> list[PlannedStage]:
    """The stages of an experiment or a selection, which are done, and what the rest costs; no work is done.

    pd.DataFrame(stage.model_dump() for stage in plan("quickstart")) is a table of them.
    """
    from tacos.pipeline.matrix import cells
    from tacos.pipeline.plan import plan as plan_one
    from tacos.pipeline.plan import plan_cells
    from tacos.pipeline.settings import run_settings

    data = _settings(config, changes, smoke)
    if "arms" in data or "matrix" in data:
        return plan_cells(cells(data), assets())
    return plan_one(run_settings(data))


def select(
    pool: str | Path,
    method: str | None = None,
    budget: int | None = None,
    *,
    out: str | Path = "selection.jsonl",
    config: Config | None = None,
    changes: Changes | None = None,
    retry_failed: bool = False,
) -> SelectReport:
    """Select rows of a pool into the file `out`, as `tacos select` does, and say what came of it.

    pool: a file, a hub id, or "builtin". method, budget: None leaves what `config` says.

    Raises: TacosError for what went wrong, ConfigError where it is a setting.
    """
    from tacos.pipeline.select import select as select_rows
    from tacos.pipeline.settings import SelectSettings

    if not isinstance(pool, str | Path):
        raise ConfigError(
            f"pool is a {type(pool).__name__}: give a file, a hub id or 'builtin'; "
            "df.to_json('pool.jsonl', orient='records', lines=True) makes a file of a data frame"
        )
    quiet()
    said = {"pool.source": str(pool), "method": method, "budget": budget}
    given = {path: value for path, value in said.items() if value is not None}
    settings = parse(SelectSettings, _settings(config or {}, {**(changes or {}), **given}))
    return select_rows(settings, Path(out), retry_failed)


def train(config: Config, changes: Changes | None = None) -> Trained:
    """Fine-tune one model on a file of samples, as `tacos train` does; it is in `model/` of the config's `out`."""
    from train.launch import fine_tune
    from train.settings import TrainRun

    quiet()
    return fine_tune(parse(TrainRun, _settings(config, changes)))


def load_results(run: str | Path) -> Results:
    """The results.json of a run folder, checked. `tacos.load` has it too, with tables."""
    from eval.results import RESULTS
    from eval.results import load_results as read

    return read(Path(run) / RESULTS)


def read_pool(source: str | Path) -> Pool:
    """The good rows of a file, a selection among them, or of a hub id, in any form that a pool may have; "builtin" is
    the generated pool."""
    from tacos.data.builtin.build import BuiltinSettings, build
    from tacos.data.read import read_pool as read

    return build(BuiltinSettings(corpus_size=0)).pool if source == "builtin" else read(str(source)).pool


def _settings(config: Config, changes: Changes | None, smoke: bool = False) -> dict[str, Any]:
    from tacos.pipeline.smoke import rehearsed

    data = dict(config) if isinstance(config, Mapping) else read_yaml(Path(config))
    data = changed(rehearsed(data, smoke), changes or {})
    return dict(with_assets(data, lambda name: assets().path(name)))
