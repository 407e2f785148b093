"""The part of a long list of requests that is looked at: read ahead a little, asked, and forgotten.

A million requests come from an iterator and leave as replies; what is held is a block of requests read
ahead, the calls in flight, and a block of replies found in the cache. With `BLOCK` = 256:

    rows 0..255 are read, 200 of them known   ->  200 replies ready, 56 queued
    the queue runs dry                        ->  rows 256..511 are read

Equal requests within the window are asked once; later ones find the reply in the cache.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

from tacos.llm.base import Completion, Reply, Request

BLOCK = 256
"""Requests per look into the cache: a millisecond."""


class Window:
    """source: (key, request) pairs. look_up: keys -> their replies in the cache; look_again: the same for keys that
    came up before, whose replies are on this work's bill already."""

    def __init__(
        self,
        source: Iterable[tuple[bytes, Request]],
        look_up: Callable[[Sequence[bytes]], Mapping[bytes, Completion]],
        look_again: Callable[[Sequence[bytes]], Mapping[bytes, Completion]],
    ):
        self.queue: deque[tuple[bytes, Request]] = deque()
        """To be asked."""
        self.ready: deque[Reply] = deque()
        """Found in the cache, to be handed out."""
        self.repeats = 0
        """Rows so far whose request another row of this work had made: it is paid once, by that row."""
        self._seen: set[int] = set()
        """The first 8 bytes of every key so far; some 70 MB for a million."""
        self._source = iter(source)
        self._look_up, self._look_again = look_up, look_again
        self._rows: dict[bytes, list[int]] = {}
        """The rows that wait for each key, queued or in flight."""
        self._read = 0

    def fill(self) -> bool:
        """Whether there is something to ask. Reads on until there is, or until a block of known replies has
        to be handed out first, or to the end."""
        while not self.queue and len(self.ready) < BLOCK and self._read_block():
            pass
        return bool(self.queue)

    def settle(self, key: bytes, completion: Completion) -> Iterator[Reply]:
        """A reply for every row that waited for it. It was paid once, so all but the first are `cached`."""
        first, *others = self._rows.pop(key)
        yield Reply(first, completion)
        if others:
            again = completion if completion.cached else completion.model_copy(update={"cached": True})
            for row in others:
                yield Reply(row, again)

    def _known(self, keys: list[bytes]) -> dict[bytes, Completion]:
        """Replies in the cache; those to keys that came up before are counted as repeats."""
        before = [key for key in keys if int.from_bytes(key[:8], "big") in self._seen]
        again = self._look_again(before) if before else {}
        self.repeats += len(again)
        fresh = [key for key in keys if key not in again]
        self._seen.update(int.from_bytes(key[:8], "big") for key in fresh)
        return {**again, **(self._look_up(fresh) if fresh else {})}

    def _read_block(self) -> bool:
        new: dict[bytes, Request] = {}
        start = self._read
        for key, request in islice(self._source, BLOCK):
            if key in self._rows:
                self._rows[key].append(self._read)
                self.repeats += 1
            else:
                self._rows[key] = [self._read]
                new[key] = request
            self._read += 1
        known = self._known(list(new))
        for key, request in new.items():
            if key in known:
                self.ready.extend(self.settle(key, known[key]))
            else:
                self.queue.append((key, request))
        return self._read > start
