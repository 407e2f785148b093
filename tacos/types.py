"""The records that travel between stages.

A `Pool` keeps its rows in one Arrow table, so a million samples cost columns and not a million
Python objects; a `Sample` is made when somebody asks for a row. What selection makes of a pool stands
in `tacos.selection`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from tacos.text_column import TextColumn, turns_of, without_input

Role = Literal["system", "user", "assistant"]


class Record(BaseModel):
    """Base of everything that touches disk, YAML or an LLM: typed, frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Message(Record):
    """One turn of a conversation."""

    role: Role
    content: str
    weight: Literal[0, 1] = 1
    """0 for an assistant turn that is context only: training leaves it out of the loss."""

    @model_serializer(mode="wrap")
    def _without_the_usual_weight(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """`{"role", "content"}`, with `weight` where it is 0."""
        data: dict[str, Any] = dump(self)
        if data.get("weight") == 1:
            del data["weight"]
        return data


class Sample(Record):
    """One instruction-tuning example.

    `input` is the part of the last user turn that came from a separate context column (Alpaca's
    `input`); it already stands at the end of that turn and is kept so that a method can leave it out.
    `extra` is what else the row held, where `pool.read.keep_columns` asked for it; any JSON.
    """

    id: str
    messages: tuple[Message, ...]
    source: str = ""
    """The set that it comes from."""
    input: str = ""
    extra: dict[str, Any] = Field(default_factory=dict)

    @property
    def prompt(self) -> str:
        """Every user turn, joined by a blank line."""
        return "\n\n".join(m.content for m in self.messages if m.role == "user")

    @property
    def instruction(self) -> str:
        """The prompt without its separate context."""
        prompt = self.prompt
        return prompt.removesuffix(self.input).rstrip() if self.input else prompt

    @property
    def response(self) -> str:
        """Every assistant turn, joined by a blank line."""
        return "\n\n".join(m.content for m in self.messages if m.role == "assistant")


def make_sample(prompt: str, response: str, *, id: str = "", source: str = "", input: str = "") -> Sample:
    """A single-turn sample; without an id it is named by a hash of its content."""
    text = f"{prompt}\n\n{input}" if input else prompt
    messages = (Message(role="user", content=text), Message(role="assistant", content=response))
    return Sample(id=id or content_id(messages), messages=messages, source=source, input=input)


class AnyTurn(Protocol):
    """A message, or what a reader has in place of one."""

    @property
    def role(self) -> str: ...

    @property
    def content(self) -> str: ...

    @property
    def weight(self) -> int: ...


def content_id(messages: Iterable[AnyTurn]) -> str:
    """16 hex digits naming a conversation by its content."""
    digest = hashlib.sha256()
    for message in messages:
        end = "\x1e" if message.weight else "\x1f0\x1e"
        digest.update(f"{message.role}\x1f{message.content}{end}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]


MESSAGE_TYPE = pa.struct([("role", pa.string()), ("content", pa.string()), ("weight", pa.int8())])
POOL_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("input", pa.string()),
        ("messages", pa.list_(MESSAGE_TYPE)),
        ("extra", pa.string()),
    ]
)
"""`extra` is JSON, null where there is none."""


def _row(sample: Sample) -> dict[str, Any]:
    messages = [dict(message) for message in sample.messages]
    extra = json.dumps(sample.extra) if sample.extra else None
    return {**dict(sample), "messages": messages, "extra": extra}


def _sample(row: dict[str, Any]) -> Sample:
    return Sample(**{**row, "extra": json.loads(row["extra"]) if row["extra"] else {}})


ROW_GROUP = 1 << 16
"""Rows that are stored together; a text column in one piece cannot pass 2 GB."""


class Pool(Sequence[Sample]):
    """A sequence of samples over one Arrow table; row order is the stored order and never changes."""

    def __init__(self, table: pa.Table):
        self.table = table

    @classmethod
    def from_samples(cls, samples: Iterable[Sample]) -> Pool:
        return cls(pa.Table.from_pylist([_row(sample) for sample in samples], schema=POOL_SCHEMA))

    @classmethod
    def read(cls, path: Path) -> Pool:
        return cls(pq.read_table(path))

    def write(self, path: Path) -> None:
        pq.write_table(self.table, path, row_group_size=ROW_GROUP)

    def __len__(self) -> int:
        return self.table.num_rows

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        return _sample(self.table.slice(range(len(self))[index], 1).to_pylist()[0])

    def __iter__(self) -> Iterator[Sample]:
        for batch in self.table.to_batches(max_chunksize=4096):
            for row in batch.to_pylist():
                yield _sample(row)

    def take(self, indices: Sequence[int] | np.ndarray) -> Pool:
        """The rows at `indices`, in that order."""
        rows = np.arange(len(self))[np.asarray(indices, dtype=np.int64)]
        wanted = np.zeros(len(self), dtype=bool)
        wanted[rows] = True
        table = self.table.filter(pa.array(wanted))  # chunk by chunk; `take` would copy the whole table first
        if len(table) < len(rows) or (np.diff(rows) < 0).any():
            place = np.cumsum(wanted) - 1
            table = table.combine_chunks().take(pa.array(place[rows]))
        return Pool(table)

    @cached_property
    def ids(self) -> TextColumn:
        return TextColumn(self.table.column("id"))

    @cached_property
    def position(self) -> Mapping[str, int]:
        """Row number by id."""
        return {id_: i for i, id_ in enumerate(self.ids)}

    def rows_of(self, ids: pa.ChunkedArray) -> np.ndarray:
        """(n_ids,) int64, the row of each. Raises: KeyError for an id that no row has."""
        found = pc.index_in(ids, value_set=self.ids.array)
        if found.null_count:
            raise KeyError(ids.filter(found.is_null())[0].as_py())
        return np.asarray(found.to_numpy(), dtype=np.int64)

    def by_id(self, id_: str) -> Sample:
        """Raises: KeyError when no row has this id."""
        return self[self.position[id_]]

    @cached_property
    def prompts(self) -> TextColumn:
        """As `Sample.prompt`."""
        return turns_of("user", self.table)

    @cached_property
    def instructions(self) -> TextColumn:
        """As `Sample.instruction`."""
        return without_input(self.prompts, self.table.column("input"))

    @cached_property
    def responses(self) -> TextColumn:
        """As `Sample.response`."""
        return turns_of("assistant", self.table)


class Question(Record):
    """One evaluation prompt. `reference` is a good response; `answer` the short checkable answer in it."""

    id: str
    turns: tuple[str, ...]
    category: str = ""
    set: str = ""
    """Which question set it is of, where several are asked."""
    reference: str | None = None
    answer: str | None = None


class Answer(Record):
    """A model's replies to one question, one per turn."""

    question_id: str
    model: str
    turns: tuple[str, ...]
    finish_reasons: tuple[str | None, ...] = ()
    """Why each turn ended, as in `Completion`, where one was cut off; () otherwise."""
    reasoned: int = 0
    """Turns from which a reasoning block was taken out."""


class Truth(Record):
    """What the generator of the builtin pool knows of a row; never shown to a selector."""

    id: str
    skill: str
    tier: int
    """Difficulty, 1 (one step) to 3."""
    defect: str | None = None
    answer: str = ""


class Trained(Record):
    """What an arm was trained on; equal loss tokens and steps make arms comparable."""

    samples: int
    """Those that were trained on."""
    epochs: float
    """Passes over them; more for an arm of fewer tokens, where the budget is in loss tokens."""
    steps: int
    tokens: int
    loss_tokens: int
    """Supervised tokens over all steps."""
    parameters: int | None = None
    """Of the base, those at work (`tacos.models.flops`); None in results of before they were counted."""
    flops: float | None = None
    """Floating-point operations of all steps, in the same sense; without those of validation."""
    final_loss: float
    """Training loss at the last step that was logged, or the mean over all where none was; in nats."""
    seconds: float
    dropped: int = 0
    """Samples without a supervised token within max_length."""
    truncated: int = 0
    """Samples cut at max_length."""
    template_hash: str
    """Names the chat template (`tacos.models.chat.template_hash`); arms of one are laid out alike."""
    validation_samples: int = 0
    """Of the selection, held out of training."""
    validation_loss: float | None = None
    """Mean over their supervised tokens, in nats; of the model that is kept."""
    best_step: int | None = None
    """The step whose model is kept, where the validation loss decides."""
    stopped_early: bool = False
    """Fewer steps than planned; arms that stop at different steps are not at an equal budget."""
