"""Select instruction-tuning data, fine-tune on it, judge the model, report what the selection bought.

The functions and registries of `tacos.api` are found here too, each when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tacos.api import (
        ALLOCATORS,
        GROUPERS,
        METHODS,
        SCORERS,
        load,
        load_results,
        plan,
        read_pool,
        run,
        select,
        shipped_configs,
        train,
    )

__version__ = "0.1.0"
__all__ = [
    "ALLOCATORS",
    "GROUPERS",
    "METHODS",
    "SCORERS",
    "load",
    "load_results",
    "plan",
    "read_pool",
    "run",
    "select",
    "shipped_configs",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module("tacos.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
