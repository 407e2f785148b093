"""The rows that make the selection compress least (ZIP, arXiv 2407.06645).

    ratio(texts) = bytes of all texts together / bytes of their zlib compression, level 9;  lower is less redundant

Until the budget, each round: of the `candidates` rows that had the lowest ratio so far, find the ratio of each together
with all that is selected; keep the `shortlist` lowest; from those take `take` one by one, each time the row with the
lowest ratio together with what this round took.

Worked example, one candidate a round: "abcabcabc" repeats itself and has a higher ratio than "abdxqplmz", so the
latter is taken first.

The compressor's state after the selected texts is kept and copied for each candidate, which gives the same bytes as
compressing all again. zlib looks back 32 KiB, so that of a long selection only the end is compared; another zlib than
the usual one may compress to other sizes, and pick other rows.

`variant` of what the paper says and its code does (USTC-StarTeam/ZIP):
* released: all rows of a shortlist count as used, although half of them are not taken; paper: the others stay. Where
  fewer than K1 rows are left, the released code looks at used ones again and may take a row twice; here they stay out,
  and when the pool runs out, those that were not taken are opened again.
* released: a text is Python's form of a list of ShareGPT rows with `conversations` and `source`; paper: prompt and
  response, line by line.
* released: of equal ratios, which are common in single precision, the row is taken that `torch.topk` happens to choose;
  paper: the first one.
* The released code goes on to the end of a round and returns more rows than the budget; here the budget cuts it.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Literal

import numpy as np
from pydantic import Field

from tacos.allocation.base import candidates, picked
from tacos.models.embedded import texts_of
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
            state = ratios.copy()
            state[list(used)] = np.inf
            near = self.lowest(state, min(self.candidates, len(archive) - len(used)))
            ratios[near] = archive.ratios(chosen, track(near.tolist(), "zip"))
            short = near[self.lowest(ratios[near], min(self.shortlist, len(near)))].tolist()
            new = self.one_by_one(archive, short, min(self.take, budget - len(chosen), len(short)))
            chosen += new
            used.update(short if self.variant == "released" else new)
        return chosen

    def one_by_one(self, archive: Archive, short: list[int], count: int) -> list[int]:
        """`count` of `short`, each the lowest together with those before it."""
        left = np.array(short)
        taken: list[int] = []
        open_ = np.ones(len(left), dtype=bool)
        while len(taken) < count:
            state = np.full(len(left), np.inf)
            state[open_] = archive.ratios(taken, left[open_].tolist())
            place = int(self.lowest(state, 1)[0])
            open_[place] = False
            taken.append(int(left[place]))
        return taken

    def lowest(self, ratios: np.ndarray, count: int) -> np.ndarray:
        """Places of the `count` lowest, from the lowest on."""
        if self.variant == "paper":
            return np.argsort(ratios, kind="stable")[:count]
        import torch

        single = torch.tensor(ratios, dtype=torch.float32)
        return np.asarray(torch.topk(single, count, largest=False).indices)


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


def sharegpt(pool: Pool) -> Iterable[bytes]:
    """Each sample as Python writes the ShareGPT row that it may have come from."""
    for sample in pool:
        turns = [{"from": SHAREGPT[m.role], "value": m.content} for m in sample.messages]
        yield str({"conversations": turns, "source": sample.source}).encode("utf-8", "surrogatepass")
