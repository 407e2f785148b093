"""Whole runs over tasks of one's own: figures are lm-eval's, records are kept, a killed run goes on."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from eval.lm_tasks import local
from eval.lm_tasks.loading import consent
from eval.lm_tasks.measures import task_benchmark
from eval.lm_tasks.records import question_values, read_records
from eval.lm_tasks.run import run_tasks
from eval.lm_tasks.settings import LMTasksSettings
from eval.measures import Finished
from eval.summary import run_measure
from tacos.artifacts import ArtifactStore
from tacos.errors import ConfigError, TacosError
from tacos.stage import Job, Outcome, Stage, Tools
from tacos.usage import Ledger
from tests.eval.lm_tasks.own_tasks import CHOICE, GROUP, PARTS, REPLY, TEXT, write_code_task, write_tasks

pytest.importorskip("lm_eval")
ALL = (CHOICE, REPLY, TEXT, GROUP)


def settings(own: Path, *tasks: str, **more: Any) -> LMTasksSettings:
    return LMTasksSettings(tasks=tasks or ALL, include_path=(str(own),), **more)


@pytest.mark.parametrize(("kind", "chat"), [("llama", False), ("llama", True), ("gpt2", False)])
def test_figures_are_those_of_lm_evals_own_run(
    own_tasks: Path, tiny: Mapping[str, Path], tmp_path: Path, kind: str, chat: bool
) -> None:
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    from tacos.models.local import load_lm

    how = settings(own_tasks, apply_chat_template=chat)
    records = run_tasks(str(tiny[kind]), how, tmp_path, name="m", device="cpu")
    lm = load_lm(str(tiny[kind]), device="cpu")
    manager = TaskManager(include_path=str(own_tasks), include_defaults=False)
    model: Any = HFLM(pretrained=lm.model, tokenizer=lm.tokenizer, batch_size=1)
    expected = simple_evaluate(model, tasks=list(ALL), task_manager=manager, apply_chat_template=chat)
    assert expected is not None
    compared = 0
    for one in records.run.tasks:
        theirs: dict[str, Any] = dict(expected["results"][one.name])
        assert one.version == str(expected["versions"][one.name])
        for metric, figure in one.figures.items():
            name, _, filtered = metric.partition(",")
            assert figure.value == pytest.approx(theirs[f"{name},{filtered or 'none'}"], rel=1e-4), metric
            stderr = theirs[f"{name}_stderr,{filtered or 'none'}"]
            assert figure.stderr == (pytest.approx(stderr) if stderr != "N/A" else None)
            compared += 1
    assert compared == 2 + 2 + 2 + 1 + 2 * len(PARTS)
    for task in (CHOICE, REPLY):
        told = {(s["doc_hash"], s["prompt_hash"], s["filter"]) for s in expected["samples"][task]}
        assert {(s.doc_hash, s.prompt_hash, s.filter) for s in records.samples if s.task == task} == told
        said = [str(s["resps"][0][0]) for s in expected["samples"][task] if task == REPLY]
        assert [str(s.responses[0][0]) for s in records.samples if s.task == task == REPLY] == said


def test_records_hold_what_was_asked_and_said(
    own_tasks: Path, tiny: Mapping[str, Path], tmp_path: Path
) -> None:
    made = run_tasks(str(tiny["gpt2"]), settings(own_tasks), tmp_path, name="m", device="cpu")
    assert read_records(tmp_path / "samples.jsonl") == made == read_records(tmp_path)
    assert made.run.roots == ALL and made.run.model == "m" and made.run.identity.startswith("local@")
    reply, group = made.run.task(REPLY), made.run.task(GROUP)
    assert (reply.version, reply.num_fewshot, reply.filters) == ("2.0", 0, ("whole", "digits"))
    assert made.run.task(CHOICE).num_fewshot == 2
    assert (group.subtasks, group.questions, group.version) == (PARTS, 12, "3.0")
    first = next(sample for sample in made.samples if sample.task == REPLY)
    assert first.target == "1" and isinstance(first.responses[0][0], str)
    assert first.metrics == {"exact_match": float(first.filtered[0] == "1")}
    values = question_values(made.samples)
    assert set(values[REPLY]) == {"exact_match,whole", "exact_match,digits"}
    acc = values[CHOICE]["acc"]
    assert len(acc) == 12 and sum(acc.values()) / 12 == made.run.task(CHOICE).figures["acc"].value
    nats = values[TEXT]["bits_per_byte"]
    assert all(value > 0 for value in nats.values())


def test_a_killed_run_goes_on(
    own_tasks: Path, tiny: Mapping[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    how = settings(own_tasks, CHOICE, REPLY, token_budget=64, batch_size=2)
    whole = run_tasks(str(tiny["gpt2"]), how, tmp_path / "whole", name="m", device="cpu")
    real, left = local.run_batches, [5]

    def killed(*args: Any, **kwargs: Any) -> Any:
        for one in real(*args, **kwargs):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            yield one

    monkeypatch.setattr(local, "run_batches", killed)
    with pytest.raises(KeyboardInterrupt):
        run_tasks(str(tiny["gpt2"]), how, tmp_path / "killed", name="m", device="cpu")
    assert not (tmp_path / "killed" / "tasks.json").exists()
    kept = (tmp_path / "killed" / "requests.jsonl").read_text().splitlines()
    assert kept
    left[0] = 10**6
    assert run_tasks(str(tiny["gpt2"]), how, tmp_path / "killed", name="m", device="cpu") == whole
    rows = (tmp_path / "killed" / "requests.jsonl").read_text().splitlines()
    keys = [json.loads(row)["key"] for row in rows]
    assert rows[: len(kept)] == kept and len(keys) == len(set(keys))
    left[0] = 0
    more = settings(own_tasks, CHOICE, num_fewshot=2, limit=7)  # all of it is known
    again = run_tasks(str(tiny["gpt2"]), more, tmp_path / "killed", name="m", device="cpu")
    assert (again.run.task(CHOICE).questions, again.run.task(CHOICE).of) == (7, 12)


def test_a_stage_runs_tasks_and_its_folder_gives_measures(
    own_tasks: Path, tiny: Mapping[str, Path], tmp_path: Path
) -> None:
    how = settings(own_tasks, CHOICE, GROUP)

    def work(job: Job) -> Outcome:
        made = run_tasks(
            str(tiny["gpt2"]), how, job.out, "arm", device=job.tools.device, ledger=job.tools.ledger
        )
        return Outcome(rows_in=len(made.samples), rows_out=len(made.samples))

    stage, store = Stage("lm_tasks", work, settings=how.identity()), ArtifactStore(tmp_path)
    tools = Tools(Ledger(), embedder=lambda settings=None: None, llm=lambda name: None, device="cpu")  # type: ignore[arg-type, return-value]
    folder = store.run(stage, tools)
    assert store.record(stage).usage.forward_tokens > 0 and store.record(stage).usage.flops > 0
    benchmark = task_benchmark([folder])
    found = benchmark.read(Finished({benchmark.stage: folder}, {}))
    assert {measure.name for measure in benchmark.measures} == set(found.values)
    summaries = [run_measure(measure, found) for measure in benchmark.measures]
    assert all(one is not None and one.interval is not None and one.interval.n == 12 for one in summaries)


def test_settings_reach_the_prompt(own_tasks: Path, tiny: Mapping[str, Path], tmp_path: Path) -> None:
    ways: list[dict[str, Any]] = [
        {},
        {"num_fewshot": 1},
        {"apply_chat_template": True},
        {"apply_chat_template": True, "fewshot_as_multiturn": False},
        {"apply_chat_template": True, "system_instruction": "Sum up."},
    ]
    found = []
    for way in ways:
        how = settings(own_tasks, CHOICE, limit=1, **way)
        found.append(run_tasks(str(tiny["llama"]), how, tmp_path, device="cpu").samples[0])
    assert len({sample.prompt_hash for sample in found}) == len(ways)
    assert len({sample.doc_hash for sample in found}) == 1
    short = settings(own_tasks, REPLY, limit=2, gen_kwargs={"max_gen_toks": 1, "until": []})
    said = run_tasks(str(tiny["llama"]), short, tmp_path, device="cpu").samples
    assert all(len(sample.responses[0][0]) <= 9 for sample in said)


def test_a_folder_or_a_file_stands_for_its_tasks(
    own_tasks: Path, tiny: Mapping[str, Path], tmp_path: Path
) -> None:
    for given, roots in (
        (own_tasks, {CHOICE, REPLY, TEXT, GROUP}),
        (own_tasks / f"{REPLY}.yaml", {REPLY}),
        (own_tasks / f"{GROUP}.yaml", {GROUP}),
    ):
        how = LMTasksSettings(tasks=(str(given),), limit=1)
        assert set(run_tasks(str(tiny["gpt2"]), how, tmp_path, device="cpu").run.roots) == roots


def test_code_is_not_run_without_consent(
    own_tasks: Path, tmp_path: Path, tiny: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = write_code_task(tmp_path / "code")
    with pytest.raises(ConfigError, match="runs_code: the task runs the code that the model writes"):
        run_tasks(str(tiny["gpt2"]), settings(own, "runs_code"), tmp_path, device="cpu")
    with pytest.raises(ConfigError, match="humaneval: the task runs the code"):
        run_tasks(str(tiny["gpt2"]), settings(own_tasks, "humaneval"), tmp_path, device="cpu")
    agreed = settings(own, "runs_code", allow_code=True)
    assert run_tasks(str(tiny["gpt2"]), agreed, tmp_path, device="cpu").samples
    assert "HF_ALLOW_CODE_EVAL" not in os.environ
    monkeypatch.setenv("HF_ALLOW_CODE_EVAL", "0")
    with consent(True):
        assert os.environ["HF_ALLOW_CODE_EVAL"] == "1"
    assert os.environ["HF_ALLOW_CODE_EVAL"] == "0"


def test_what_cannot_be_loaded_says_why(
    own_tasks: Path, tmp_path: Path, tiny: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        TacosError, match=r"'hellaswag' cannot be loaded: .*HF_HUB_OFFLINE is set.*dataset_path: json"
    ):
        run_tasks(str(tiny["gpt2"]), settings(own_tasks, "hellaswag"), tmp_path, device="cpu")
    with pytest.raises(ConfigError, match="no folder nowhere"):
        run_tasks(str(tiny["gpt2"]), settings(Path("nowhere"), CHOICE), tmp_path, device="cpu")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ConfigError, match="holds no task of lm-eval"):
        run_tasks(str(tiny["gpt2"]), LMTasksSettings(tasks=(str(empty),)), tmp_path, device="cpu")


def test_the_seeds_of_others_are_left_alone(
    own_tasks: Path, tiny: Mapping[str, Path], tmp_path: Path
) -> None:
    random.seed(5)
    expected = random.random()
    random.seed(5)
    run_tasks(str(tiny["gpt2"]), settings(own_tasks, TEXT), tmp_path, device="cpu")
    assert random.random() == expected


def test_own_tasks_are_known_by_their_content(tmp_path: Path) -> None:
    own = write_tasks(tmp_path / "tasks")
    before = settings(own).identity()
    assert settings(own, batch_size=1).identity() == before
    moved = tmp_path / "moved"
    own.rename(moved)
    assert settings(moved).identity() == before
    with (moved / f"{CHOICE}.jsonl").open("a") as file:
        file.write("\n")
    assert settings(moved).identity() != before
    template = moved / "_default_template_yaml"  # lm-eval's own tasks include files of such names
    template.write_text("num_fewshot: 0")
    zero = settings(moved).identity()
    template.write_text("num_fewshot: 1")
    assert settings(moved).identity() != zero
    assert settings(moved, limit=3).identity() != settings(moved).identity()
    assert settings(moved, "instruct", "gsm8k").asked == (
        "ifeval",
        "mmlu",
        "gsm8k",
        "bbh",
        "truthfulqa_mc2",
        "arc_challenge",
        "hellaswag",
    )
