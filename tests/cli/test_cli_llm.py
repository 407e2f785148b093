"""`tacos llm ...` and what `tacos plan` says of prices: what is printed, and how it exits."""

from __future__ import annotations

import json
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest
import yaml

from tacos.cli.console import dollars
from tests.cli.helpers import last_json, tacos
from tests.llm.server import FaultServer, dead_port
from tests.pipeline.helpers import LLM_TACOS, reply_to, write_pool

PRICES = {"price_per_million_input": 1000.0, "price_per_million_output": 2000.0, "batch_discount": 0.5}


@pytest.fixture(autouse=True)
def in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_pool(tmp_path / "pool.jsonl")


def write_config(**llm: Any) -> str:
    endpoint = f"http://127.0.0.1:{dead_port()}/v1"
    one = {"model": "m", "endpoint": endpoint, "api_key_env": "UNSET_KEY", **llm}
    chosen = {
        "llms": {"tagger": one, "scorer": one},
        "pool": {"source": "pool.jsonl"},
        "budget": 5,
        **LLM_TACOS,
    }
    Path("s.yaml").write_text(yaml.safe_dump(chosen))
    return "s.yaml"


def test_a_plan_tells_money_half_of_it_by_batch_files() -> None:
    planned = last_json(tacos("plan", write_config(**PRICES), "--json"))["stages"]
    (tag,) = (stage for stage in planned if stage["stage"] == "tag")
    assert tag["estimate"]["calls"] == 24 and tag["estimate"]["cost_usd"] > 0
    assert tag["batch_usd"] == pytest.approx(tag["estimate"]["cost_usd"] / 2)
    shown = tacos("plan", "s.yaml").stdout
    cost, batch = dollars(tag["estimate"]["cost_usd"]), dollars(tag["batch_usd"])
    assert f"24 calls, {cost} ({batch} as batch files)" in shown and not batch.endswith("$0.00")


def test_a_plan_says_when_a_price_is_unknown() -> None:
    shown = tacos("plan", write_config()).stdout
    assert "24 calls, price unknown" in shown
    assert shown.rstrip().endswith("price unknown")


@pytest.mark.parametrize(
    ("caps", "said"),
    [
        ({"max_cost_usd": 1e-6, **PRICES}, "max_cost_usd is 1e-06"),
        ({"max_cost_usd": 1}, "max_cost_usd of 'm' needs price_per_million_input"),
        ({"max_tokens_total": 10}, "max_tokens_total is 10"),
        ({"max_cost_usd": 1000, **PRICES}, None),
    ],
)
def test_a_plan_says_where_a_cap_would_stop_the_run(caps: dict[str, Any], said: str | None) -> None:
    shown = tacos("plan", write_config(**caps)).stdout
    (*_, last) = shown.splitlines()
    if said is None:
        assert "a run stops here" not in shown
    else:
        assert "tag: a run stops here: " in shown and said in last


def test_a_plan_counts_what_is_on_the_bill_as_the_run_does() -> None:
    """A selection, and then one that compares more often: new calls on the same bill."""
    with FaultServer(answer=reply_to) as server:
        server.usage = {"prompt_tokens": 400, "completion_tokens": 40}
        config = write_config(endpoint=server.endpoint, **PRICES)
        words = ("select", "pool.jsonl", "--config", config, "llms.scorer.max_cost_usd=")
        first = tacos(*words[:-1], words[-1] + "1000")
        assert first.exit_code == 0, first.stderr
        planned = last_json(
            tacos("plan", config, "llms.scorer.max_cost_usd=1000", "score.design.rounds=3", "--json")
        )
        (compare,) = [stage for stage in planned["stages"] if stage["stage"] == "compare"]
        coming, spent = compare["estimate"]["cost_usd"], compare["on_bill"]["spent_usd"]
        assert compare["on_bill"]["bill"] == "tacos/scorer" and spent > 0 and coming > 0
        cap = f"{words[-1]}{max(spent, coming) * 1.05:.6f}"  # above either, and below both
        shown = tacos("plan", config, cap, "score.design.rounds=3").stdout
        assert f"already on the bill tacos/scorer: {dollars(spent)} of max_cost_usd=" in shown
        assert "compare: a run stops here: the bill of 'm' comes to about $" in shown
        stopped = tacos(*words[:-1], cap, "score.design.rounds=3")
        assert stopped.exit_code == 1 and "the spend cap is reached" in stopped.stderr


def test_a_stage_whose_replies_are_all_known_is_stopped_by_no_cap() -> None:
    with FaultServer(answer=reply_to) as server:
        words = ("select", "pool.jsonl", "--config", write_config(endpoint=server.endpoint, **PRICES))
        assert tacos(*words).exit_code == 0
        rmtree("artifacts/tag")
        caps = [f"llms.{name}.max_cost_usd=0.000001" for name in ("tagger", "scorer")]
        shown = tacos("plan", "s.yaml", *caps).stdout
        assert "24 in the cache" in shown and "a run stops here" not in shown
        assert tacos(*words, *caps).exit_code == 0


def test_export_then_import_then_a_plan_that_counts_them() -> None:
    config = write_config(**PRICES)
    made = last_json(tacos("llm", "export", config, "--out", "batch", "--json"))
    assert (made["requests"], made["stages"], made["waiting"]) == (24, ["tag"], ["compare"])
    lines = []
    for line in Path("batch/tagger-00001.jsonl").read_text().splitlines()[:20]:
        row = json.loads(line)
        message = {"role": "assistant", "content": reply_to(row["body"]["messages"][0]["content"])}
        body = {"choices": [{"message": message}], "usage": {"prompt_tokens": 300, "completion_tokens": 50}}
        lines.append(
            {"custom_id": row["custom_id"], "response": {"status_code": 200, "body": body}, "error": None}
        )
    Path("r.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"custom_id"')
    words = ("llm", "import", config, "--exported", "batch", "--results", "r.jsonl")
    done = last_json(tacos(*words, "--json"))
    assert (done["imported"], done["unreadable"], done["missing"]) == (20, 1, 4)
    assert done["cost_usd"] == pytest.approx(20 * (300 * 1000 + 50 * 2000) / 1e6 / 2)
    assert tacos(*words).stdout.startswith(
        "0 imported, 20 there before, 1 unreadable; 4 calls without a reply"
    )
    tag = next(s for s in last_json(tacos("plan", config, "--json"))["stages"] if s["stage"] == "tag")
    assert (tag["estimate"]["calls"], tag["estimate"]["cached_calls"]) == (4, 20)
    assert tag["estimate"]["completion_tokens"] == 4 * 50
    assert (
        "4 calls of tag in 1 file -> more; compare: when"
        in tacos("llm", "export", config, "--out", "more").stdout
    )


def test_prices_are_shown_with_their_date() -> None:
    (table,) = last_json(tacos("llm", "prices", "--json"))["tables"]
    assert table["models"]["gpt-4o-mini"]["output"] == 0.6 and table["date"]
    assert table["date"] in tacos("llm", "prices").stdout


def test_bench_recommends_a_concurrency() -> None:
    with FaultServer() as server:
        words = ("llm", "bench", "--endpoint", server.endpoint, "--model", "m", "--seconds", "0.1")
        measured = last_json(tacos(*words, "--max-concurrency", "4", "--json"))
        assert "recommended: concurrency: " in tacos(*words, "--max-concurrency", "2").stdout
        assert all("tags" not in body.get("response_format", {}) for body in server.bodies)
    assert measured["concurrency"] in [level["concurrency"] for level in measured["levels"]]


def test_the_doctor_asks_the_models_of_a_config() -> None:
    with FaultServer() as server:
        result = tacos("doctor", "--config", write_config(endpoint=server.endpoint))
        assert f"ok   llms.tagger: m at {server.endpoint} lists no models, answered a call" in result.stdout
    dead = tacos("doctor", "--config", "s.yaml", "--json")
    assert dead.exit_code == 1
    checks = {check["name"]: check for check in json.loads(dead.stdout.splitlines()[-1])["checks"]}
    assert not checks["llms.scorer"]["ok"] and "cannot be reached" in checks["llms.scorer"]["detail"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["llm", "export", "none.yaml"], 2, "no config file none.yaml"),
        (["llm", "export", "s.yaml", "--stage", "tags"], 2, "did you mean 'tag'?"),
        (["llm", "export", "s.yaml", "llms=null"], 2, "llms"),
        (["llm", "export", "empty.yaml"], 2, "configures no LLM"),
        (["llm", "import", "s.yaml", "--results", "r.jsonl", "--exported", "none"], 1, "no finished export"),
        (["llm", "bench", "--endpoint", "localhost", "--model", "m"], 2, "http://"),
        (["llm", "bench", "--endpoint", "http://127.0.0.1:9/v1", "--model", "m"], 1, "answered nothing"),
        (["llm", "prices", "--prices", "none.yaml"], 2, "none.yaml"),
    ],
)
def test_errors_are_one_line_and_a_code(words: list[str], code: int, message: str) -> None:
    write_config()
    Path("empty.yaml").write_text("pool: {source: pool.jsonl}\n")
    result = tacos(*words)
    assert result.exit_code == code, result.output
    line = next(line for line in result.stderr.splitlines() if line.startswith("tacos: "))
    assert message in line


def test_a_selection_counts_answers_that_cannot_be_read_and_asks_again_when_told_to() -> None:
    def answer(text: str) -> str:
        return "Both are fine." if "number 20" in text and "<response_1>" in text else reply_to(text)

    with FaultServer() as server:
        words = ("select", "pool.jsonl", "--config", write_config(endpoint=server.endpoint))
        server.answer = answer
        assert (
            "answers missing, or not readable: 1; --retry-failed asks for them again" in tacos(*words).stdout
        )
        server.answer, calls = reply_to, server.hits
        assert last_json(tacos(*words, "--json"))["unanswered"] == 1 and server.hits == calls
        assert last_json(tacos(*words, "--retry-failed", "--json"))["unanswered"] == 0
        assert server.hits == calls + 1
