"""A conversation as the text of its chat template, in which special tokens stand only where the template put them.

A template writes its control tokens as strings, and a tokenizer reads every such string as the token, also one that
somebody typed: an answer that explains "<|end|>" would teach the model to stop there, and a question could open a
turn of its own. So a string like that in a message is cut behind its first letter before ids are made; the two
pieces become ids of their own (`tacos.models.chat.tokenize`), which spell the same text:

    said "say <|end|> twice"  ->  say <·|end|> twice              · is a letter that no message holds
    rendered, and cut where the · stood: "<|user|>say <" and "|end|> twice<|end|>"

The strings are the tokenizer's special tokens, and other added tokens with which its template opens or closes a turn.
Added tokens that people are meant to write, such as "<think>" where it is no special token, are left to the tokenizer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from tacos.errors import ConfigError
from tacos.types import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MARKER = re.compile(r"\{%-?\s*generation\s*-?%\}")
PRIVATE = range(0xE000, 0xF900)
"""Letters without a meaning in Unicode, one of which keeps the place of a cut while the template runs."""

Span = tuple[int, int]
"""First character and the one after the last."""


class Rendered(NamedTuple):
    """The text of a conversation."""

    text: str
    spans: list[Span]
    """Inside the template's generation markers; of `tacos.models.chat.render_spans`, what the assistant says."""
    cuts: list[int]
    """Where the strings of special tokens in messages are cut."""


def template_of(tokenizer: PreTrainedTokenizerBase) -> str:
    """Raises: ConfigError when there is none."""
    template = tokenizer.chat_template
    if isinstance(template, dict):
        if "default" not in template:
            raise ConfigError(
                f"the tokenizer {tokenizer.name_or_path!r} has chat templates named {', '.join(template)} and none "
                "named default: set `template` to one by name, such as 'plain'"
            )
        template = template["default"]
    if not template:
        raise ConfigError(
            f"the tokenizer {tokenizer.name_or_path!r} has no chat template; "
            "call ensure_template(tokenizer) first"
        )
    return str(template)


def render(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], prompt: bool = False) -> Rendered:
    """The text of a conversation. Raises: ConfigError where the template refuses it."""
    marks = control_marks(tokenizer)
    contents, letter = cut(marks, [message.content for message in messages])
    text, spans = apply_template(tokenizer, [m.role for m in messages], contents, prompt)
    return restored(text, spans, letter) if letter else Rendered(text, spans, [])


def apply_template(
    tokenizer: PreTrainedTokenizerBase, roles: Sequence[str], contents: Sequence[str], prompt: bool
) -> tuple[str, list[Span]]:
    """Text and the spans inside generation markers. `apply_chat_template` tells of the markers by token only."""
    from transformers.utils.chat_template_utils import render_jinja_template

    template = template_of(tokenizer)
    tokens: dict[str, Any] = dict(tokenizer.special_tokens_map)
    turns = [{"role": role, "content": content} for role, content in zip(roles, contents, strict=True)]
    marked = bool(MARKER.search(template))
    apply: Any = render_jinja_template  # typed as giving one text
    try:
        texts, spans = apply(
            [turns],
            chat_template=template,
            return_assistant_tokens_mask=marked,
            add_generation_prompt=prompt,
            **tokens,
        )
    except Exception as error:  # a template is a program, and raises what it likes
        raise ConfigError(
            f"the chat template of {tokenizer.name_or_path!r} refuses a conversation: {error}; "
            "set `template` to another one, such as 'plain'"
        ) from error
    return texts[0], spans[0] if marked else []


def control_marks(tokenizer: PreTrainedTokenizerBase) -> re.Pattern[str] | None:
    """Finds the strings of special tokens and of turns in a text; None where the tokenizer has none."""
    return _control_marks(tokenizer, len(tokenizer), template_of(tokenizer))


@lru_cache(maxsize=4)
def _control_marks(tokenizer: PreTrainedTokenizerBase, size: int, template: str) -> re.Pattern[str] | None:
    """By number of tokens and template, which are what changes of a tokenizer."""
    prompt = whole = ""
    with suppress(ConfigError):
        prompt, _ = apply_template(tokenizer, ["user"], ["Hi"], prompt=True)
        whole, _ = apply_template(tokenizer, ["user", "assistant"], ["Hi", "Hello"], prompt=False)
    added = tokenizer.added_tokens_decoder.values()
    marks = {token.content for token in added if token.special} | set(tokenizer.all_special_tokens)
    marks |= {t.content for t in added if t.content in prompt or whole.rstrip().endswith(t.content)}
    able = [mark for mark in marks if len(mark) > 1 and not mark.isspace()]
    return re.compile("|".join(map(re.escape, able))) if able else None


def cut(marks: re.Pattern[str] | None, contents: Sequence[str]) -> tuple[list[str], str]:
    """The contents with a letter behind the first one of each mark in them, and that letter; "" without any."""
    if marks is None or not any(marks.search(content) for content in contents):
        return list(contents), ""
    letter = next(c for c in map(chr, PRIVATE) if not any(c in content for content in contents))
    return [letter.join(pieces(marks, content)) for content in contents], letter


def pieces(marks: re.Pattern[str], content: str) -> Iterator[str]:
    """The content cut behind the first letter of each mark; marks may overlap."""
    last, found = 0, marks.search(content)
    while found:
        yield content[last : found.start() + 1]
        last = found.start() + 1
        found = marks.search(content, last)
    yield content[last:]


def restored(text: str, spans: Sequence[Span], letter: str) -> Rendered:
    """A rendered conversation without the letters of `cut`, and where they stood."""
    places = [found.start() for found in re.finditer(letter, text)]

    def moved(place: int) -> int:
        return place - sum(p < place for p in places)

    kept = [(moved(start), moved(end)) for start, end in spans]
    return Rendered(text.replace(letter, ""), kept, [moved(place) for place in places])
