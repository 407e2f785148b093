"""Batch files: what is written, what comes back in whatever state, and a run that then asks nothing."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tacos.errors import ConfigError, SpendCapError, TacosError
from tacos.llm.backends.openai import OpenAIBackend
from tacos.llm.base import Completion
from tacos.llm.batch_files import BatchWriter, Import, Sent
from tacos.llm.cache import ReplyCache
from tacos.llm.request_key import request_key
from tacos.llm.settings import LLMSettings
from tacos.pipeline.batch import Export, Imported, export, import_results
from tacos.pipeline.select import select
from tacos.pipeline.settings import ExperimentSettings, SelectSettings
from tests.pipeline.helpers import LLM_TACOS, reply_to, write_pool

from .helpers import ask
from .server import FaultServer, dead_port

MODEL = LLMSettings(model="m")


def key(number: int) -> bytes:
    return request_key("m", ask(f"question {number}"))


def written(folder: Path, count: int, **limits: int) -> list[Path]:
    with BatchWriter(folder, "tagger", set(), **limits) as writer:
        for number in range(count):
            writer.add(key(number), OpenAIBackend(MODEL).body(ask(f"question {number}")))
    return writer.files


def answered(number: int, text: str = "", **changes: Any) -> dict[str, Any]:
    """A result row as OpenAI writes it."""
    message = {"role": "assistant", "content": text or f"answer {number}"}
    body = {"choices": [{"message": message}], "usage": {"prompt_tokens": 10, "completion_tokens": 5}}
    response = {"status_code": 200, "request_id": "r", "body": body}
    return {"id": "b", "custom_id": key(number).hex(), "response": response, "error": None, **changes}


def rows(path: Path, *lines: dict[str, Any] | str) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in lines))
    return path


def test_a_request_row_is_the_call_and_the_name_of_its_reply(tmp_path: Path) -> None:
    (path,) = written(tmp_path, 2)
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert first["custom_id"] == key(0).hex() and len(first["custom_id"]) == 64  # OpenAI's limit
    assert (first["method"], first["url"]) == ("POST", "/v1/chat/completions")
    assert second["body"] == {
        "model": "m",
        "messages": [{"role": "user", "content": "question 1"}],
        "temperature": 0.0,
        "top_p": 1.0,
        "max_tokens": 1024,
    }


def test_files_are_split_by_rows_and_by_bytes_and_lose_nothing(tmp_path: Path) -> None:
    by_rows = written(tmp_path / "a", 10, max_requests=4)
    assert [len(path.read_text().splitlines()) for path in by_rows] == [4, 4, 2]
    by_bytes = written(tmp_path / "b", 10, max_bytes=1000)
    assert len(by_bytes) > 1 and all(path.stat().st_size <= 1000 for path in by_bytes)
    assert len(Sent(by_rows)) == len(Sent(by_bytes)) == 10
    assert not list(tmp_path.rglob("*.partial"))


def test_equal_requests_are_written_once(tmp_path: Path) -> None:
    seen: set[bytes] = set()
    for name in ("tagger", "other"):
        with BatchWriter(tmp_path, name, seen) as writer:
            writer.add(key(1), b"{}")
    assert writer.requests == 0 and [path.name for path in tmp_path.iterdir()] == ["tagger-00001.jsonl"]


def test_results_in_every_state(tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path / "c.sqlite")
    cache.put(key(6), Completion(text="of an earlier run", prompt_tokens=1, completion_tokens=1))
    work = Import(Sent(written(tmp_path / "out", 9, max_requests=5)), cache)
    no_usage = answered(7)
    del no_usage["response"]["body"]["usage"]
    work.read(
        rows(
            tmp_path / "results.jsonl",
            answered(3),
            answered(0),
            answered(3, "again"),
            answered(6),
            no_usage,
            answered(1, response={"status_code": 400, "body": {"error": {"message": "too long"}}}),
            answered(2, response=None, error={"code": "batch_expired", "message": "out of time"}),
            answered(4, response={"status_code": 200, "body": {"choices": []}}),
            answered(99),
            {"no": "id"},
            {"custom_id": 7},
            {"custom_id": "xyz"},
            json.dumps(answered(5))[:60],
        )
    )
    assert dict(work.rows) == {
        "imported": 3,
        "duplicate": 1,
        "known": 1,
        "failed": 3,
        "unknown": 4,
        "unreadable": 1,
    }
    assert set(work.failed) == {"HTTP 400: too long", "out of time", "the reply holds no choices: choices=[]"}
    assert work.missing() == 5
    assert cache.get([key(3)])[key(3)].text == "answer 3"
    assert cache.get([key(6)])[key(6)].text == "of an earlier run"
    estimated = cache.get([key(7)])[key(7)]
    assert (estimated.text, estimated.prompt_tokens > 0, estimated.completion_tokens > 0) == (
        "answer 7",
        True,
        True,
    )
    assert sum(prompt for prompt, _ in work.tokens.values()) == 20 + estimated.prompt_tokens


def test_log_probabilities_come_back(tmp_path: Path) -> None:
    request = ask("which?", top_logprobs=5)
    name = request_key("m", request)
    with BatchWriter(tmp_path, "judge", set()) as writer:
        writer.add(name, OpenAIBackend(MODEL).body(request))
    row = answered(0, "A", custom_id=name.hex())
    alternatives = [{"token": "A", "logprob": -0.1}, {"token": "B", "logprob": -2.5}]
    row["response"]["body"]["choices"][0]["logprobs"] = {
        "content": [{"token": "A", "top_logprobs": alternatives}]
    }
    cache = ReplyCache(tmp_path / "c.sqlite")
    Import(Sent(writer.files), cache).read(rows(tmp_path / "r.jsonl", row))
    assert cache.get([name])[name].logprobs == {"A": -0.1, "B": -2.5}


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_any_order_cut_anywhere_and_again_loses_and_doubles_nothing(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder, count = tmp_path_factory.mktemp("batch"), 12
    sent = Sent(written(folder, count, max_requests=5))
    cache = ReplyCache(folder / "c.sqlite")
    order = data.draw(st.permutations(range(count)))
    whole = rows(folder / "whole.jsonl", *(answered(number) for number in order))
    cut = folder / "cut.jsonl"
    cut.write_bytes(whole.read_bytes()[: data.draw(st.integers(0, whole.stat().st_size))])
    first, second = Import(sent, cache), Import(sent, cache)
    first.read(cut)
    assert first.rows["imported"] + first.missing() == count
    second.read(whole)
    assert second.rows["known"] == first.rows["imported"]
    assert (second.rows["imported"], second.missing()) == (count - first.rows["imported"], 0)
    replies = cache.get(key(number) for number in range(count))
    assert {reply.text for reply in replies.values()} == {f"answer {number}" for number in range(count)}


def test_what_is_no_batch_file(tmp_path: Path) -> None:
    with pytest.raises(TacosError, match="export again"):
        Sent([rows(tmp_path / "x.jsonl", {"a": 1})])
    with pytest.raises(TacosError, match="check its path"):
        Sent([tmp_path / "absent.jsonl"])


# A whole selection, paid by batch files.


@pytest.fixture
def chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SelectSettings]:
    """A selection whose LLMs have an endpoint where nobody is."""
    monkeypatch.chdir(tmp_path)
    write_pool(tmp_path / "pool.jsonl")
    yield selection(f"http://127.0.0.1:{dead_port()}/v1")


def selection(endpoint: str, **changes: Any) -> SelectSettings:
    prices = {"price_per_million_input": 1.0, "price_per_million_output": 2.0, "batch_discount": 0.5}
    llm = {"model": "m", "endpoint": endpoint, "outage_s": 0, "api_key_env": "UNSET_KEY", **prices, **changes}
    return SelectSettings.model_validate(
        {
            "llms": {"tagger": llm, "scorer": llm},
            "pool": {"source": "pool.jsonl"},
            "budget": 5,
            **LLM_TACOS,
        }
    )


def batch_server(made: Export, folder: Path, answer: Callable[[str], str] = reply_to) -> Path:
    """The results of an export, in any order."""
    lines = []
    for file in made.files:
        for line in (folder / file.file).read_text().splitlines():
            row = json.loads(line)
            text = answer(row["body"]["messages"][-1]["content"])
            lines.append(answered(0, text, custom_id=row["custom_id"]))
    random.Random(0).shuffle(lines)
    return rows(folder / "results" / "r.jsonl", *lines)


def a_round(
    chosen: SelectSettings, name: str, answer: Callable[[str], str] = reply_to
) -> tuple[Export, Imported]:
    folder = Path(name)
    (folder / "results").mkdir(parents=True)
    made = export(chosen, folder)
    return made, import_results(chosen, folder, [batch_server(made, folder, answer).parent])


def test_a_selection_by_batch_files_asks_nobody_and_is_the_same(chosen: SelectSettings) -> None:
    tags, tagged = a_round(chosen, "one")
    assert (tags.stages, tags.waiting, tags.requests) == (("tag",), ("compare",), 24)
    assert [file.file for file in tags.files] == ["tagger-00001.jsonl"]
    assert tags.batch_usd == pytest.approx(tags.estimate.cost_usd / 2)
    assert (tagged.imported, tagged.missing, tagged.prompt_tokens) == (24, 0, 240)
    assert tagged.cost_usd == pytest.approx((240 + 2 * 120) / 1e6 / 2)
    pairs, scored = a_round(chosen, "two")
    assert (pairs.stages, pairs.waiting, pairs.requests, scored.imported) == (("compare",), (), 12, 12)
    assert export(chosen, Path("three")) == Export(
        files=(), requests=0, stages=(), waiting=(), estimate=tags.estimate - tags.estimate, batch_usd=0.0
    )
    select(chosen, Path("batch.jsonl"))
    with FaultServer(answer=reply_to) as server:
        live = selection(server.endpoint).model_copy(update={"artifacts": "others"})
        select(live, Path("live.jsonl"))
        assert server.hits == 36
    assert Path("batch.jsonl").read_text() == Path("live.jsonl").read_text()


def test_an_unreadable_reply_is_in_the_next_export(chosen: SelectSettings) -> None:
    def forgetful(content: str) -> str:
        return "no idea" if "number 7\n" in content else reply_to(content)

    a_round(chosen, "one", forgetful)
    made, _ = a_round(chosen, "two")
    assert (made.stages, made.requests) == (("tag",), 1)
    assert export(chosen, Path("three")).stages == ("compare",)


def test_only_one_stage(chosen: SelectSettings) -> None:
    assert export(chosen, Path("a"), only="compare").waiting == ("tag", "compare")
    with pytest.raises(ConfigError, match="did you mean 'tag'"):
        export(chosen, Path("a"), only="tags")


def test_a_folder_is_used_once(chosen: SelectSettings) -> None:
    export(chosen, Path("a"))
    with pytest.raises(ConfigError, match="earlier export"):
        export(chosen, Path("a"))
    with pytest.raises(TacosError, match="no finished export"):
        import_results(chosen, Path("b"), [Path("a")])


def test_caps_hold_before_anything_is_written(chosen: SelectSettings) -> None:
    capped = selection("http://127.0.0.1:9/v1", max_tokens_total=100)
    with pytest.raises(SpendCapError, match="nothing was exported"):
        export(capped, Path("a"))
    assert not Path("a").exists()


def test_a_model_in_this_process_takes_no_batch_files(chosen: SelectSettings) -> None:
    local = {"backend": "transformers", "model": "m"}
    with pytest.raises(ConfigError, match="backend: openai"):
        export(
            SelectSettings.model_validate(
                {
                    "llms": {"tagger": local, "scorer": local},
                    "pool": {"source": "pool.jsonl"},
                    **LLM_TACOS,
                }
            ),
            Path("a"),
        )


def test_of_an_experiment_nothing_is_trained_for_an_export(chosen: SelectSettings) -> None:
    llm = chosen.llms["tagger"].model_dump()
    whole = ExperimentSettings.model_validate(
        {
            "name": "x",
            "budget": 5,
            "baseline": "random",
            "controls": [],
            "llms": {"tagger": llm, "scorer": llm, "judge": llm},
            "pool": {"source": "pool.jsonl", "holdout": 4},
            "arms": {"random": {"method": "random"}, "tacos": {"method": "tacos", **LLM_TACOS}},
            "eval": {"judge": {"by": "llm"}},
        }
    )
    made = export(whole, Path("a"))
    assert (made.stages, made.waiting, made.requests) == (("tag",), ("compare", "judge"), 20)
    done = {path.name for path in Path("artifacts").iterdir() if path.is_dir()}
    assert done == {"load", "select", "tag", "embed"}  # vectors are what a prior reads
