"""How a language model is asked: which one, with which words, how its tokens are drawn, how often anew.

One record for every part that asks: tagging, comparing, rating, judging. `prompt` is a packaged name or the user's own
file. In a file, fields stand as $name, or `fields` says what stands for them:

    prompt: compare_theirs.txt                              "... [Instruction 1]<Instruction 1> ..."
    fields: {"<Instruction 1>": prompt_1, ...}              what goes there

A packaged prompt comes with a JSON schema for its reply; a user's has none, and its reply is read by the same parser.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from tacos.llm.base import Request, Sampling
from tacos.llm.settings import LLMSettings
from tacos.prompts import SCHEMAS, check_own, fill, fill_own, load, packaged, read_own
from tacos.store.fingerprint import fingerprint
from tacos.types import Message, Record


def check_scale(low: float, high: float) -> None:
    """Raises: ValueError for a scale on which no score could lie above another."""
    if low >= high:
        raise ValueError(f"the scale ends where it begins: low {low:g}, high {high:g}")


class Asking(Record):
    """One way of asking."""

    llm: str | None = None
    """Which of the configured `llms` is asked."""
    prompt: str = ""
    """A packaged prompt, or a file of the user's."""
    system: str | None = None
    """A system message: text, or a file that holds it."""
    fields: dict[str, str] = Field(default_factory=dict)
    """What stands in the user's file -> the field that goes there; empty where fields stand as $name."""
    sampling: Sampling = Sampling()
    reask: int = Field(1, ge=0, le=5)
    """Times an unreadable reply is asked for again, each a call that is paid."""

    @property
    def is_packaged(self) -> bool:
        return self.prompt in packaged()

    def asks(self, llms: Mapping[str, LLMSettings]) -> str:
        """Who is asked, for a report: "LLM gpt-4o"."""
        known = llms.get(self.llm or "")
        return f"LLM {known.model if known else self.llm}"

    def check(self, known: Sequence[str], where: str) -> None:
        """known: the fields there are. Raises: ConfigError for a prompt that cannot be filled."""
        if not self.is_packaged:
            check_own(read_own(self.prompt), self.fields, known, where)

    def request(self, **values: str) -> Request:
        """The call for one sample or pair."""
        system = self.system_text
        messages = [Message(role="system", content=system)] if system else []
        messages.append(Message(role="user", content=self._filled(values)))
        schema = SCHEMAS.get(self.prompt) if self.is_packaged else None
        return Request(
            messages=tuple(messages), sampling=self.sampling, json_schema=schema, prompt=self.prompt_name
        )

    @property
    def prompt_name(self) -> str:
        """Names the words: a packaged name, or the hash of a file of the user's."""
        return self.prompt if self.is_packaged else fingerprint(read_own(self.prompt))

    def _filled(self, values: dict[str, str]) -> str:
        if self.is_packaged:
            return fill(self.prompt, **values)
        return fill_own(read_own(self.prompt), self.fields, values)

    @property
    def system_text(self) -> str | None:
        """The system message, read from its file where it is one."""
        if self.system and os.path.isfile(self.system):  # pathlib raises where a text is too long for a name
            return read_own(self.system).strip()
        return self.system

    def asked(self, llm: LLMSettings) -> dict[str, Any]:
        """What of the asking changes an answer: words and not their file, the model and not its place."""
        text = load(self.prompt).template if self.is_packaged else read_own(self.prompt)
        said = {"prompt": text, "system": self.system_text, "fields": self.fields}
        return said | {"llm": llm.identity(), "sampling": self.sampling.model_dump(), "reask": self.reask}
