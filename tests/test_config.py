"""Settings: overrides, and errors that name the path and the nearest valid name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tacos.config import changed, load, override, parse, read_yaml, with_assets
from tacos.errors import ConfigError
from tacos.methods import METHODS
from tacos.part import Setup
from tacos.pipeline.graph import selection_stage
from tacos.pipeline.matrix import cells
from tacos.pipeline.settings import ExperimentSettings, SelectSettings
from tacos.stage import Outcome, Stage
from tacos.store.fingerprint import plain
from tests.scoring import tiny_models
from train.settings import TrainRun

ROOT = Path(__file__).parents[1]
MINIMAL = {
    "name": "x",
    "budget": 10,
    "baseline": "random",
    "controls": [],
    "arms": {"random": {"method": "random"}},
}


@pytest.fixture(autouse=True)
def in_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a shipped config names beside it, a recipe or DeepSpeed's settings, is found from anywhere."""
    monkeypatch.chdir(tmp_path)


def test_overrides_are_yaml_and_reach_deep() -> None:
    data = override({"a": {"b": 1}}, ["a.b=2", "a.c.d=[1, 2]", "e=null", "f=text"])
    assert data == {"a": {"b": 2, "c": {"d": [1, 2]}}, "e": None, "f": "text"}


@pytest.mark.parametrize(
    "name",
    ["a #1.jsonl", "#1", "&a", "*b", "!c", "%d", "@e", "it's #2", "a=b #", "100%.jsonl", "a#b", "\u65e5 #1"],
)
def test_a_name_that_yaml_would_cut_or_refuse_is_taken_whole(name: str) -> None:
    assert override({}, [f"pool.questions={name}"]) == {"pool": {"questions": name}}
    assert override({}, ['a="b #1"', "c=[1, 2] # two", "d= 3 "]) == {"a": "b #1", "c": [1, 2], "d": 3}


def test_a_name_that_reads_as_a_number_is_asked_for_in_quotes() -> None:
    with pytest.raises(ConfigError, match=r"runs: .*\(got 2024; text that reads as a number .* in quotes\)"):
        parse(SelectSettings, override({"pool": {"source": "p"}}, ["runs=2024"]))


def test_changes_are_values_and_reach_deep() -> None:
    given = {"a": {"b": 1}}
    assert changed(given, {"a.b": "01", "a.c.d": [1], "e": None}) == {
        "a": {"b": "01", "c": {"d": [1]}},
        "e": None,
    }
    assert given == {"a": {"b": 1}}
    with pytest.raises(ConfigError, match=r"'group' holds a value.*write group\.by=source"):
        changed({"group": "source"}, {"group.n": 1})
    with pytest.raises(ConfigError, match=r"change of 'a\.b\.c': 'b' holds a value"):
        changed(given, {"a.b.c": 1})


@pytest.mark.parametrize("bad", ["a.b", "=1", "a.b.c=1", "a=[1", "a=2026-13-01"])
def test_a_malformed_override_is_named(bad: str) -> None:
    with pytest.raises(ConfigError, match="override"):
        override({"a": {"b": 1}}, [bad])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("buget=5", r"unknown setting 'buget': did you mean 'budget'\?"),
        ("pool.buitlin.size=5", r"'pool.buitlin': did you mean 'builtin'\?"),
        ("pool.builtin.sizze=5", r"'pool.builtin.sizze': did you mean 'size'\?"),
        ("lr=1", r"unknown setting 'lr': did you mean 'train.lr'\?"),
        ("pool.size=5", r"unknown setting 'pool.size': did you mean 'pool.builtin.size'\?"),
        ("eval.llm=judge", r"unknown setting 'eval.llm': did you mean 'eval.judge.llm'\?"),
        ("budget=0", "budget: .*greater than or equal to 1.*got 0"),
        ("arms.random.method=randm", r"arms.random.method: unknown method 'randm': did you mean 'random'\?"),
        ("arms.random.metod=random", r"'arms.random.metod': did you mean 'method'\?"),
        ("concurrency=4", r"unknown setting 'concurrency': did you mean 'llms\.<name>\.concurrency'\?"),
        ("score.by=rating", r"unknown setting 'score': did you mean 'arms\.<name>\.score'\?"),
        ("baseline=rndom", r"baseline 'rndom' is not an arm: did you mean 'random'\?"),
        ("seeds=[1, 1]", "each once"),
        ("name=a/b", "letters, digits"),
        ("llms.judge.backend=openai", "'llms.judge.model' is missing"),
    ],
)
def test_a_wrong_setting_says_where_and_what_is_near(change: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(ExperimentSettings, override(MINIMAL, [change]))


def test_what_is_no_name_is_told_and_not_raised_from_within() -> None:
    data = {"pool": {"source": "builtin"}, "budget": 5, "method": 0, "group": {"by": "kmeans"}}
    with pytest.raises(ConfigError, match=r"method: .*valid string"):
        parse(SelectSettings, data)
    with pytest.raises(ConfigError, match=r"focus: .*valid string"):
        parse(ExperimentSettings, MINIMAL | {"controls": ["length-matched"], "focus": {"a": 1}})


def test_method_settings_are_checked_before_anything_runs() -> None:
    wrong = {
        "{method: tacos, group: {by: tags, clusterin: {}}}": r"'arms\.tacos\.group\.clusterin': .*'clustering'",
        "{method: tacos, group: {by: tags, k: 3}}": r"did you mean 'arms\.tacos\.group\.clustering\.k'",
        "{method: instag, group: {k: 3}}": r"set arms\.tacos\.group\.clustering\.k, or add .*group\.by=embedding",
        "{method: tacos, group: {tagging: {}}}": r"arms\.tacos\.group\.tagging is a setting of tags.*group\.by=tags",
        "{method: deita, score: {llm: lab}}": r"llm is a setting of rating and .*add arms\.tacos\.score\.by=rating",
        "{method: mig, score: {design: {}}}": r"design is a setting of .*score\.by=comparative",
        "{method: tacos, group: tag}": r"arms\.tacos\.group\.by: unknown grouper 'tag': did you mean 'tags'",
        "{method: tacos, score: {by: ratin}}": r"arms\.tacos\.score\.by: unknown scorer 'ratin'.*'rating'",
        "{method: tacos, settings: {k: 3}}": r"arms\.tacos\.settings\.k.*arms\.tacos\.group",
        "{method: tacos, score: null}": r"allocate\.by=per_group ranks rows by a score",
        "{method: tacos, allocate: uniform}": r"looks at no score.*set arms\.tacos\.score=null",
        "{method: recipe, group: none}": r"needs group, score and allocate; arms\.tacos\.score is missing",
        "{method: iterselecttune, group: none}": r"group: iterselecttune is not a recipe.*settings has .*clustering",
        "{method: longest, settings: abc}": r"arms\.tacos\.settings is 'abc': give settings by name",
    }
    for arm, message in wrong.items():
        with pytest.raises(ConfigError, match=message):
            parse(ExperimentSettings, override(MINIMAL, [f"arms.tacos={arm}"]))


def test_an_llm_that_is_not_configured_is_named() -> None:
    settings = parse(SelectSettings, {"group": {"by": "tags", "tagging": {"llm": "tagger"}}})
    with pytest.raises(ConfigError, match=r"add llms.tagger.model"):
        selection_stage(settings)


def test_files_that_are_no_settings(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no config file"):
        read_yaml(tmp_path / "none.yaml")
    twice = "train: {lr: 1}\nmethod: x\ntrain: {steps: 2}\n"
    cases = (("a: [1", "not valid YAML"), ("- 1", "holds list"), (twice, "'train' stands twice.*line 3"))
    for text, message in cases:
        (tmp_path / "bad.yaml").write_text(text)
        with pytest.raises(ConfigError, match=message):
            read_yaml(tmp_path / "bad.yaml")


def test_a_config_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("name: caf\xe9".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"latin\.yaml is not UTF-8 \(byte 9\)"):
        read_yaml(tmp_path / "latin.yaml")


def yaml_files(folder: str) -> list[str]:
    return sorted(str(p.relative_to(ROOT)) for p in (ROOT / "configs" / folder).glob("*.yaml"))


@pytest.mark.parametrize("name", ["configs/quickstart.yaml", *yaml_files("experiments")])
def test_every_experiment_config_parses_and_its_methods_build(name: str) -> None:
    data = {key: value for key, value in read_yaml(ROOT / name).items() if key != "smoke"}
    load_stage = selection_stage(SelectSettings()).inputs["pool"]  # the builtin pool: building reads no file
    for cell in cells(without_files(data)):
        settings = cell.settings
        assert parse(ExperimentSettings, yaml.safe_load(yaml.safe_dump(plain(settings)))) == settings
        models = (settings.embedder, settings.llms, "base", untrained)
        for arm in settings.arms.values():
            if arm.method in METHODS:
                arm.build(Setup(load_stage, settings.budget, 0, *models, lambda name: load_stage))


def without_files(said: Any) -> Any:
    """The same without the scorer that a user trains first, and with other prompts than those that are downloaded."""
    if isinstance(said, str) and said.startswith("asset:prompts/"):
        return tiny_models.TEMPLATES
    if not isinstance(said, dict):
        return said
    return {key: without_files(value) for key, value in said.items() if (key, value) != ("scorer", "out/iqs")}


def untrained(rows: Stage, size: Any, changed: Any, seed: int) -> Stage:
    return Stage("train", lambda job: Outcome(), {**changed}, {"rows": rows})


@pytest.mark.parametrize("name", yaml_files("select"))
def test_every_select_config_parses_and_builds(name: str) -> None:
    settings = parse(SelectSettings, with_assets(read_yaml(ROOT / name), asset))
    assert selection_stage(settings).fingerprint


def asset(name: str) -> Path:
    folder = Path(os.environ.get("TACOS_ASSETS", ROOT.parent / "shared" / "assets"))
    if not (folder / name).is_file():
        pytest.skip(f"no {name} at hand")
    return folder / name


def test_an_asset_is_named_anywhere_in_a_config() -> None:
    data = {"a": ["asset:x/y.txt", {"b": "asset:z"}], "c": "assets", "d": 3}
    assert with_assets(data, lambda name: Path("/files") / name) == {
        "a": ["/files/x/y.txt", {"b": "/files/z"}],
        "c": "assets",
        "d": 3,
    }


@pytest.mark.parametrize("name", yaml_files("train"))
def test_every_train_config_parses(name: str) -> None:
    assert load(TrainRun, ROOT / name).train.lr > 0


def test_settings_that_were_written_are_the_same_when_read() -> None:
    """256 and 256.0 would name two pools: what a cluster's machine or a run folder's config reads is another one."""
    from tacos.pipeline.evaluate import EvaluateSettings
    from tacos.pipeline.settings import ExperimentSettings, SelectSettings
    from tacos.store.fingerprint import fingerprint, plain

    experiment = ExperimentSettings(name="x", budget=3, baseline="r", arms={"r": {"method": "random"}})  # type: ignore[dict-item]
    for settings in (SelectSettings(), EvaluateSettings(), experiment):
        assert fingerprint(type(settings).model_validate(plain(settings))) == fingerprint(settings)
