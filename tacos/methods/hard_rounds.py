"""The rounds of IterSelectTune on disk: what one hands to the next, and the record of what it did.

state.npz      of every row: the round it was judged in, its label, M
batch.jsonl    {"id", "m", "r", "q", "hard", "error"} of every row of the round's batch, highest Q first
rounds.jsonl   one `RoundRecord` per round so far
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tacos.methods.hard_judges import Label
from tacos.scoring.hardness import ClassifierCheck
from tacos.store.files import read_jsonl, write_jsonl
from tacos.types import Record


class RoundRecord(Record):
    """One line of rounds.jsonl. Rows without a label (`unread`) count in no share."""

    round: int
    batch: tuple[str, ...]
    """Ids, highest Q first."""
    labels: tuple[int | None, ...]
    """1 hard, 0 easy; None where the base model gave no answer or the verdict could not be read."""
    hard: int
    easy: int
    unread: int
    hard_share: float | None
    judge_calls: int
    """Pairs shown to the judge, whether or not that is an LLM."""
    check: ClassifierCheck | None = None
    """The retrained classifier on labels it has not seen; None where there are too few."""
    llm_calls: int = 0
    """Calls of the judge with those asked again, and of the base model where it is an LLM; replies from the cache
    count too."""
    seconds: float = 0.0
    """Of the process that finished the round."""
    stop: str | None = None
    """Why training ends here, if it does before the limit of rounds."""

    @classmethod
    def of(cls, number: int, ids: Sequence[str], labels: Sequence[Label]) -> RoundRecord:
        """What the labels of a batch say; ids and labels are aligned."""
        found = [None if label.hard is None else int(label.hard) for label in labels]
        hard, easy = found.count(1), found.count(0)
        return cls(
            round=number,
            batch=tuple(ids),
            labels=tuple(found),
            hard=hard,
            easy=easy,
            unread=found.count(None),
            hard_share=hard / (hard + easy) if hard + easy else None,
            judge_calls=sum(label.calls for label in labels),
        )

    @property
    def summary(self) -> str:
        """The round in a line."""
        unread = f", {self.unread} unread" if self.unread else ""
        check = f"AUC {self.check.auc:.2f}" if self.check else "too few labels of a class to check M"
        stop = f"; training stops: {self.stop}" if self.stop else ""
        return (
            f"round {self.round}: {self.hard} hard, {self.easy} easy{unread}; {check}; "
            f"{self.judge_calls} judge calls, {self.seconds:.1f} s{stop}"
        )


@dataclass(frozen=True)
class State:
    """What a round hands to the next; (n,) each."""

    round: np.ndarray
    """The round in whose batch a row stood; 0 for none."""
    label: np.ndarray
    """1 hard, 0 easy, -1 not judged or without a readable verdict."""
    hardness: np.ndarray
    """M(x) after the last retraining; NaN before the first."""

    @classmethod
    def fresh(cls, n: int) -> State:
        return cls(np.zeros(n, np.int16), np.full(n, -1, np.int8), np.full(n, np.nan, np.float32))

    @classmethod
    def read(cls, folder: Path) -> State:
        with np.load(folder / "state.npz") as stored:
            return cls(**stored)

    def write(self, folder: Path) -> None:
        np.savez(folder / "state.npz", **vars(self))

    @property
    def hard(self) -> np.ndarray:
        """D^H so far, as row numbers."""
        return np.flatnonzero(self.label == 1)

    @property
    def labelled(self) -> np.ndarray:
        return np.flatnonzero(self.label >= 0)

    def judged(self, number: int, rows: np.ndarray, labels: Sequence[Label]) -> State:
        """With the labels of a round's batch."""
        round_, label = self.round.copy(), self.label.copy()
        round_[rows] = number
        label[rows] = [-1 if found.hard is None else int(found.hard) for found in labels]
        return replace(self, round=round_, label=label)


@dataclass(frozen=True)
class Ranked:
    """Row numbers with their M, R and Q, highest Q first; NaN where there is no M yet."""

    rows: np.ndarray
    m: np.ndarray
    r: np.ndarray
    q: np.ndarray

    @classmethod
    def unknown(cls, rows: np.ndarray) -> Ranked:
        """Rows in the order they come in, without scores."""
        nothing = np.full(len(rows), np.nan, np.float32)
        return cls(rows, nothing, nothing, nothing)

    @classmethod
    def joined(cls, parts: Sequence[Ranked]) -> Ranked:
        """One after the other."""
        return cls(
            *(np.concatenate([getattr(part, name) for part in parts]) for name in ("rows", "m", "r", "q"))
        )

    def where(self, chosen: np.ndarray | slice) -> Ranked:
        return Ranked(self.rows[chosen], self.m[chosen], self.r[chosen], self.q[chosen])

    def top(self, count: int) -> Ranked:
        return self.where(slice(count))


def batch_rows(ids: Sequence[str], ranked: Ranked, labels: Sequence[Label]) -> Iterator[dict[str, Any]]:
    """The lines of batch.jsonl. ids: of the pool."""
    columns = (values.tolist() for values in (ranked.rows, ranked.m, ranked.r, ranked.q))
    for row, m, r, q, label in zip(*columns, labels, strict=True):
        scores = {"m": _number(m), "r": _number(r), "q": _number(q)}
        yield {"id": ids[row], **scores, "hard": label.hard, "error": label.error}


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 6)


def read_records(folder: Path) -> list[RoundRecord]:
    return [RoundRecord.model_validate(row) for row in read_jsonl(folder / "rounds.jsonl")]


def write_records(records: Sequence[RoundRecord], folder: Path) -> None:
    write_jsonl(folder / "rounds.jsonl", (record.model_dump() for record in records))


def totals(records: Sequence[RoundRecord]) -> dict[str, int]:
    """Over all rounds."""
    fields = ("hard", "easy", "unread", "judge_calls", "llm_calls")
    added = {name: sum(getattr(record, name) for record in records) for name in fields}
    return {"rounds": len(records), "judged": sum(len(record.batch) for record in records), **added}
