"""What an OpenAI-compatible server sends back with a 200, read: a completion, or why there is none.

    {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}   ->  text "hi", finish_reason "stop"
    content null or "", finish_reason "length"                               ->  text "", cut off
    content [{"type": "thinking", ...}, {"type": "text", "text": "hi"}]      ->  text "hi"
    content null, refusal "I can't help"; finish_reason "content_filter"     ->  CallError in the server's words
    {"error": {"code": 429, ...}}, in the reply or in its choice             ->  CallError, as an HTTP 429
    finish_reason "stop", native_finish_reason "MAX_TOKENS"                  ->  cut off, as the model's own server says

Reasoning that comes beside the text (`reasoning_content`, parts of type "thinking") is no part of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from tacos.llm.backend import count_tokens, prompt_tokens
from tacos.llm.backends.call_errors import CallError, Sender, excerpt
from tacos.llm.backends.decode import loads
from tacos.llm.base import CUT, Completion, Request
from tacos.llm.reasoning import answer_start

_FILTERED = frozenset(
    ("content_filter", "content_filtered", "guardrail_intervened", "safety", "image_safety")
)
_FILTERED |= frozenset(("recitation", "blocklist", "prohibited_content", "spii", "sensitive"))
_REFUSED = "refusal"
_ENDED = frozenset(("stop", "eos", "end_turn"))
_FAILED = frozenset(("error", "abort", "aborted", "network_error", "insufficient_system_resource"))


def read_reply(body: bytes, request: Request, sender: Sender) -> Completion:
    """The completion in a 200 response; tokens are estimated where the server does not report them.

    Raises: CallError when there is no reply in it.
    """
    try:
        reply = loads(body)
    except ValueError:
        html = body.lstrip()[:1] == b"<"
        hint = f"; is {sender.url} the right endpoint, and no login page between?" if html else ""
        reason = f"the reply is not JSON: {excerpt(body)}{hint}"
        raise CallError(sender.blot(reason), again=not html, status=200) from None
    usage = reply.get("usage") if isinstance(reply, dict) else None
    sent, got = _tokens(usage, "prompt_tokens"), _tokens(usage, "completion_tokens")
    billed = (sent or 0, got or 0)
    if error := sender.error_in_reply(reply, billed):
        raise error
    choice = _choice(reply, sender, billed)
    if error := sender.error_in_reply({"error": choice.get("error"), "choices": [choice]}, billed):
        raise error  # of the provider behind a gateway
    text, finish = _text(choice, sender, billed), _finish_reason(choice)
    wanted = request.top_logprobs is not None
    return Completion(
        text=text,
        finish_reason=finish,
        prompt_tokens=prompt_tokens(request) if sent is None else sent,
        completion_tokens=count_tokens(text) if got is None else got,
        logprobs=answer_logprobs(choice.get("logprobs"), text) if wanted else None,
    )


def _choice(reply: Any, sender: Sender, billed: tuple[int, int]) -> Mapping[str, Any]:
    """The first choice by its index. Raises: CallError when there is none."""
    choices = reply.get("choices") if isinstance(reply, dict) else None
    found = [c for c in choices if isinstance(c, dict)] if isinstance(choices, list) else []
    if found:
        return min(found, key=_index)
    keys = ", ".join(f"{key}={value!r}" for key, value in reply.items()) if isinstance(reply, dict) else reply
    filtered = isinstance(reply, dict) and reply.get("prompt_filter_results")
    what = "the prompt's content filter left no choices" if filtered else "the reply holds no choices"
    reason = sender.blot(what + (_prompt_filters(filtered) or f": {str(keys)[:200]}"))
    raise CallError(
        reason, again=not filtered, status=200, of_the_row=bool(filtered), finish_reason=None, usage=billed
    )


def _index(choice: Mapping[str, Any]) -> int:
    index = choice.get("index")
    return index if isinstance(index, int) else 0


def _text(choice: Mapping[str, Any], sender: Sender, billed: tuple[int, int]) -> str:
    """What the model wrote. Raises: CallError when that is nothing, and not for the token limit's sake."""
    message, finish = choice.get("message"), _finish_reason(choice)
    message = message if isinstance(message, dict) else {"content": choice.get("text")}
    text = joined(message.get("content"))
    if finish in _FILTERED:
        which = filters_of(choice.get("content_filter_results"))
        raise _final(f"the content filter stopped the reply (finish_reason {finish}{which})", finish, billed)
    refusal = message.get("refusal") or _refusal_part(message.get("content"))
    if finish == _REFUSED:
        refusal = text or refusal or f"finish_reason {finish}"
    if isinstance(refusal, str) and refusal and (not text or finish == _REFUSED):
        raise _final(sender.blot(f"the model refuses: {refusal[:300]}"), finish, billed)
    if finish in _FAILED:
        raise CallError(f"the reply broke off: finish_reason {finish}", again=True, usage=billed)
    if text is None and (finish in CUT or finish in _ENDED):
        return ""
    if text is None and (message.get("tool_calls") or message.get("function_call")):
        raise _final("the model answers with a call of a tool and no text", finish, billed)
    if text is None:
        shown = f"finish_reason {finish}, " if finish else ""
        keys = ", ".join(key for key, value in message.items() if value) or "nothing"
        reason = f"the reply holds no text ({shown}the message has {keys})"
        raise CallError(sender.blot(reason), again=True, status=200, finish_reason=finish, usage=billed)
    return text


def _final(reason: str, finish: str | None, billed: tuple[int, int]) -> CallError:
    """What asking again would not change."""
    return CallError(reason, again=False, status=200, of_the_row=True, finish_reason=finish, usage=billed)


def joined(content: Any) -> str | None:
    """The text of a message: as it is, or the text parts of a list, one after the other."""
    if isinstance(content, str) or content is None:
        return content
    if not isinstance(content, list | dict):
        return None
    return "".join(map(_part, content if isinstance(content, list) else [content]))


def _part(part: Any) -> str:
    """What a part says; "" for reasoning, and whatever else is no text."""
    if not isinstance(part, dict):
        return part if isinstance(part, str) else ""
    text = part.get("text") if part.get("type", "text") in ("text", "output_text") else ""
    said = text.get("value") if isinstance(text, dict) else text
    return said if isinstance(said, str) else ""


def _refusal_part(content: Any) -> Any:
    parts = content if isinstance(content, list) else ()
    return next((p.get("refusal") for p in parts if isinstance(p, dict) and p.get("refusal")), None)


def filters_of(results: Any) -> str:
    """ ": violence (medium)" of Azure's `content_filter_results`; "" where none is named."""
    found = [
        f"{name} ({value['severity']})" if value.get("severity") else name
        for name, value in (results.items() if isinstance(results, dict) else ())
        if isinstance(value, dict) and (value.get("filtered") or value.get("detected"))
    ]
    return f": {', '.join(found)}" if found else ""


def _prompt_filters(results: Any) -> str:
    """As `filters_of`, of Azure's `prompt_filter_results`."""
    rows = [row for row in results if isinstance(row, dict)] if isinstance(results, list) else []
    return next(filter(None, (filters_of(row.get("content_filter_results")) for row in rows)), "")


def _finish_reason(choice: Mapping[str, Any]) -> str | None:
    """The gateway's word, or the model's own server's where a gateway makes "stop" of a cut or filtered reply."""
    own, native = (
        reason.lower() if isinstance(reason := choice.get(name), str) and reason else None
        for name in ("finish_reason", "native_finish_reason")
    )
    unsaid = own is None or own in _ENDED
    return native if unsaid and (native in CUT or native in _FILTERED or native == _REFUSED) else own


def answer_logprobs(logprobs: Any, text: str) -> dict[str, float] | None:
    """Token -> log-probability at the first place of the answer in `text`, which stands behind any reasoning and marks
    such as "**".

    None from a server that gives none, and where its tokens are not those of the text. vLLM writes -9999 for
    impossible tokens, and others -Infinity or null: the first are kept, the others left out.
    """
    places = logprobs.get("content") if isinstance(logprobs, dict) else None
    places = [place for place in places if isinstance(place, dict)] if isinstance(places, list) else []
    start = answer_start([_token(place) for place in places], text)
    if start is None:
        return None
    listed = places[start].get("top_logprobs")
    table: dict[str, float] = {}
    for entry in listed if isinstance(listed, list) else ():
        value = entry.get("logprob") if isinstance(entry, dict) else None
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            continue
        if isinstance(entry.get("token"), str):  # half characters share a text; the likelier comes first
            table.setdefault(entry["token"], float(value))
    return table or None


def _token(place: Mapping[str, Any]) -> str:
    token = place.get("token")
    return token if isinstance(token, str) else ""


def _tokens(usage: Any, name: str) -> int | None:
    count = usage.get(name) if isinstance(usage, dict) else None
    return count if isinstance(count, int) and not isinstance(count, bool) and count >= 0 else None
