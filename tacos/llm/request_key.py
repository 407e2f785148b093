"""The name of a question, under which its reply is kept.

It covers what makes the answer: model, messages, sampling, the JSON schema that was sent, the repeat index, how many
log-probabilities were asked for, if any, and settings that change what a server is sent. Endpoint, timeouts and
concurrency are left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from json.encoder import encode_basestring
from math import isfinite
from typing import Any

from tacos.llm.base import Request, Sampling
from tacos.store.fingerprint import canonical


def request_key(
    model: str, request: Request, structured: bool = False, altered: Mapping[str, Any] | None = None
) -> bytes:
    """32 bytes naming a question. The schema counts only where it is sent (`structured`).

    altered: what else a server is told, or told otherwise (`LLMSettings.altered`).
    """
    schema = request.json_schema if structured else None
    # The canonical JSON, written by hand: four times as fast.
    messages = ",".join(
        f'{{"content":{encode_basestring(message.content)},"role":"{message.role}"}}'
        for message in request.messages
    )
    # Only where it is asked for: replies paid before there were log-probabilities keep their keys.
    last = "" if request.top_logprobs is None else f",{request.top_logprobs}"
    last += f",{canonical(altered)}" if altered else ""
    text = (
        f"[{encode_basestring(model)},[{messages}],{_sampling_text(request.sampling)},"
        f"{'null' if schema is None else canonical(schema)},{request.repeat}{last}]"
    )
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def prompt_of(model: str, request: Request) -> str:
    """Names a model and the words it is asked with; "" where the request does not say them."""
    return f"{model} {request.prompt}" if request.prompt else ""


def _sampling_text(sampling: Sampling) -> str:
    if sampling.temperature is None or sampling.top_p is None or not isfinite(sampling.temperature):
        return canonical(sampling)
    temperature, top_p = float.__repr__(sampling.temperature), float.__repr__(sampling.top_p)
    return f'{{"max_tokens":{sampling.max_tokens},"temperature":{temperature},"top_p":{top_p}}}'
