"""Readable in one sitting: sizes of modules and functions, no circle of imports, no class name twice."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.test_imports import imports, modules

LINES, FUNCTION_LINES = 300, 40
ONE_CALL = {"train.trainer.trainer_config"}
"""A single call that names every argument."""
DATA = {"tacos.data.builtin.skills", "tacos.data.builtin.words"}
"""Word lists, not code."""


def trees() -> Iterator[tuple[str, Path, ast.Module]]:
    for name, path in sorted(modules().items()):
        yield name, path, ast.parse(path.read_text(encoding="utf-8"))


def test_no_module_is_too_long() -> None:
    counted = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path, _ in trees()}
    assert {name: n for name, n in counted.items() if n > LINES and name not in DATA} == {}


def test_no_function_is_too_long() -> None:
    """Lines of the body, without the docstring."""
    long = {}
    for name, _, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0  # type: ignore[operator]
                if lines > FUNCTION_LINES and f"{name}.{node.name}" not in ONE_CALL:
                    long[f"{name}.{node.name}"] = lines
    assert long == {}


def test_no_class_name_stands_twice() -> None:
    places: dict[str, list[str]] = {}
    for module, _, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(module)
    twice = {name: found for name, found in places.items() if len(found) > 1}
    assert twice == {}, "give one of them another name"


def test_imports_make_no_circle() -> None:
    known = modules()
    graph = {name: {i for i in imports(path) if i in known and i != name} for name, path in known.items()}
    done: set[str] = set()
    for start in graph:
        stack = [(start, iter(graph[start]))]
        path = [start]
        while stack:
            following = next(stack[-1][1], None)
            if following is None:
                done.add(stack.pop()[0])
                path.pop()
            elif following in path:
                raise AssertionError(" -> ".join([*path[path.index(following) :], following]))
            elif following not in done:
                stack.append((following, iter(graph[following])))
                path.append(following)
