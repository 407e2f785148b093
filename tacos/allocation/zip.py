"""The rows that make the selection compress least (ZIP, arXiv 2407.06645).

    ratio(texts) = bytes of all texts together / bytes of their zlib compression, level 9;  lower is less redundant

Until the budget, each round: of the `candidates` rows that had the lowest ratio so far, find the ratio of each together
with all that is selected; keep the `shortlist` lowest; from those take `take` one by one, each time the row with the
lowest ratio together with what this round took.

Worked example, one candidate a round: "abcabcabc" repeats itself and has a higher ratio than "abdxqplmz", so the
latter is taken first.

The compressor's state after the selected texts is kept and copied for each candidate, which gives the same bytes as
compressing all again. Of equal ratios the first row is taken. zlib looks back 32 KiB, so that of a long selection only
the end is compared; another zlib than the usual one may compress to other sizes, and pick other rows.

`variant` of what the paper says and its code does (USTC-StarTeam/ZIP):
* released: all rows of a shortlist count as used, although half of them are not taken; paper: the others stay. Where
  a pool runs out, those that were not taken are opened again; the released code fails.
* released: a text is Python's form of a list of ShareGPT rows with `conversations` and `source`; paper: prompt and
  response, line by line.
* The released code goes on to the end of a round and returns more rows than the budget; here the budget cuts it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Literal

import numpy as np
from pydantic import Field

from tacos.allocation.base import candidates, picked
from tacos.models.embedder import texts_of
from tacos.part import Allocator, allocator
from tacos.progress import track
from tacos.selection import Groups, Pick, Scores
from tacos.stage import Job
from tacos.types import Pool

SHAREGPT = {"user": "human", "assistant": "gpt", "system": "system"}


@allocator(
    "zip",
    summary="rows that compress least together with those before them",
    paper="arXiv 2407.06645",
    needs="nothing",
    cost="none",
)
class ZipSelection(Allocator):
    """The sizes of a round."""

    reads_scores = None

    candidates: int = Field(10_000, ge=1)
    """K1: rows whose ratio is found again in a round."""
    shortlist: int = Field(200, ge=1)
    """K2: rows of them that a round chooses from."""
    take: int = Field(100, ge=1)
    """K3: rows that a round takes."""
    variant: Literal["paper", "released"] = "paper"
    """What counts as used, and what is compressed."""

    def allocate(self, groups: Groups, scores: Scores, budget: int, job: Job) -> list[Pick]:
        """Raises: BudgetError when there are fewer rows, or fewer with a score where there are scores."""
        rows = candidates(groups, scores, budget)
        pool = job.pool().take(rows)
        if self.variant == "released":
            archive = Archive(sharegpt(pool), b"[", b", ", b"]")
        else:
            pairs = (text.encode("utf-8", "surrogatepass") for text in texts_of(pool, "pair"))
            archive = Archive(pairs, b"", b"\n", b"")
        return picked(rows[self.rounds(archive, budget)], groups, scores, "compresses least")

    def rounds(self, archive: Archive, budget: int) -> list[int]:
        """Numbers of texts in the order they are taken."""
        ratios = archive.ratios([], range(len(archive)))
        chosen: list[int] = []
        used: set[int] = set()
        while len(chosen) < budget:
            if len(used) == len(archive):
                used = set(chosen)
            left = np.array(sorted(set(range(len(archive))) - used))
            lowest = left[np.argsort(ratios[left], kind="stable")[: self.candidates]]
            ratios[lowest] = archive.ratios(chosen, track(lowest.tolist(), "zip"))
            short = lowest[np.argsort(ratios[lowest], kind="stable")[: self.shortlist]].tolist()
            new = archive.least(short, min(self.take, budget - len(chosen)))
            chosen += new
            used.update(short if self.variant == "released" else new)
        return chosen


class Archive:
    """Texts that are compressed together: `begin`, the texts with `between` them, `end`."""

    def __init__(self, texts: Iterable[bytes], begin: bytes, between: bytes, end: bytes):
        self.texts = list(texts)
        self.begin, self.between, self.end = begin, between, end

    def __len__(self) -> int:
        return len(self.texts)

    def ratios(self, held: list[int], rows: Iterable[int]) -> np.ndarray:
        """The ratio of each of `rows` together with all of `held` before it."""
        head = self.begin + b"".join(self.texts[row] + self.between for row in held)
        state = zlib.compressobj(9)
        written = len(state.compress(head))
        return np.array([self._ratio(state, written, len(head), self.texts[row] + self.end) for row in rows])

    @staticmethod
    def _ratio(state: zlib._Compress, written: int, read: int, text: bytes) -> float:
        after = state.copy()
        written += len(after.compress(text)) + len(after.flush())
        return (read + len(text)) / written

    def least(self, rows: list[int], count: int) -> list[int]:
        """At most `count` of `rows`, one by one, each the lowest together with those before it."""
        taken: list[int] = []
        left = list(rows)
        while left and len(taken) < count:
            taken.append(left.pop(int(self.ratios(taken, left).argmin())))
        return taken


def sharegpt(pool: Pool) -> Iterable[bytes]:
    """Each sample as Python writes the ShareGPT row that it may have come from."""
    for sample in pool:
        turns = [{"from": SHAREGPT[m.role], "value": m.content} for m in sample.messages]
        yield str({"conversations": turns, "source": sample.source}).encode("utf-8", "surrogatepass")
