"""Imports go one way, and the command line stays light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = (
    ("tacos.text_column",),
    ("tacos.errors", "tacos.types", "tacos.text", "tacos.amounts", "tacos.progress", "tacos.secrets"),
    ("tacos.selection", "tacos.registry", "tacos.cost", "tacos.usage", "tacos.shipped"),
    ("tacos.store",),
    ("tacos.config", "tacos.tracking", "tacos.assets", "tacos.ray_cluster"),
    ("tacos.stage", "tacos.prompts", "tacos.data"),
    ("tacos.artifacts",),
    ("tacos.given", "tacos.premises", "tacos.hooks"),
    ("tacos.models",),
    ("tacos.llm",),
    ("tacos.part", "tacos.answering"),
    ("tacos.grouping", "tacos.scoring", "tacos.allocation"),
    ("tacos.methods",),
    ("train", "eval"),
    ("tacos.viewing",),
    ("tacos.pipeline", "tacos.doctor", "tacos.frames"),
    ("tacos.cli",),
    ("tacos.api", "tacos.__main__"),
)
"""Lowest first; a module imports from its own layer's package or from below. So selection imports neither `train` nor
`eval`, and those two not each other."""


def modules() -> dict[str, Path]:
    files = (p for top in ("tacos", "train", "eval") for p in (ROOT / top).rglob("*.py"))
    return {".".join(p.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): p for p in files}


def layer(module: str) -> tuple[int, str] | None:
    for number, names in enumerate(LAYERS):
        for name in names:
            if module == name or module.startswith(name + "."):
                return number, name
    return None


def type_checking_only(tree: ast.Module) -> set[ast.AST]:
    return {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }


def imports(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = type_checking_only(tree)
    found = []
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += [
                f"{node.module}.{a.name}" if node.module == "tacos" else node.module for a in node.names
            ]
    return [name for name in found if name.split(".")[0] in ("tacos", "train", "eval")]


@pytest.mark.parametrize("module", sorted(modules()))
def test_a_module_imports_from_below(module: str) -> None:
    own = layer(module)
    if module in ("tacos", "train", "eval"):
        return
    assert own is not None, f"{module} stands in no layer"
    for name in imports(modules()[module]):
        other = layer(name)
        if other is None:
            assert name == "tacos.__version__"
            continue
        allowed = other[1] == own[1] or other[0] < own[0]
        assert allowed, f"{module} (layer {own}) imports {name} (layer {other})"


def test_the_command_line_imports_nothing_heavy() -> None:
    heavy = ("torch", "transformers", "numpy", "wandb", "pydantic")
    code = f"import sys, tacos.cli.app; print([m for m in {heavy} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
