"""From one raw row to one conversation, in the four formats that instruction data comes in.

    alpaca             {"instruction", "input" (optional), "output"}
    sharegpt           {"conversations": [{"from": "human", "value": ...}, ...]}
    messages           {"messages": [{"role": "user", "content": ...}, ...]}
    prompt_completion  {"prompt", "completion"}, both texts or both lists of messages

`sharegpt` and `messages` take either spelling of a turn's keys, and a separate `system` text. A
conversation is an optional system turn, then user and assistant in turn, the last word being the
assistant's; anything else is a `BadRowError` with a reason to count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tacos.data.clean import NO_INPUT, clean_text, encodable

Turn = tuple[str, str]
ROLES = {
    "system": "system",
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(("assistant", "gpt", "chatgpt", "bot", "chatbot", "model", "bard", "bing"), "assistant"),
}


class BadRowError(ValueError):
    """A row that cannot be a sample. `reason` is a name to count by, `detail` says what was seen."""

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


class Parsed(NamedTuple):
    """A conversation, cleaned. `input` is the separate context at the end of the first user turn."""

    turns: list[Turn]
    input: str = ""


def parse_alpaca(row: Mapping[str, Any]) -> Parsed:
    instruction, output = _text(row, "instruction"), _text(row, "output")
    context = _text(row, "input") if row.get("input") is not None else ""
    context = "" if context.casefold() == NO_INPUT else context
    if not instruction:
        raise BadRowError("empty_prompt", "instruction is empty")
    prompt = f"{instruction}\n\n{context}" if context else instruction
    return Parsed(_checked([("user", prompt), ("assistant", output)]), context)


def parse_sharegpt(row: Mapping[str, Any]) -> Parsed:
    return Parsed(_checked(_system(row) + _turns(_field(row, "conversations"), "conversations")))


def parse_messages(row: Mapping[str, Any]) -> Parsed:
    return Parsed(_checked(_system(row) + _turns(_field(row, "messages"), "messages")))


def parse_prompt_completion(row: Mapping[str, Any]) -> Parsed:
    sides = []
    for name, role in (("prompt", "user"), ("completion", "assistant")):
        value = _field(row, name)
        sides += _turns(value, name) if isinstance(value, list) else [(role, _clean(value, name))]
    return Parsed(_checked(_system(row) + sides))


PARSERS: dict[str, Callable[[Mapping[str, Any]], Parsed]] = {
    "messages": parse_messages,
    "sharegpt": parse_sharegpt,
    "alpaca": parse_alpaca,
    "prompt_completion": parse_prompt_completion,
}
NEEDED = {
    "messages": ("messages",),
    "sharegpt": ("conversations",),
    "alpaca": ("instruction", "output"),
    "prompt_completion": ("prompt", "completion"),
}
"""Keys that tell a format; the first that fits is taken, as chat sets often carry a `prompt` as well."""


def detect(row: Mapping[str, Any]) -> str | None:
    """The format whose keys this row has, None when it fits none."""
    for name, keys in NEEDED.items():
        if all(row.get(key) is not None for key in keys):
            return name
    return None


def given_id(row: Mapping[str, Any]) -> str:
    """The row's own id as text, "" when it has none. Raises: BadRowError when it is no text or integer."""
    value = row.get("id")
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise BadRowError("wrong_type", f"id is {type(value).__name__}, expected text or an integer")
    return str(value) if encodable(str(value)) else ""


def _field(row: Mapping[str, Any], name: str) -> Any:
    if row.get(name) is None:
        raise BadRowError("missing_field", f"no {name!r}; keys: {', '.join(map(str, row))}"[:200])
    return row[name]


def _text(row: Mapping[str, Any], name: str) -> str:
    return _clean(_field(row, name), name)


def _clean(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise BadRowError("wrong_type", f"{name} is {type(value).__name__}, expected text")
    if not encodable(value):
        raise BadRowError("bad_unicode", f"{name} holds a lone surrogate")
    return clean_text(value)


def _system(row: Mapping[str, Any]) -> list[Turn]:
    return [("system", _text(row, "system"))] if row.get("system") is not None else []


def _turns(value: Any, name: str) -> list[Turn]:
    if not isinstance(value, list):
        raise BadRowError("wrong_type", f"{name} is {type(value).__name__}, expected a list of turns")
    return [_turn(item, f"{name}[{i}]") for i, item in enumerate(value)]


def _turn(item: Any, where: str) -> Turn:
    if not isinstance(item, Mapping):
        raise BadRowError("wrong_type", f"{where} is {type(item).__name__}, expected an object")
    role = item.get("role") if item.get("role") is not None else item.get("from")
    content = item.get("content") if item.get("content") is not None else item.get("value")
    if role is None or content is None:
        raise BadRowError("missing_field", f"{where} has no {'role' if role is None else 'content'}")
    known = ROLES.get(role.casefold()) if isinstance(role, str) else None
    if known is None:
        raise BadRowError("bad_roles", f"{where} has the unknown role {role!r}"[:200])
    return known, _clean(content, where)


def _checked(turns: list[Turn]) -> list[Turn]:
    """The conversation without an empty system turn. Raises: BadRowError when it is not one to learn from."""
    body = turns[1:] if turns and turns[0][0] == "system" else turns
    roles = [role for role, _ in body]
    if "assistant" not in roles:
        raise BadRowError("no_assistant_turn", f"roles: {', '.join(roles) or 'none'}"[:200])
    wanted = ["user", "assistant"] * (len(roles) // 2 + 1)
    if roles != wanted[: len(roles)]:
        raise BadRowError("bad_roles", f"user and assistant do not alternate: {', '.join(roles)}"[:200])
    if roles[-1] != "assistant":
        raise BadRowError("ends_with_user", f"{len(roles)} turns and no answer to the last")
    for i, (role, content) in enumerate(body):
        if not content:
            reason = "empty_prompt" if role == "user" else "empty_response"
            raise BadRowError(reason, f"turn {i + 1} of {len(body)} ({role}) is empty")
    return turns if turns and turns[0][1] else body
