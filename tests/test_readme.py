"""The product page and the manual pages name what exists, and what they show runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from pydantic import TypeAdapter
from typer.core import TyperGroup

from eval.factors import Factors
from eval.measures import Finished
from tacos.cli.app import app
from tacos.config import override, parse, read_yaml
from tacos.methods import METHODS
from tacos.part import ALLOCATORS, GROUPERS, SCORERS
from tacos.pipeline.evaluate import EvaluateSettings
from tacos.pipeline.graph import selection_stage
from tacos.pipeline.matrix import cells
from tacos.pipeline.settings import ArmSettings, ExperimentSettings, SelectSettings, run_settings
from tacos.scoring.iqs.train import ScorerTrainSettings as IqsTraining
from tacos.store.files import write_jsonl
from tests.pages import PAGES, README, ROOT, Page
from train.settings import TrainRun

MOST_BYTES = 12_000
each_page = pytest.mark.parametrize("page", PAGES, ids=str)


def mapped() -> set[str]:
    """Folders of the tree in the section "Where things are"."""
    section = README.text.split("## Where things are")[1].split("\n## ")[0]
    found, top = set(), ""
    for line in section.splitlines():
        if outer := re.match(r"    (\w+/)", line):
            top = outer.group(1)
            found.add(top)
        elif re.match(r"      \w", line):
            names = re.match(r"      ((?:\w+/\s*)+)", line)
            found |= {top + name for name in names.group(1).split()} if names else set()
    return found


def test_the_tree_shows_every_folder_of_code() -> None:
    files = (path for top in ("tacos", "train", "eval") for path in ROOT.glob(f"{top}/*/*.py"))
    folders = {f"{path.parent.relative_to(ROOT)}/" for path in files}
    assert folders <= mapped()


def test_the_tree_shows_what_exists() -> None:
    assert mapped() and all((ROOT / name).is_dir() for name in mapped())


def test_the_product_page_is_short() -> None:
    size = len(README.path.read_bytes())
    assert size <= MOST_BYTES, (
        f"README.md has {size} bytes; what is more than {MOST_BYTES} belongs on a manual page"
    )


def test_the_product_page_names_every_method() -> None:
    (table,) = re.findall(r"\| method \|.*?\n\n", README.text, re.DOTALL)
    shown = set(re.findall(r"`([\w-]+)`", table))
    assert shown == set(METHODS), (
        f"the table of methods in README.md and the code differ by {shown ^ set(METHODS)}"
    )


@each_page
def test_configs_and_scripts_that_are_named_exist(page: Page) -> None:
    for path in re.findall(r"\b(?:configs|scripts)/[\w/.]+\.(?:yaml|json|py|sh)\b", page.text):
        assert (ROOT / path).is_file(), path


@each_page
def test_links_lead_somewhere(page: Page) -> None:
    for target in page.links:
        file, _, anchor = target.partition("#")
        path = (page.path.parent / file).resolve() if file else page.path
        assert path.exists(), target
        if anchor:
            assert anchor in Page(path).anchors, target


def parsed(words: list[str]) -> tuple[str, dict[str, Any]]:
    """Which command would run, such as "iqs train", and its options. Raises: a usage error for what there is not."""
    command: Any = typer.main.get_command(app)
    names, rest = "", words[1:]
    while isinstance(command, TyperGroup):
        name, *rest = rest
        assert name in command.commands, f"no command {names}{name}"
        command, names = command.commands[name], f"{names}{name} "
    return names.strip(), command.make_context(name, rest).params


def settings_of(command: str, data: dict[str, Any]) -> Any:
    """Raises: ConfigError for a setting that there is not."""
    if command in ("run", "plan") and "arms" in data:
        return cells({key: value for key, value in data.items() if key != "smoke"})
    if command in ("run", "plan", "llm export", "llm import"):
        return run_settings(data)
    schemas = {
        "select": SelectSettings,
        "train": TrainRun,
        "iqs train": IqsTraining,
        "generate": EvaluateSettings,
    }
    schema = EvaluateSettings if command.startswith("eval ") else schemas.get(command)
    return parse(schema, data) if schema else None


@each_page
def test_commands_have_options_and_settings_that_exist(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # a recipe names the file of DeepSpeed's settings
    own = re.findall(r'@scorer\("(\w+)"', page.text)  # what selects with it is run below
    for words in page.commands:
        if words[0] != "tacos" or any(name in word for name in own for word in words):
            continue
        command, options = parsed(words)
        config = options.get("config")
        if config is None or not config.suffix or config.is_file():  # or the page shows it
            data = read_yaml(config) if config else {}
            data |= {"method": options["method"]} if options.get("method") else {}
            settings_of(command, override(data, options.get("overrides") or []))


@each_page
def test_yaml_that_is_shown_is_valid(page: Page) -> None:
    for text in page.blocks("yaml"):
        data = yaml.safe_load(text)
        if "matrix" in data or "robustness" in data:
            arms = {"name": "x", "baseline": "random", "budget": 5, "arms": {"random": {"method": "random"}}}
            assert len(cells(arms | data)) > 1
        elif "name" in data:
            parse(ExperimentSettings, data)
        elif "factors" in data:
            assert TypeAdapter(Factors).validate_python(data["factors"])
        elif "arms" in data:
            for arm in data["arms"].values():
                parse(ArmSettings, arm)
        else:
            parse(SelectSettings, data)


def shown_files() -> list[tuple[str, str]]:
    """Python blocks that say which file they are: (path, text)."""
    texts = (text for page in PAGES for text in page.blocks("python"))
    return [(text.splitlines()[0].removeprefix("# "), text) for text in texts]


def shown(path: str) -> str:
    """The text of the one file that is shown for this folder."""
    (text,) = [text for name, text in shown_files() if name.startswith(path)]
    return text


PARTS_SHOWN = {"tacos/scoring/": "score", "tacos/grouping/": "group", "tacos/allocation/": "allocate"}
"""Folder -> the slot of a recipe."""


def test_the_parts_that_are_shown_select_by_being_in_their_folders(tmp_path: Path) -> None:
    start = "import sys, tacos.scoring, tacos.grouping, tacos.allocation; "
    words = ["select", "builtin", "--method", "recipe", "--budget", "20", "--out", "o.jsonl"]
    for folder, slot in PARTS_SHOWN.items():
        (tmp_path / slot).mkdir()
        # by another name: the page's own may have been tried in this checkout
        text = re.sub(r'(@(?:scorer|grouper|allocator)\(\s*)"\w+"', rf'\1"shown_{slot}"', shown(folder))
        (tmp_path / slot / f"shown_{slot}.py").write_text(text)
        start += f"{folder[:-1].replace('/', '.')}.__path__.append({str(tmp_path / slot)!r}); "
        words.append(f"{slot}=shown_{slot}")
    start += "from tacos.cli import main; main()"
    small = "pool.builtin={size: 120, test_size: 0, corpus_size: 0}"
    command = [sys.executable, "-c", start, *words, small]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text().splitlines()]
    scores = [row["selection"]["score"] for row in rows]
    assert len(scores) == 20 and all(0 < score <= 1 for score in scores)
    words_of = [row["messages"][0]["content"].split()[0].lower() for row in rows]
    assert [row["selection"]["group"] for row in rows] == words_of
    largest = [score for score, word in zip(scores, words_of, strict=True) if word == words_of[0]]
    assert largest == sorted(largest, reverse=True)


def test_the_preset_that_is_shown_is_a_method() -> None:
    before = set(METHODS)
    try:
        exec(shown("tacos/methods/"), {})
        (name,) = set(METHODS) - before
        assert selection_stage(parse(SelectSettings, {"method": name})).name == "select"
    finally:
        for name in set(METHODS) - before:
            del METHODS._items[name]


def test_the_benchmark_that_is_shown_reads_answers(tmp_path: Path) -> None:
    names: dict[str, Any] = {}
    exec(shown("eval/"), names)
    write_jsonl(tmp_path / "answers.jsonl", [{"question_id": "q", "turns": ["four"]}])
    benchmark = names["BENCHMARK"]
    found = benchmark.read(Finished({benchmark.stage: tmp_path}, {}))
    assert found.values == {measure.name: {"q": 4.0} for measure in benchmark.measures}


def test_papers_of_all_methods_and_parts_are_cited() -> None:
    cited = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    papers = [method.paper for method in (METHODS.get(name) for name in METHODS)]
    papers += [registry.get(name).paper for registry in (GROUPERS, SCORERS, ALLOCATORS) for name in registry]
    numbers = {number for paper in papers for number in re.findall(r"\d{4}\.\d{4,5}", paper)}
    assert len(numbers) > 15 and {number for number in numbers if f"arXiv:{number}" not in cited} == set()
