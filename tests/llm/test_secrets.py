"""A canary key: sent to the server, and found nowhere else, whatever the server does with it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from typer.testing import Result

from tacos.config import parse
from tacos.errors import ConfigError
from tacos.llm.build import make_backend
from tacos.llm.keys import read_key
from tacos.llm.settings import LLMSettings
from tacos.secrets import holds_key, redacted
from tests.cli.helpers import tacos
from tests.pipeline.helpers import LLM_TACOS, reply_to, write_pool

from .server import Fault, FaultServer

pytestmark = pytest.mark.usefixtures("offline")
CANARY = "sk-proj-canary7f3aQ9xK42"
QUESTIONS = [{"question_id": i, "text": f"Tell me about poetry {i}", "category": "c"} for i in range(6)]


def answer(content: str) -> str:
    if "<answer_1>" in content:
        return '{"feedback": "ok", "score_1": 7, "score_2": 3}'
    return reply_to(content) if "<prompt" in content else "yes"


def echo_now_and_then(content: str, times: int) -> Fault:
    """A row here and there is refused with the key in the error."""
    return Fault.UNAUTHORISED if "number 7\n" in content or "poetry 3" in content else Fault.OK


def echo_always(content: str, times: int) -> Fault:
    return Fault.UNAUTHORISED


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    write_pool(folder / "pool.jsonl")
    (folder / "questions.jsonl").write_text("\n".join(map(json.dumps, QUESTIONS)))
    for name in ("a", "b"):
        rows = [{"question_id": q["question_id"], "output": f"{name} says"} for q in QUESTIONS]
        (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))


@pytest.fixture(params=["environment", "file"])
def key(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The settings that lead to the canary."""
    if request.param == "environment":
        monkeypatch.setenv("CANARY_KEY", CANARY)
        return {"api_key_env": "CANARY_KEY"}
    path = tmp_path / "key"  # outside of the folder that is searched
    path.write_text(f"{CANARY}\n")
    return {"api_key_file": str(path)}


def config(server: FaultServer, key: dict[str, str]) -> str:
    llm = {"model": "m", "endpoint": server.endpoint, "max_failed_share": 0.5, **key}
    chosen: dict[str, Any] = {
        "llms": {name: llm for name in ("tagger", "scorer", "judge")},
        "pool": {"source": "pool.jsonl"},
        "budget": 5,
        **LLM_TACOS,
    }
    Path("select.yaml").write_text(yaml.safe_dump(chosen))
    Path("eval.yaml").write_text(yaml.safe_dump({"llms": {"judge": llm}}))
    return "select.yaml"


def texts_on_disk(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file, and what compression may hide in tables."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield path, path.read_bytes()
            if path.suffix == ".parquet":
                yield path, str(pq.read_table(path).to_pydict()).encode()


def check(results: list[Result], logs: pytest.LogCaptureFixture) -> None:
    found = [str(path) for path, text in texts_on_disk(Path()) if CANARY.encode() in text]
    assert not found
    for result in results:
        assert (
            CANARY not in result.output
            and CANARY not in result.stderr
            and CANARY not in repr(result.exception)
        )
    assert CANARY not in logs.text


def select_and_evaluate() -> list[Result]:
    return [
        tacos("select", "pool.jsonl", "--config", "select.yaml", "--out", "selected.jsonl", "--json"),
        tacos(
            "eval",
            "pairwise",
            "--answers",
            "a.jsonl",
            "b.jsonl",
            "--set",
            "own",
            "--questions",
            "questions.jsonl",
            "--config",
            "eval.yaml",
            "--out",
            str(Path("judged").absolute()),
            "--allow-incomplete",
            "--json",
        ),
        tacos("plan", "select.yaml", "--json"),
        tacos("doctor", "--config", "select.yaml"),
        tacos("llm", "export", "select.yaml", "--out", "batch", "artifacts=others"),
    ]


def test_a_selection_and_an_evaluation_leave_no_key(
    key: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with FaultServer(echo_now_and_then, answer=answer) as server:
        config(server, key)
        results = select_and_evaluate()
        assert all(result.exit_code == 0 for result in results), [result.stderr for result in results]
        assert all(headers.get("Authorization") == f"Bearer {CANARY}" for headers in server.headers)
    errors = [
        row for row in pq.read_table(next(Path().rglob("tag/*/tags.parquet")))["error"].to_pylist() if row
    ]
    assert len(errors) == 1 and "bad key: Bearer [key]" in errors[0]
    assert list(Path("judged").rglob("*.wandb")) and Path("batch/tagger-00001.jsonl").exists()
    check(results, caplog)


def test_a_server_that_only_echoes_the_key(key: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with FaultServer(echo_always) as server:
        config(server, key)
        bench = ("llm", "bench", "--endpoint", server.endpoint, "--model", "m", "--seconds", "0.1")
        option = {"api_key_env": "--api-key-env", "api_key_file": "--api-key-file"}
        words = [word for name, value in key.items() for word in (option[name], value)]
        results = [*select_and_evaluate()[:4], tacos(*bench, *words)]
    assert [result.exit_code for result in results] == [1, 1, 0, 1, 1]
    assert all("[key]" in results[i].output + results[i].stderr for i in (0, 3, 4))
    check(results, caplog)


def test_a_server_that_echoes_the_key_in_its_replies(
    key: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with FaultServer(
        answer=lambda content: answer(content).replace("ok", CANARY).replace("asks", CANARY)
    ) as server:
        config(server, key)
        check(select_and_evaluate(), caplog)


def test_an_audit_a_rewriting_and_a_page_leave_no_key(
    key: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """A server repeats the key in what it says, now and then as an error; all of it is kept, shown or drawn."""
    caplog.set_level(logging.DEBUG)
    with FaultServer(
        echo_now_and_then, answer=lambda content: answer(content).replace("ok", CANARY)
    ) as server:
        config(server, key)
        select = (
            "select",
            "pool.jsonl",
            "--config",
            "select.yaml",
            "--out",
            "refined.jsonl",
            "refine={llm: scorer}",
        )
        audit = (
            "audit",
            "pool.jsonl",
            "--scorer",
            "rating",
            "--rows",
            "20",
            "--config",
            "select.yaml",
            "score.llm=scorer",
        )
        results = [tacos(*select, "--json"), tacos(*audit, "--out", "audited", "--json")]
        run = json.loads(results[0].stdout)["run_dir"]
        results += [tacos("view", run, "--bundle", "page", "--json"), tacos("show", run, "1", "--json")]
    assert [result.exit_code for result in results[:3]] == [0, 0, 0], [result.output for result in results]
    assert any(b"[key]" in path.read_bytes() for path in Path("page").rglob("*.js"))
    check(results, caplog)


def test_a_key_in_the_wrong_place_is_refused_and_not_repeated() -> None:
    for wrong in (
        {"api_key_env": CANARY},
        {"endpoint": f"https://me:{CANARY}@host/v1"},
        {"endpoint": ["http://a/v1", f"http://b/v1?key={CANARY}"]},
        {"api_key": CANARY},
    ):
        with pytest.raises(ConfigError) as caught:
            parse(LLMSettings, {"model": "m", **wrong}, "llms.judge")
        assert CANARY not in str(caught.value)


def test_where_a_key_comes_from(tmp_path: Path) -> None:
    path = tmp_path / "key"
    in_file = LLMSettings(model="m", api_key_file=str(path))
    path.write_text(f"  {CANARY}\n\n")
    assert read_key(in_file, {"OPENAI_API_KEY": "other"}) == CANARY
    assert read_key(LLMSettings(model="m"), {"OPENAI_API_KEY": f" {CANARY} "}) == CANARY
    assert read_key(LLMSettings(model="m"), {"OPENAI_API_KEY": "  "}) is None
    assert read_key(LLMSettings(model="m"), {}) is None


@pytest.mark.parametrize(
    "content", ["", " \n", f"KEY={CANARY} # mine", f"{CANARY}\nsecond", f"{CANARY}\u00e9"]
)
def test_a_file_that_holds_no_key(tmp_path: Path, content: str) -> None:
    path = tmp_path / "key"
    path.write_text(content)
    with pytest.raises(ConfigError) as caught:
        read_key(LLMSettings(model="m", api_key_file=str(path)), {})
    assert CANARY not in str(caught.value) and str(path) in str(caught.value)


def test_no_key_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_key(LLMSettings(model="m", api_key_file=str(tmp_path / "none")), {})
    assert LLMSettings(model="m", api_key_file="k").identity() == LLMSettings(model="m").identity()


@pytest.mark.parametrize(
    "text",
    [
        "pplx-70b-online",
        "xai-grok-2-latest",
        "/models/sk-alpaca-52k",
        "sk_wiki_2024_03.jsonl",
        "the bearer certificates",
        "hf-internal-testing/tiny-random-llama",
        "deepseek-ai/DeepSeek-R1-0528",
        "task-2024-tagging-of-prompts",
    ],
)
def test_names_are_no_keys(text: str) -> None:
    assert not holds_key(text) and redacted(text) == text


PLAIN = "plainsecret4711"
"""A secret that nothing tells for one but its place."""


@pytest.mark.parametrize("name", sorted(LLMSettings.model_fields))
@pytest.mark.parametrize("shape", ["text", "list", "mapping", "named", "url", "path"])
def test_no_setting_takes_a_key_and_no_message_repeats_one(name: str, shape: str) -> None:
    key = {
        "text": CANARY,
        "list": [CANARY],
        "mapping": {"a": CANARY},
        "named": {CANARY: "a"},
        "url": f"https://host/v1/{CANARY}",
        "path": f"/home/ann/{CANARY}",
    }[shape]
    with pytest.raises(ConfigError) as caught:
        parse(LLMSettings, {"model": "m", name: key}, "llms.judge")
    assert CANARY not in str(caught.value) and CANARY not in str(caught.value.__cause__)


@pytest.mark.parametrize(
    "wrong",
    [
        {"api_key_env": {"key": PLAIN}},
        {"api_key_env": [PLAIN]},
        {"api_key_file": [PLAIN]},
        {"api_key_env": f"{PLAIN}!"},
        {"endpoint": f"{PLAIN}@host/v1"},
        {"endpoint": f"me:{PLAIN}@host:8000/v1"},
        {"endpoint": f"https://host/v1#{PLAIN}"},
        {"endpoint": [f"https://me:{PLAIN}@host/v1"]},
        {"endpoint": {"url": PLAIN}},
        {"headers": [PLAIN]},
        {"headers": {"x-api-key": PLAIN}},
        {"query": PLAIN},
        {"extra_body": PLAIN},
        {"api_key": PLAIN},
    ],
)
@pytest.mark.parametrize("command", ["run", "plan", "export", "select", "eval", "generate", "doctor"])
def test_a_secret_in_the_wrong_place_is_in_no_output_and_no_file(
    wrong: dict[str, Any], command: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    chosen = {"llms": {"judge": {"model": "m", **wrong}}, "pool": {"source": "pool.jsonl"}}
    if command in ("run", "plan", "export"):
        chosen |= {"name": "x", "budget": 3, "baseline": "r", "arms": {"r": {"method": "random"}}}
    folder = Path("configs")
    folder.mkdir()
    (folder / "x.yaml").write_text(yaml.safe_dump(chosen))
    words = {
        "run": ["run", "configs/x.yaml"],
        "plan": ["plan", "configs/x.yaml"],
        "export": ["llm", "export", "configs/x.yaml", "--out", "batch"],
        "generate": [
            "generate",
            "--model",
            "judge",
            "--questions",
            "q.jsonl",
            "--out",
            "o.jsonl",
            "--config",
            "configs/x.yaml",
        ],
        "doctor": ["doctor", "--config", "configs/x.yaml"],
        "select": ["select", "pool.jsonl", "--config", "configs/x.yaml"],
        "eval": ["eval", "judge-check", "--pairs", "p.jsonl", "--config", "configs/x.yaml"],
    }[command]
    Path("p.jsonl").write_text('{"instruction": "a", "output_1": "b", "output_2": "c", "label": 1}\n')
    result = tacos(*words)
    assert result.exit_code == 2 and "llms.judge" in result.stderr
    assert PLAIN not in result.output and PLAIN not in caplog.text
    shared = [path for path, text in texts_on_disk(Path()) if PLAIN.encode() in text]
    assert shared == [folder / "x.yaml"]


def test_an_unset_variable_is_told_before_calls_go_abroad(caplog: pytest.LogCaptureFixture) -> None:
    make_backend(LLMSettings(model="m", endpoint="https://api.openai.com/v1", api_key_env="NOT_SET_HERE"))
    assert "NOT_SET_HERE is not set, so calls to api.openai.com go out without a key" in caplog.text
    caplog.clear()
    for here in ("http://127.0.0.1:8000/v1", "http://localhost/v1", "http://gpu-3:8000/v1"):
        make_backend(LLMSettings(model="m", endpoint=here, api_key_env="NOT_SET_HERE"))
    assert caplog.text == ""


def test_what_looks_like_a_key_is_taken_out_of_logs(capsys: pytest.CaptureFixture[str]) -> None:
    from tacos.cli.console import NoKeys

    handler = logging.StreamHandler()
    handler.addFilter(NoKeys())
    logger = logging.getLogger("tests.keys")
    logger.addHandler(handler)
    logger.warning("said %s to %s", CANARY, "host")
    logger.removeHandler(handler)
    assert capsys.readouterr().err == "said [key] to host\n"
