"""Which columns of a file hold what: told by `pool.read.columns`, else recognised by name.

The forms of `tacos.data.formats` are recognised silently. Where the names are others that are in use
("query"/"response", "question"/"answer", "prompt"/"chosen", ...), a note says which were taken.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tacos.data.clean import is_missing
from tacos.data.json_rows import parsed_text
from tacos.errors import PoolError, nearest
from tacos.types import Record

PROMPTS = ("instruction", "prompt", "query", "question", "problem", "inputs", "user", "human", "input")
RESPONSES = (
    *("output", "completion", "response", "answer", "chosen", "solution", "targets", "target"),
    *("assistant", "reply"),
)
CONVERSATIONS = ("messages", "conversations", "conversation", "dialogue", "dialog", "chat", "turns")
INPUTS = ("input", "context")
SYSTEMS = ("system", "system_prompt")
"""Names in use, commonest first; they may be spelled with capitals."""


class ColumnSettings(Record):
    """Names of columns; None is recognised by name."""

    prompt: str | None = None
    """The user's side: a text, or a list of messages."""
    response: str | None = None
    """The assistant's side, alike."""
    input: str | None = None
    """Context that stands in a column of its own and belongs at the end of the prompt."""
    system: str | None = None
    """The system prompt."""
    history: str | None = None
    """Earlier rounds, [[question, answer], ...]."""
    messages: str | None = None
    """A whole conversation, in place of prompt and response."""
    id: str | None = None
    """The name of the row; a row without one is named by its content."""
    source: str | None = None
    """Where the row is from, which groups (`group.by=source`) and balanced draws can go by; the file where it says
    nothing."""


class Columns(NamedTuple):
    """Names of columns; "" where there is none. `messages`, or `prompt` and `response`."""

    prompt: str = ""
    response: str = ""
    input: str = ""
    messages: str = ""
    system: str = "system"
    history: str = "history"
    id: str = "id"
    source: str = "source"

    @property
    def needed(self) -> tuple[str, ...]:
        """Those that a row cannot do without."""
        return (self.messages,) if self.messages else (self.prompt, self.response)


FORMS = {
    "messages": Columns(messages="messages"),
    "sharegpt": Columns(messages="conversations"),
    "alpaca": Columns(prompt="instruction", response="output", input="input"),
    "prompt_completion": Columns(prompt="prompt", response="completion"),
}
"""The first that fits is taken, as chat sets often carry a `prompt` as well."""


class FoundColumns(NamedTuple):
    """form: a name of `FORMS`, or "columns". note: which names were taken where they are not those of a form."""

    form: str
    columns: Columns
    note: str = ""


def find_columns(
    source: str, form: str, given: ColumnSettings, values: Sequence[Mapping[str, Any]]
) -> FoundColumns:
    """values: the first rows. Raises: PoolError where the names tell nothing, or a given one stands in no row."""
    for name, column in given:
        if column is not None and values and not _held(values, column):
            raise PoolError(
                f"pool.read.columns.{name}: no row of {source} has {column!r}: {nearest(column, _names(values))}"
            )
    if form != "auto":
        return FoundColumns(form, _given(FORMS[form], given))
    votes = Counter(found for found in (recognise(value, given) for value in values) if found)
    if not votes:
        known = "; ".join(f"{name} ({', '.join(form.needed)})" for name, form in FORMS.items())
        raise PoolError(
            f"unknown format in {source}; {_keys(values)}; known: {known}. "
            "pool.read.columns says which columns hold what, e.g. {prompt: query, response: answer}"
        )
    core = votes.most_common(1)[0][0]
    name = next((name for name, known in FORMS.items() if known == core), "columns")
    columns = _given(core if name != "columns" else _with_context(core, values), given)
    further = {"system": SYSTEMS, "history": ("history",), "id": ("id",)}
    spelled = {key: _spelled(values, names) for key, names in further.items() if getattr(given, key) is None}
    columns = columns._replace(**{key: column for key, column in spelled.items() if column})
    usual = name != "columns" and all(spelled[key] in ("", key) for key in spelled)
    return FoundColumns(name, columns, "" if usual else _note(columns, given))


def recognise(value: Mapping[str, Any], given: ColumnSettings | None = None) -> Columns | None:
    """The columns that a row's names suggest; None where they suggest none."""
    given = given or ColumnSettings()
    if given.messages:
        return Columns(messages=given.messages)
    if not (given.prompt or given.response):
        for form in FORMS.values():
            if all(not is_missing(value.get(key)) for key in form.needed):
                return form
        if name := _spelled([value], CONVERSATIONS, _is_conversation):
            return Columns(messages=name)
    prompt = given.prompt or _spelled([value], PROMPTS, _is_side)
    response = given.response or _spelled([value], RESPONSES, _is_side)
    return Columns(prompt=prompt, response=response) if prompt and response else None


def is_row(value: Mapping[str, Any]) -> bool:
    """Whether an object reads like one row, rather than like something that holds rows."""
    found = recognise(value)
    if found is None:
        return False
    return all((_is_conversation if found.messages else _is_side)(value.get(name)) for name in found.needed)


def _is_side(value: Any) -> bool:
    return isinstance(value, str) or _is_conversation(value)


def _is_conversation(value: Any) -> bool:
    value = parsed_text(value)
    return isinstance(value, list) and any(
        isinstance(item, Mapping) and ("role" in item or "from" in item) for item in value
    )


def _with_context(core: Columns, values: Sequence[Mapping[str, Any]]) -> Columns:
    if core.messages:
        return core
    taken = (core.prompt.casefold(), core.response.casefold())
    return core._replace(input=_spelled(values, [name for name in INPUTS if name not in taken]))


def _given(columns: Columns, given: ColumnSettings) -> Columns:
    return columns._replace(**{name: column for name, column in given if column is not None})


def _held(values: Sequence[Mapping[str, Any]], name: str) -> bool:
    return any(not is_missing(value.get(name)) for value in values)


def _spelled(
    values: Sequence[Mapping[str, Any]], names: Sequence[str], fits: Callable[[Any], bool] | None = None
) -> str:
    """The first of `names` that some row has a value under, as it is spelled there ("Question"); "" where none has."""
    fits = fits or (lambda value: not is_missing(value))
    held = sorted({str(key) for value in values for key in value if fits(value[key])})
    spelled = {key.strip().casefold(): key for key in held}  # small letters come last and win
    return next((spelled[name] for name in names if name in spelled), "")


def _names(values: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(str(key) for value in values for key in value))


def _keys(values: Sequence[Mapping[str, Any]]) -> str:
    return f"its rows have the keys {', '.join(_names(values))[:300]}"


def _note(columns: Columns, given: ColumnSettings) -> str:
    """The names that were taken and not given."""
    taken = [(name, column) for name, column in _taken(columns) if getattr(given, name) != column]
    if not taken:
        return ""
    named = ", ".join(f"{name}={column}" for name, column in taken)
    return f"columns were recognised by their names: {named}; pool.read.columns sets others"


def _taken(columns: Columns) -> Iterator[tuple[str, str]]:
    for name in ("messages", "prompt", "response", "input", "system", "history", "id", "source"):
        column = getattr(columns, name)
        if column and column != name:
            yield name, column
