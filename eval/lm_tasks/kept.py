"""Results of requests, kept as they come: a run that was killed goes on from those it has.

    {"key": "5f0c2b9e7d31a648", "value": [-12.25, false]}      a continuation: log-probability, whether greedy
    {"key": "c81d44e09b6f2a57", "value": "18 eggs."}           a reply

A key is a hash of all that makes the result: the model by content, its numbers and context, the request as token
ids. So tasks may be added, reordered or limited otherwise between two runs, and several models may share a file; what
is known is never computed again. A line that a kill has cut off is computed anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tacos.store.files import cannot_write


class KeptResults:
    """path: None keeps results in memory alone. identity: what makes the results beside the requests."""

    def __init__(self, path: Path | None, identity: Mapping[str, Any]):
        self.path = path
        self._identity = json.dumps(identity, sort_keys=True)
        self._known: dict[str, Any] = read_results(path) if path else {}

    def key(self, *request: Any) -> str:
        """16 hex digits. request: anything JSON can hold."""
        named = json.dumps([self._identity, *request], sort_keys=True)
        return hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def answer(
        self, keys: Sequence[str], work: Callable[[list[int]], Iterator[tuple[int, Any]]]
    ) -> list[Any]:
        """The result of each key, in order; what is not known is worked out once, and kept as it comes.

        work: places of keys -> (place among these, result), in any order. Raises: TacosError when the file cannot be
        written.
        """
        first = {key: place for place, key in reversed(list(enumerate(keys)))}
        owed = sorted(place for key, place in first.items() if key not in self._known)
        if owed:
            self._mend()
            for place, value in work(owed):
                self._keep(keys[owed[place]], value)
        return [self._known[key] for key in keys]

    def _keep(self, key: str, value: Any) -> None:
        self._known[key] = value
        if self.path is not None:
            self._append(json.dumps({"key": key, "value": value}, ensure_ascii=False) + "\n")

    def _mend(self) -> None:
        """A torn last line is ended, so that the next one begins on its own."""
        if self.path is None or not self.path.exists() or not self.path.stat().st_size:
            return
        with self.path.open("rb") as file:
            file.seek(-1, 2)
            whole = file.read() == b"\n"
        if not whole:
            self._append("\n")

    def _append(self, text: str) -> None:
        """The file is closed again: the system has the line, whatever kills us."""
        assert self.path is not None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8", errors="surrogatepass") as file:
                file.write(text)
        except OSError as error:
            raise cannot_write(self.path, error) from error


def read_results(path: Path) -> dict[str, Any]:
    """Key -> result, as far as lines are whole."""
    found: dict[str, Any] = {}
    if not path.exists():
        return found
    with path.open(encoding="utf-8", errors="surrogatepass") as file:
        for line in file:
            try:
                row = json.loads(line)
                found[row["key"]] = row["value"]
            except (ValueError, KeyError, TypeError):
                continue  # torn by a kill
    return found
