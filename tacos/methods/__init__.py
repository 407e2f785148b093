"""One published method, one file; importing this package registers them all."""

from tacos.methods import baselines, car, iterselecttune, tacos
from tacos.methods.base import METHODS, Method

__all__ = ["METHODS", "Method", "baselines", "car", "iterselecttune", "tacos"]
