"""What a server is sent: any endpoint can be reached by settings, and no key stands in one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from tacos.config import parse
from tacos.errors import ConfigError
from tacos.llm.backends.outgoing import call_headers, call_url, request_body
from tacos.llm.base import Request, Sampling
from tacos.llm.client import complete
from tacos.llm.request_key import request_key
from tacos.llm.settings import LLMSettings
from tacos.types import Message

from .helpers import ask, client
from .server import FaultServer, reply


def body(request: Request | None = None, **settings: Any) -> dict[str, Any]:
    chosen = LLMSettings(model="m", **settings)
    sent: dict[str, Any] = orjson.loads(
        request_body(chosen, request or ask("q", sampling=Sampling(max_tokens=7)))
    )
    return sent


@pytest.mark.parametrize(
    ("settings", "parameters"),
    [
        ({}, {"temperature": 0.0, "top_p": 1.0, "max_tokens": 7}),
        ({"preset": "reasoning"}, {"max_completion_tokens": 7}),
        ({"preset": "reasoning", "max_completion_tokens": 900}, {"max_completion_tokens": 900}),
        ({"max_completion_tokens": 900}, {"temperature": 0.0, "top_p": 1.0, "max_completion_tokens": 900}),
        (
            {"preset": "reasoning", "extra_body": {"reasoning_effort": "low"}},
            {"max_completion_tokens": 7, "reasoning_effort": "low"},
        ),
        ({"extra_body": {"top_p": None, "temperature": 1, "max_tokens": None}}, {"temperature": 1}),
    ],
)
def test_parameters_by_the_settings(settings: dict[str, Any], parameters: dict[str, Any]) -> None:
    assert body(**settings) == {"model": "m", "messages": [{"role": "user", "content": "q"}], **parameters}


def test_null_leaves_a_parameter_to_the_server() -> None:
    request = ask("q", sampling=Sampling(temperature=None, top_p=None, max_tokens=7))
    assert set(body(request)) == {"model", "messages", "max_tokens"}
    assert request.sampling.drawn == (1.0, 1.0)


def turns(*said: tuple[str, str], **settings: Any) -> list[tuple[str, str]]:
    messages = tuple(Message.model_validate({"role": role, "content": content}) for role, content in said)
    return [(m["role"], m["content"]) for m in body(Request(messages=messages), **settings)["messages"]]


def test_system_text_is_folded_into_the_first_user_turn() -> None:
    talk = (("system", "Be brief."), ("user", "One?"), ("assistant", "1"), ("user", "Two?"))
    assert turns(*talk) == list(talk)
    assert turns(*talk, fold_system=True) == [("user", "Be brief.\n\nOne?"), *talk[2:]]
    assert turns(("system", "Be brief."), fold_system=True) == [("user", "Be brief.")]
    assert turns(("user", "One?"), fold_system=True) == [("user", "One?")]


def test_half_a_character_goes_out_whole() -> None:
    assert turns(("user", "x\ud83dy")) == [("user", "x\ufffdy")]


@pytest.mark.parametrize(
    ("endpoint", "query", "url"),
    [
        ("http://h/v1", {}, "http://h/v1/chat/completions"),
        ("http://h/v1/", {}, "http://h/v1/chat/completions"),
        (
            "https://h/openai/deployments/d?api-version=1",
            {},
            "https://h/openai/deployments/d/chat/completions?api-version=1",
        ),
        ("http://h/v1", {"api-version": "2"}, "http://h/v1/chat/completions?api-version=2"),
    ],
)
def test_the_url_keeps_its_query(endpoint: str, query: dict[str, str], url: str) -> None:
    settings = LLMSettings(model="m", endpoint=endpoint, query=query)
    assert str(call_url(endpoint, "/chat/completions", settings)) == url


def test_a_date_in_yaml_is_the_text_it_was() -> None:
    given = yaml.safe_load("{model: m, query: {api-version: 2024-10-21}, headers: {X-Tier: 2}}")
    settings = parse(LLMSettings, given)
    assert (settings.query, settings.headers) == ({"api-version": "2024-10-21"}, {"X-Tier": "2"})


@pytest.mark.parametrize(
    ("settings", "header", "value"),
    [
        ({}, "Authorization", "Bearer k"),
        ({"endpoint": "https://x.openai.azure.com/openai/deployments/d"}, "api-key", "k"),
        ({"endpoint": "https://x.services.ai.azure.com/models"}, "api-key", "k"),
        ({"endpoint": "http://gateway/openai/deployments/d?api-version=1"}, "api-key", "k"),
        ({"api_key_header": "X-Gateway-Key"}, "X-Gateway-Key", "k"),
        (
            {"endpoint": "https://x.openai.azure.com/openai/v1", "api_key_header": "Authorization"},
            "Authorization",
            "Bearer k",
        ),
    ],
)
def test_the_key_goes_into_the_servers_header(settings: dict[str, Any], header: str, value: str) -> None:
    headers = call_headers(LLMSettings(model="m", headers={"X-Team": "tacos"}, **settings), "k")
    assert headers == {"Content-Type": "application/json", "X-Team": "tacos", header: value}
    assert header not in call_headers(LLMSettings(model="m", **settings), "")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"endpoint": "http://h/v1?key=CANARY"}, "query other than api-version"),
        ({"headers": {"Authorization": "Bearer CANARY"}}, "api_key_header"),
        ({"headers": {"x-api-key": "CANARY"}}, "api_key_header"),
        ({"query": {"subscription-key": "CANARY"}}, "take no keys"),
        ({"endpoint": "http://h/v1/chat/completions"}, "appended to http://h/v1$"),
        ({"endpoint": "http://h/d/chat/completions?api-version=1"}, r"appended to http://h/d\?api-version=1"),
        ({"endpoint": "http://h/v1/completions/"}, "appended to http://h/v1"),
        ({"preset": "o3"}, "preset"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_to_write(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        parse(LLMSettings, {"model": "m", **wrong}, "llms.judge")
    assert "CANARY" not in str(caught.value)


def test_what_alters_the_answer_names_it() -> None:
    plain = LLMSettings(model="m")
    assert plain.altered == {} and plain.identity() == {"model": "m", "structured": False}
    for change in (
        {"preset": "reasoning"},
        {"max_completion_tokens": 9},
        {"fold_system": True},
        {"extra_body": {"reasoning_effort": "low"}},
    ):
        other = LLMSettings.model_validate({"model": "m", **change})
        assert other.identity() != plain.identity()
        assert request_key("m", ask("q"), altered=other.altered) != request_key(
            "m", ask("q"), altered=plain.altered
        )
    elsewhere = LLMSettings(
        model="m", headers={"X-Team": "t"}, query={"api-version": "1"}, api_key_header="k"
    )
    assert elsewhere.identity() == plain.identity()


def refuses(sent: dict[str, Any]) -> Any:
    """A server of a reasoning model."""
    if "max_tokens" in sent or "temperature" in sent:
        said = "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."
        return 400, {"error": {"message": said}}
    return 200, reply("yes")


def test_a_reasoning_model_is_reached_by_its_preset(server: FaultServer, tmp_path: Path) -> None:
    server.respond = lambda sent, times: refuses(sent)
    cache = tmp_path / "c.sqlite"
    (refused,) = complete(client(server.endpoint, cache, max_failed_share=1.0), [ask("q")])
    assert "set llms.<name>.preset=reasoning" in (refused.error or "")
    assert complete(client(server.endpoint, cache, preset="reasoning"), [ask("q")])[0].text == "yes"
