"""JSON as servers send it, which is not always JSON: a paid reply is not lost to a strict reader.

{"logprob": -Infinity}, {"tps": NaN}      read by Python's own reader, which takes them; nan and -inf become null
"Nice \\ud83d answer"                      half an emoji, cut off by a token limit, becomes U+FFFD
\\xef\\xbb\\xbf{...}                         a byte order mark is passed over
data: {...}\\n\\ndata: [DONE]               a stream that nobody asked for is put together
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from tacos.text import whole_characters

_BARE = re.compile(r"(?<=[:,\[ ])-?(?:nan|inf)(?=\s*[,}\]])", re.IGNORECASE)
"""As C writes them."""
_EVENT = re.compile(rb"^data:[ \t]*(.+?)[ \t]*\r?$", re.MULTILINE)


def loads(body: bytes) -> Any:
    """The value in `body`, as servers write JSON. Raises: ValueError when it holds none."""
    content = body.removeprefix(b"\xef\xbb\xbf")
    try:
        return orjson.loads(content)  # reads blanks around it too
    except orjson.JSONDecodeError:
        pass
    if content.lstrip().startswith((b"data:", b":", b"event:", b"id:")):
        return _joined([_lenient(chunk) for chunk in _EVENT.findall(content) if chunk != b"[DONE]"])
    return _lenient(content)


def _lenient(content: bytes) -> Any:
    text = content.decode("utf-8", "replace")
    try:
        return whole_characters(json.loads(text, strict=False))
    except json.JSONDecodeError:
        if _BARE.search(text) is None:
            raise
        return whole_characters(json.loads(_BARE.sub("null", text), strict=False))
    except RecursionError as error:
        raise ValueError("nested without end") from error


def _joined(chunks: list[Any]) -> Any:
    """Chunks of a stream as one reply. Raises: ValueError when there are none."""
    whole: dict[str, Any] = {}
    message: dict[str, Any] = {}
    choice: dict[str, Any] = {"index": 0, "message": message}
    places: list[Any] = []
    for chunk in chunks:
        if not isinstance(chunk, dict):
            continue
        whole |= {key: value for key, value in chunk.items() if value is not None}
        parts = chunk.get("choices")
        for part in parts if isinstance(parts, list) else ():
            if not isinstance(part, dict) or part.get("index", 0) != 0:
                continue
            delta = part.get("delta") or part.get("message")
            for key, value in delta.items() if isinstance(delta, dict) else ():
                before = message.get(key)
                together = isinstance(value, str | list) and type(before) is type(value)
                message[key] = before + value if together else value or before
            for key in ("finish_reason", "native_finish_reason", "error"):
                choice[key] = part.get(key) or choice.get(key)
            logprobs = part.get("logprobs")
            found = logprobs.get("content") if isinstance(logprobs, dict) else None
            places += found if isinstance(found, list) else []
    if not whole:
        raise ValueError("a stream of no events")
    choice["logprobs"] = {"content": places} if places else None
    return {**whole, "choices": [choice] if message or choice.get("finish_reason") else whole.get("choices")}
