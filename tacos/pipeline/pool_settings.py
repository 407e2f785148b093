"""What a config may say of the pool."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator, model_validator

from tacos.data.builtin.build import BuiltinSettings
from tacos.data.dedup import DedupSettings
from tacos.data.read import ReadSettings
from tacos.types import Record


class PoolSettings(Record):
    """Where the samples come from, and what is left out before selection."""

    source: str = "builtin"
    """"builtin", a file (JSON, JSONL, CSV, TSV or Parquet; also packed), or a hub id `org/name[:split]`."""
    builtin: BuiltinSettings = BuiltinSettings()
    read: ReadSettings = ReadSettings()
    dedup: DedupSettings = DedupSettings()
    holdout: int = Field(0, ge=0)
    """Rows set aside as test questions, their responses as references (not for the builtin pool)."""
    holdout_seed: int = 0
    questions: str | dict[str, str] | None = None
    """A JSONL of test questions (`question_id`, and `turns` or `text` or `instruction`; optional
    `category`, `reference`, `answer`) in place of held-out rows; or several files by the name of their set."""
    decontaminate: bool = True
    """Drop rows whose prompt is a test question or shares 13 words in a row with one."""

    @property
    def asks(self) -> bool:
        """Whether there are test questions of its own."""
        return self.source == "builtin" or bool(self.holdout or self.questions)

    @property
    def question_files(self) -> dict[str, str]:
        """Set -> file; a single file is a set without a name."""
        return {"": self.questions} if isinstance(self.questions, str) else self.questions or {}

    @field_validator("questions", mode="before")
    @classmethod
    def _file_or_sets(cls, said: Any) -> Any:
        if said is None or (isinstance(said, str) and said):
            return said
        if not isinstance(said, Mapping) or not said or not all(isinstance(f, str) for f in said.values()):
            raise ValueError(
                "give a file, or files by the name of their set, as in {vicuna: FILE, mine: FILE}"
            )
        if odd := [name for name in said if not re.fullmatch("[A-Za-z0-9_]+", str(name))]:
            raise ValueError(
                f"use letters, digits and underscore for the name of a question set, not {odd[0]!r}"
            )
        return said

    @model_validator(mode="after")
    def _one_test_set(self) -> PoolSettings:
        if self.holdout and self.questions:
            raise ValueError("set either holdout or questions, not both")
        if self.source == "builtin" and (self.holdout or self.questions):
            raise ValueError(
                "the builtin pool brings its own test questions: leave holdout and questions out"
            )
        return self
