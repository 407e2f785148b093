"""YAML files and `a.b=c` overrides, checked by pydantic before any work starts.

Unknown keys, wrong types and values out of range fail with the path of the setting, the value seen
and, for a mistyped name, the nearest valid one.
"""

from __future__ import annotations

import copy
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from tacos.errors import ConfigError, nearest
from tacos.secrets import SENSITIVE, holds_key, redacted, texts_in
from tacos.shipped import find

SWITCH = {True: "on, yes and true", False: "off, no and false"}
"""Words of YAML 1.1, by what it reads them as."""
M = TypeVar("M", bound=BaseModel)
ASSET = "asset:"
"""What a value begins with that names an upstream file (`tacos.assets`) and not a path."""
DEEPEST, MOST_HINTS = 4, 3
"""Sections inside each other that are searched for an unknown setting, and places that are named."""
TEXT = re.compile(r"^\s*[#&*!%@`]|^\s*[^\s\[{\"'].*\s#", re.DOTALL)
"""An override that is text as it stands, such as the file "part #1": YAML would read a comment, an anchor or a tag."""


class _Loader(yaml.SafeLoader):
    """YAML in which a key stands once: of two, the first would be lost without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    what = f"the key {key.value!r} stands twice: keep one"
                    raise yaml.constructor.ConstructorError(problem=what, problem_mark=key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """path: of a file, or the name of a shipped config (`tacos.shipped`).

    Raises: ConfigError when the file is missing, cannot be read, is not UTF-8, not YAML, has a key twice, or is no
    mapping.
    """
    path = find(path)
    try:
        data = yaml.load(path.read_bytes().decode(), _Loader)
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror or error}; correct its permissions"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 (byte {error.start}): save it as UTF-8 text") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that is none, such as 2026-13-01
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path} holds {type(data).__name__}, not a mapping of settings")
    return data


def override(data: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """`data` with each "a.b=c" applied in turn; c is read as YAML, so `seeds=[0,1]` is a list, unless it is `TEXT`.

    Raises: ConfigError for an assignment without "=", or a path through something that is no mapping.
    """
    result: dict[str, Any] = copy.deepcopy(dict(data))
    for assignment in assignments:
        path, equals, value = assignment.partition("=")
        if not equals or not path.strip():
            raise ConfigError(f"{assignment!r} is not an override: write it as a.b=c")
        try:
            read = value.strip() if TEXT.search(value) else yaml.load(value, _Loader)
        except (yaml.YAMLError, ValueError) as error:
            raise ConfigError(f"override {assignment!r}: {value!r} is not valid YAML") from error
        _put(result, path.strip(), read, f"override {assignment!r}")
    return result


def changed(data: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`data` with each value put in its place: {"train.steps": 60, "seeds": [0, 1]}.

    Raises: ConfigError for a path through something that is no mapping.
    """
    result: dict[str, Any] = copy.deepcopy(dict(data))
    for path, value in changes.items():
        _put(result, path, value, f"change of {path!r}")
    return result


def _put(result: dict[str, Any], path: str, value: Any, what: str) -> None:
    *parents, last = path.split(".")
    node = result
    for key in parents:
        if node.get(key) is None:
            node[key] = {}
        node = node[key]
        if not isinstance(node, dict):
            named = f"; where it names a part, write {key}.by={node}" if isinstance(node, str) else ""
            raise ConfigError(f"{what}: {key!r} holds a value, not settings{named}")
    node[last] = value


def merged(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`settings` with `changes` laid over them; mappings are merged key by key, anything else is replaced."""
    result = dict(settings)
    for key, value in changes.items():
        old = result.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            value = merged(old, value)
        result[key] = value
    return result


def parse(model: type[M], data: Any, where: str = "") -> M:
    """`data` as `model`; `where` is the path of `data` in the file, for the message.

    Raises: ConfigError naming the first wrong setting.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        said = "; ".join(_explain(model, problem, where) for problem in error.errors()[:3])
        raise ConfigError(redacted(said)) from None  # the error itself repeats what was given


def _explain(model: type[BaseModel], problem: Any, where: str) -> str:
    loc = [str(part) for part in problem["loc"]]
    path = ".".join([where, *loc] if where else loc)
    if problem["type"] == "extra_forbidden":
        return f"unknown setting {path!r}: {_hint(_model_at(model, loc[:-1]), path)}"
    if problem["type"] == "missing":
        return f"setting {path!r} is missing"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] in ("model_type", "model_attributes_type", "dict_type"):
        message = "settings belong here, {name: value}"
    seen = problem["input"]
    quote = ""
    if isinstance(seen, bool):
        quote = f", as YAML reads {SWITCH[seen]}: write a name in quotes"
    elif isinstance(seen, int | float) and problem["type"] == "string_type":
        quote = "; text that reads as a number goes in quotes"
    hidden = isinstance(seen, dict) or SENSITIVE.search(path) or any(holds_key(t) for _, t in texts_in(seen))
    shown = "" if hidden else f" (got {seen!r:.200}{quote})"
    return f"{path or where or model.__name__}: {message}{shown}"


def _hint(model: type[BaseModel] | None, path: str) -> str:
    """path: of a setting that `model` does not have, which may stand in one of its sections."""
    if model is None:
        return nearest(path, ())
    *parents, key = path.split(".")
    if inside := paths_to(model, key):
        return f"did you mean {' or '.join(repr('.'.join([*parents, found])) for found in inside)}?"
    return nearest(key, model.model_fields)


def paths_to(model: type[BaseModel], key: str) -> list[str]:
    """Where a setting of this name stands in the sections of `model`, "clustering.k"; those nearest to it alone.

    A section under a name of the user's is written "llms.<name>"; such as stand in a list are not searched.
    """
    sections = [("", model)]
    for _ in range(DEEPEST):
        sections = [
            (f"{path}{name}.<name>." if _holds(dict, field.annotation) else f"{path}{name}.", inner)
            for path, section in sections
            for name, field in section.model_fields.items()
            if not _holds((tuple, list), field.annotation) and (inner := _model_in(field.annotation))
        ]
        if found := [f"{path}{key}" for path, section in sections if key in section.model_fields]:
            return found[:MOST_HINTS]
    return []


def _holds(kinds: type | tuple[type, ...], annotation: Any) -> bool:
    """Whether it is, or may be, one of these containers, which hold any number of sections."""
    found = (typing.get_origin(part) for part in (annotation, *typing.get_args(annotation)))
    return any(isinstance(kind, type) and issubclass(kind, kinds) for kind in found)


def _model_at(model: type[BaseModel], loc: Sequence[str]) -> type[BaseModel] | None:
    """The model found by following `loc` from `model`; dict keys are passed over."""
    current: type[BaseModel] | None = model
    for key in loc:
        field = current.model_fields.get(key) if current else None
        if field is not None:
            current = _model_in(field.annotation)
    return current


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if typing.get_origin(annotation) in (typing.Union, types.UnionType, dict, tuple, list):
        found = (_model_in(part) for part in typing.get_args(annotation))
        return next((m for m in found if m), None)
    return None


def with_assets(data: Any, path_of: Callable[[str], Path]) -> Any:
    """`data` with the file for each "asset:NAME" in it. path_of: name -> path, such as `Assets.path`."""
    if isinstance(data, Mapping):
        return {key: with_assets(value, path_of) for key, value in data.items()}
    if isinstance(data, list):
        return [with_assets(value, path_of) for value in data]
    if isinstance(data, str) and data.startswith(ASSET):
        return str(path_of(data.removeprefix(ASSET)))
    return data


def load(model: type[M], path: Path, assignments: Sequence[str] = ()) -> M:
    """The settings of a file, with overrides. Raises: ConfigError."""
    return parse(model, override(read_yaml(path), assignments))
