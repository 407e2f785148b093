"""A preamble inside the user turn, below the chat template of the model.

TACOS's authors trained and asked in it: each row of their main training sets holds the Alpaca preamble in the user turn
of a llama-2 or mistral conversation, and so do their test questions, MT-Bench's excepted [released data and code].

    "Sort these." + input "b, a"   ->   "Below is an instruction ... ### Instruction: Sort these. ### Input: b, a"

The pieces stand in one line, as in the released sets; no "### Response:" follows, since the template opens the answer.
A turn that begins with the preamble stays as it is, so the released sets are not wrapped twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from tacos.types import Message, Pool, Sample

Wrap = Literal["none", "alpaca"]

# The format of https://github.com/tatsu-lab/stanford_alpaca, on which trained models depend to the letter.
TASK = "Below is an instruction that describes a task"
ALONE = f"{TASK}. Write a response that appropriately completes the request."
WITH_INPUT = (
    f"{TASK}, paired with an input that provides further context. Write a response that appropriately completes the "
    "request."
)


def wrap_messages(messages: Sequence[Message], wrap: Wrap, input: str = "") -> list[Message]:
    """The conversation with every user turn wrapped. input: the separate context at the end of the last one."""
    if wrap == "none":
        return list(messages)
    last = max((i for i, message in enumerate(messages) if message.role == "user"), default=-1)
    return [
        message.model_copy(update={"content": alpaca(message.content, input if i == last else "")})
        if message.role == "user"
        else message
        for i, message in enumerate(messages)
    ]


def wrap_pool(pool: Pool, wrap: Wrap) -> Pool:
    """Every sample wrapped, its input where it has one."""
    if wrap == "none":
        return pool
    return Pool.from_samples(_wrapped(sample, wrap) for sample in pool)


def _wrapped(sample: Sample, wrap: Wrap) -> Sample:
    return sample.model_copy(update={"messages": tuple(wrap_messages(sample.messages, wrap, sample.input))})


def alpaca(text: str, input: str = "") -> str:
    """A user turn in the Alpaca preamble. input: what the text ends with, if that is a context of its own."""
    if text.startswith(TASK):
        return text
    if not input or not text.endswith(input):
        return f"{ALONE} ### Instruction: {text}"
    return f"{WITH_INPUT} ### Instruction: {text.removesuffix(input).rstrip()} ### Input: {input}"
