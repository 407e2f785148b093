"""What is sent to an OpenAI-compatible server, by the settings: the body, the URL, the headers.

preset chat                 {"model", "messages", "temperature", "top_p", "max_tokens"}
preset reasoning            {"model", "messages", "max_completion_tokens"}
temperature: null           without that key; so with null under a name in extra_body
a deployment on Azure       https://x.openai.azure.com/openai/deployments/d/chat/completions?api-version=...,
                            the key in the header "api-key"
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from yarl import URL

from tacos.llm.base import Request
from tacos.llm.settings import LLMSettings
from tacos.text import whole_characters
from tacos.types import Message


def request_body(settings: LLMSettings, request: Request) -> bytes:
    """The JSON of one request. `extra_body` comes last; null in it takes a parameter out."""
    body: dict[str, Any] = {
        "model": settings.model,
        "messages": _messages(request.messages, settings.fold_system),
        **_sampling(settings, request),
    }
    if settings.structured and request.json_schema is not None:
        schema = {"name": "reply", "schema": request.json_schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if request.top_logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": request.top_logprobs}
    body |= settings.extra_body
    return orjson.dumps({name: value for name, value in body.items() if value is not None})


def _sampling(settings: LLMSettings, request: Request) -> dict[str, Any]:
    """None is left out in the end."""
    sampling, most = request.sampling, settings.max_completion_tokens
    if settings.preset == "reasoning":
        return {"max_completion_tokens": most or sampling.max_tokens}
    limit = {"max_tokens": sampling.max_tokens} if most is None else {"max_completion_tokens": most}
    return {"temperature": sampling.temperature, "top_p": sampling.top_p, **limit}


def _messages(messages: Sequence[Message], fold_system: bool) -> list[dict[str, str]]:
    """With system text before the first user turn instead of a turn of its own, where that is wanted."""
    system = [m.content for m in messages if m.role == "system"] if fold_system else []
    turns: list[tuple[str, str]] = [
        (m.role, m.content) for m in messages if not fold_system or m.role != "system"
    ]
    if system:
        place = next((i for i, (role, _) in enumerate(turns) if role == "user"), None)
        said = [] if place is None else [turns[place][1]]
        folded = ("user", "\n\n".join([*system, *said]))
        turns = [folded, *turns] if place is None else [*turns[:place], folded, *turns[place + 1 :]]
    return [{"role": role, "content": whole_characters(content)} for role, content in turns]


def call_url(endpoint: str, path: str, settings: LLMSettings) -> URL:
    """`path` under a base URL, with the query of both the URL and the settings."""
    base = URL(endpoint)
    url = base.with_path(base.path.rstrip("/") + path)
    return url.with_query({**base.query, **settings.query})


def call_headers(settings: LLMSettings, key: str) -> dict[str, str]:
    """key: "" where there is none."""
    headers = {"Content-Type": "application/json", **settings.headers}
    if key:
        name = settings.api_key_header or ("api-key" if _on_azure(settings) else "Authorization")
        headers[name] = f"Bearer {key}" if name.lower() == "authorization" else key
    return headers


def _on_azure(settings: LLMSettings) -> bool:
    marks = (
        "/openai/deployments/",
        ".openai.azure.com",
        ".cognitiveservices.azure.com",
        ".services.ai.azure.com",
    )
    return all(any(mark in url for mark in marks) for url in settings.endpoints)
