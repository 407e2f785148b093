"""What a model says, apart from what it thinks aloud: reasoning blocks taken out of a reply.

    "<think>First [[3]]. No.</think>\\n\\nRating: [[9]]"   ->  "Rating: [[9]]"
    "First [[3]]. No.\\n</think>\\nRating: [[9]]"          ->  "Rating: [[9]]"   (the prompt had the opening mark)
    "<think>First impression: [[3]]. But wait"            ->  "", unfinished: it was cut off while thinking
    "It never closes its `<think>` tag: [[2]]"            ->  as it stands: a mark in a sentence is no block

A mark at the start of the reply or of a line opens a block, closed or not; one inside a line does so only where it is
closed again; one in quotes is spoken of. Marks of DeepSeek-R1, Qwen, Magistral, Seed-OSS, Cohere, Kimi, OpenThoughts
and gpt-oss are known.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

_NAMES = (
    r"(?:think|thinking|thoughts?|inner_thoughts|reasoning|reasoning_content|reflection|scratchpad|analysis"
    r"|(?:inner|internal)_monologue|(?:seed|mm):think)"
)
_OPEN = (
    rf"< ?{_NAMES}(?:\s[^<>\n]{{0,80}})?>|\[THINK\]|◁think▷|<\|START_THINKING\|>|<\|begin_of_thought\|>"
    r"|(?:<\|start\|>assistant)?<\|channel\|>(?:analysis|commentary)(?:<\|message\|>)?"
)
_CLOSE = (
    rf"< ?/ ?{_NAMES}\s?>|\[/THINK\]|◁/think▷|<\|END_THINKING\|>|<\|end_of_thought\|>"
    r"|(?:<\|end\|>)?(?:<\|start\|>assistant)?<\|channel\|>final(?:<\|message\|>)?"
)
_QUOTES = "`\"'\u201c\u201d\u2018\u2019"
_MARK = re.compile(rf"(?<![{_QUOTES}\w])(?P<open>{_OPEN})|(?P<close>{_CLOSE})", re.IGNORECASE)
_ENDED = tuple(".!?\u2026\u3002\uff01\uff1f")
_FIRST = re.compile(r"[<\[◁]")
_PLAIN_CHANNELS = re.compile(r"\A\s*analysis(?=[A-Z\"'(*]).*assistantfinal", re.DOTALL)
"""gpt-oss where a server drops the special tokens and keeps the words between them."""


_SPECIAL = re.compile(r"<[^<>\s]{1,40}>|\[/?(?:THINK|INST|EOS)\]|")
"""A token that a server's text does not show, such as <|im_end|>."""
_BLANK = str.maketrans({"\u2581": " ", "\u0120": " ", "\u010a": "\n"})
"""How vocabularies write white space."""


class Spoken(NamedTuple):
    """text: without the reasoning. unfinished: the reply ends inside a block. reasoned: there was a block."""

    text: str
    unfinished: bool = False
    reasoned: bool = False


def spoken(reply: str) -> Spoken:
    """`reply` without its reasoning; as it stands, to the character, where it has none."""
    if words := _PLAIN_CHANNELS.match(reply):
        return Spoken(reply[words.end() :].strip(), reasoned=True)
    if _FIRST.search(reply) is None:
        return Spoken(reply)
    kept: list[str] = []
    at, block, firm, reasoned = 0, -1, False, False
    for mark in _MARK.finditer(reply):
        if mark["open"]:
            begins_line = _begins_line(reply, mark.start())
            if block < 0 or (begins_line and not firm):
                block, firm = mark.start(), begins_line
            continue
        if block >= 0:
            kept.append(reply[at:block])
        elif _ends_all_before(reply, mark):
            kept = []
        else:
            continue
        at, block, reasoned = mark.end(), -1, True
    unfinished = block >= 0 and firm
    if not reasoned and not unfinished:
        return Spoken(reply)
    kept.append(reply[at:block] if unfinished else reply[at:])
    return Spoken("".join(kept).strip(), unfinished, reasoned=True)


def answered(reply: str) -> Spoken:
    """A candidate's answer: `reply` without the reasoning it begins with. Marks further on are part of the answer,
    which may be a text about them."""
    if _PLAIN_CHANNELS.match(reply):
        return spoken(reply)
    marks = list(_MARK.finditer(reply)) if _FIRST.search(reply) else []
    opens = bool(marks) and bool(marks[0]["open"]) and not reply[: marks[0].start()].strip()
    ends = (m for m in marks if m["close"] and (opens or _ends_all_before(reply, m)))
    end = next(ends, None) if opens or (marks and marks[0]["close"]) else None
    if end is None:
        return Spoken("", unfinished=True, reasoned=True) if opens else Spoken(reply)
    return Spoken(reply[end.end() :].strip(), reasoned=True)


def _ends_all_before(text: str, mark: re.Match[str]) -> bool:
    """Whether a closing mark ends a block whose opening mark stood in the prompt: it begins or ends a line, or stands
    behind a whole sentence or right before a word."""
    before, after = text[max(0, mark.start() - 20) : mark.start()], text[mark.end() : mark.end() + 20]
    if _begins_line(text, mark.start()) or before.endswith(tuple(_QUOTES)):
        return _begins_line(text, mark.start())
    ends_line = after.lstrip(" \t")[:1] in ("", "\n", "\r")
    glued = after[:1].isalnum() and not before[-1:].isspace()
    return ends_line or glued or before.rstrip().endswith(_ENDED)


def _begins_line(text: str, at: int) -> bool:
    return not text[text.rfind("\n", 0, at) + 1 : at].strip()


def answer_start(tokens: Sequence[str], reply: str) -> int | None:
    """The place of the answer's first word among the tokens of a whole reply; None where they are not its tokens.

    The answer stands behind any reasoning, which a server may have taken out of `reply`, so it is looked for from the
    end. White space, marks such as "**" and special tokens at the end are passed over.

    ["Okay", ".", "\\n\\n", "**", "A", "**", "<|im_end|>"], "**A**"  ->  4
    """
    wanted, end = spoken(reply).text.strip(), len(tokens)
    while (
        end and _SPECIAL.fullmatch(last := tokens[end - 1].strip()) and not (last and wanted.endswith(last))
    ):
        end -= 1
    tail = ""
    for start in range(end - 1, -1, -1):
        tail = tokens[start].translate(_BLANK) + tail
        if len(tail.strip()) >= len(wanted):
            if not wanted or tail.strip() != wanted:
                return None
            return next((i for i in range(start, end) if any(map(str.isalnum, tokens[i]))), start)
    return None
