"""One published method, one file; importing this package registers them, and every part.

A part is registered by its file: all modules of `tacos.grouping`, `tacos.scoring` and `tacos.allocation` are imported
here, so that adding a part is adding a file.
"""

from importlib import import_module
from pkgutil import iter_modules

from tacos import allocation, grouping, scoring
from tacos.methods import (
    baselines,
    car,
    dpp,
    free,
    instag,
    iterselecttune,
    k_center,
    kmeans,
    mig,
    novelselect,
    qdit,
    tacos,
    zip,
)
from tacos.methods.base import METHODS, Choice, Method, resolved

for _package in (grouping, scoring, allocation):
    for _module in iter_modules(_package.__path__, f"{_package.__name__}."):
        import_module(_module.name)

__all__ = [
    "METHODS",
    "Choice",
    "Method",
    "baselines",
    "car",
    "dpp",
    "free",
    "instag",
    "iterselecttune",
    "k_center",
    "kmeans",
    "mig",
    "novelselect",
    "qdit",
    "resolved",
    "tacos",
    "zip",
]
