"""Selection methods, one paper a file; importing this package registers them with all parts.

A part or a method of one's own is a module of its folder: nothing else has to be changed.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from tacos import allocation, grouping, scoring
from tacos.methods.base import METHODS, Choice, Method, resolved

_FOLDERS = {package.__name__: package.__path__ for package in (grouping, scoring, allocation)}
for _name, _path in [*_FOLDERS.items(), (__name__, __path__)]:
    for _module in iter_modules(_path, f"{_name}."):
        import_module(_module.name)

__all__ = ["METHODS", "Choice", "Method", "resolved"]
