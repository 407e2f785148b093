"""Names for parts and methods: register with a decorator, look up with a helpful error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from tacos.errors import ConfigError, nearest

T = TypeVar("T")


class Registry(Generic[T]):
    """A mapping from name to part; `kind` is the word used in errors ("method", "scorer", ...)."""

    def __init__(self, kind: str):
        self.kind = kind
        self._items: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """A class takes the place of the one that it was before its cell or module ran again.

        Raises: ConfigError when another has the name, since two would answer to it.
        """

        def decorate(item: T) -> T:
            there = self._items.get(name)
            if there is not None and _defined(there) != _defined(item):
                raise ConfigError(
                    f"{self.kind} {name!r} is both {_defined(there)} and {_defined(item)}: "
                    "give yours another name"
                )
            self._items[name] = item
            return item

        return decorate

    def get(self, name: str, where: str = "") -> T:
        """where: the setting that names it. Raises: ConfigError with the nearest known name."""
        if name not in self._items:
            at = f"{where}: " if where else ""
            raise ConfigError(f"{at}unknown {self.kind} {name!r}: {nearest(name, self._items)}")
        return self._items[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._items))

    def __contains__(self, name: object) -> bool:
        return name in self._items


def _defined(item: object) -> str:
    """Where a class is defined; anything else, as it says of itself."""
    return f"{item.__module__}.{item.__qualname__}" if isinstance(item, type) else repr(item)
