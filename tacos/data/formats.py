"""From one raw row to one conversation, in the forms that instruction data comes in.

    alpaca             {"instruction", "input" (optional), "output"}
    sharegpt           {"conversations": [{"from": "human", "value": ...}, ...]}
    messages           {"messages": [{"role": "user", "content": ...}, ...]}
    prompt_completion  {"prompt", "completion"}, both texts or both lists of messages

A form is nothing but the names of its columns (`tacos.data.columns` finds them). Every form takes a `system` text, a
`history` of earlier rounds ([[question, answer], ...]) and either spelling of a turn's keys. A turn of weight 0
(a key of `WEIGHTS`: 0 or false) is read and left out of the loss.

Text is taken as it stands: training text is not edited. A conversation is an optional system turn, then user and
assistant in turn, the last word being the assistant's; anything else is a `BadRowError` with a reason to count.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import dropwhile
from typing import Any, NamedTuple

from tacos.data.clean import NO_INPUT, encodable, is_missing
from tacos.data.columns import Columns
from tacos.data.json_rows import parsed_text

ROLES = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(
        ("assistant", "gpt", "chatgpt", "bot", "chatbot", "model", "ai", "bard", "bing"), "assistant"
    ),
}
WEIGHTS = ("weight", "train", "training", "loss", "loss_weight")
"""Keys of a turn that may say that it is not learned from."""
CALLS = ("tool_calls", "function_call")
ONE_ROUND = [("user", 1), ("assistant", 1)]
"""Role and weight of each turn of the commonest conversation."""


class Turn(NamedTuple):
    """One message."""

    role: str
    content: str
    weight: int = 1


class BadRowError(ValueError):
    """A row that cannot be a sample. `reason` is a name to count by, `detail` says what was seen."""

    def __init__(self, reason: str, detail: str):
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


class Parsed(NamedTuple):
    """A conversation. `input` is the separate context at the end of the last user turn."""

    turns: list[Turn]
    input: str = ""


def parse(row: Mapping[str, Any], columns: Columns) -> Parsed:
    """Raises: BadRowError."""
    before = [*_system(row, columns), *_history(row, columns)]
    if columns.messages:
        turns = _checked(before + _turns(_field(row, columns.messages), columns.messages))
        return Parsed(turns, _context_within(row, turns))
    asked, said = _side(row, columns.prompt, "user"), _side(row, columns.response, "assistant")
    if said and said[0].role != "assistant":  # a whole conversation, as preference sets have under "chosen"
        return Parsed(_checked(before + said))
    context = _context(row, columns)
    if context and asked:
        if not asked[-1].content.strip():
            raise BadRowError("empty_prompt", f"{columns.prompt} is empty")
        asked[-1] = asked[-1]._replace(content=f"{asked[-1].content}\n\n{context}")
    return Parsed(_checked(before + asked + said), context)


def _side(row: Mapping[str, Any], name: str, role: str) -> list[Turn]:
    """One side of an exchange: a text, or messages."""
    value = _field(row, name)
    return _turns(value, name) if isinstance(value, list) else [Turn(role, _text(value, name))]


def _context(row: Mapping[str, Any], columns: Columns) -> str:
    value = row.get(columns.input) if columns.input else None
    if is_missing(value):
        return ""
    text = _text(value, columns.input)
    return "" if text.strip().casefold() in ("", NO_INPUT) else text


def _context_within(row: Mapping[str, Any], turns: list[Turn]) -> str:
    """The `input` of a conversation whose last user turn ends with it, as in a selection of ours; else ""."""
    value = row.get("input")
    asked = next(turn for turn in reversed(turns) if turn.role == "user")
    return value if isinstance(value, str) and asked.content.endswith(value) else ""


def _field(row: Mapping[str, Any], name: str) -> Any:
    if is_missing(row.get(name)):
        raise BadRowError("missing_field", f"no {name!r}; keys: {', '.join(map(str, row))}"[:200])
    return row[name]


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str):
        raise BadRowError("wrong_type", f"{name} is {type(value).__name__}, expected text")
    if not encodable(value):
        raise BadRowError("bad_unicode", f"{name} holds a lone surrogate")
    return value


def _system(row: Mapping[str, Any], columns: Columns) -> list[Turn]:
    value = row.get(columns.system)
    return [] if is_missing(value) else [Turn("system", _text(value, columns.system))]


def _history(row: Mapping[str, Any], columns: Columns) -> list[Turn]:
    """Earlier rounds: pairs of texts, or messages."""
    value = parsed_text(row.get(columns.history))
    if is_missing(value) or value in ("", []):
        return []
    if not isinstance(value, list):
        raise BadRowError(
            "wrong_type", f"{columns.history} is {type(value).__name__}, expected a list of rounds"
        )
    turns = []
    for i, round_ in enumerate(value):
        where = f"{columns.history}[{i}]"
        if isinstance(round_, Mapping):
            turns.append(_turn(round_, where))
        elif isinstance(round_, list) and len(round_) == 2:
            asked, said = (_text(text, where) for text in round_)
            turns += [Turn("user", asked), Turn("assistant", said)]
        else:
            raise BadRowError("wrong_type", f"{where} is no pair of question and answer")
    return turns


def _turns(value: Any, name: str) -> list[Turn]:
    value = parsed_text(value)
    if not isinstance(value, list):
        raise BadRowError("wrong_type", f"{name} is {type(value).__name__}, expected a list of turns")
    return [_turn(item, f"{name}[{i}]") for i, item in enumerate(value)]


def _turn(item: Any, where: str) -> Turn:
    if not isinstance(item, Mapping):
        raise BadRowError("wrong_type", f"{where} is {type(item).__name__}, expected an object")
    role = item.get("role") if item.get("role") is not None else item.get("from")
    content = item.get("content") if item.get("content") is not None else item.get("value")
    if role is None or content is None:
        lacks = "role" if role is None else "content"
        calls = next((f", only {name}" for name in CALLS if item.get(name)), "")
        raise BadRowError("missing_field", f"{where} has no {lacks}{calls}")
    known = ROLES.get(role.casefold()) if isinstance(role, str) else None
    if known is None:
        raise BadRowError("bad_roles", f"{where} has the unknown role {role!r}"[:200])
    return Turn(known, _content(content, where), _weight(item) if known == "assistant" else 1)


def _content(content: Any, where: str) -> str:
    """A text, or the texts of a list of parts, joined."""
    if not isinstance(content, list) or not all(isinstance(part, Mapping) for part in content):
        return _text(content, where)
    other = next((str(part.get("type")) for part in content if part.get("type") not in ("text", None)), None)
    if other is not None:
        raise BadRowError("not_text", f"{where} has a part of the type {other!r}"[:200])
    return "".join(_text(part.get("text"), where) for part in content)


def _weight(item: Mapping[str, Any]) -> int:
    """0 where a key of `WEIGHTS` says so; what is neither 0 nor 1 is counted by `tacos.data.unread` and read as 1."""
    return int(not any(item.get(name) == 0 for name in WEIGHTS))


def _checked(turns: list[Turn]) -> list[Turn]:
    """The conversation without an empty system turn. Raises: BadRowError when it is not one to learn from."""
    if [(turn.role, turn.weight) for turn in turns] == ONE_ROUND and all(
        turn.content.strip() for turn in turns
    ):
        return turns
    body = list(dropwhile(lambda turn: turn.role == "system", turns))
    front = list(dict.fromkeys(turn for turn in turns[: len(turns) - len(body)] if turn.content.strip()))
    if len(front) > 1:
        raise BadRowError("bad_roles", f"{len(front)} system prompts that differ")
    roles = [turn.role for turn in body]
    if "assistant" not in roles:
        raise BadRowError("no_assistant_turn", f"roles: {', '.join(roles) or 'none'}"[:200])
    wanted = ["user", "assistant"] * (len(roles) // 2 + 1)
    if roles != wanted[: len(roles)]:
        raise BadRowError("bad_roles", f"user and assistant do not alternate: {', '.join(roles)}"[:200])
    if roles[-1] != "assistant":
        raise BadRowError("ends_with_user", f"{len(roles)} turns and no answer to the last")
    for i, turn in enumerate(body):
        if not turn.content or turn.content.isspace():
            reason = "empty_prompt" if turn.role == "user" else "empty_response"
            raise BadRowError(reason, f"turn {i + 1} of {len(body)} ({turn.role}) is empty")
    if not any(turn.weight for turn in body if turn.role == "assistant"):
        raise BadRowError("nothing_supervised", "every assistant turn has weight 0")
    return front + body
