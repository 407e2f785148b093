"""FastChat's conversation templates (https://github.com/lm-sys/FastChat) as Jinja chat templates.

FastChat renders a conversation in Python, by one of nineteen separator styles; a tokenizer carries a
Jinja template, which training masks, generation and any server of the saved model then share. No style
is written out again here. A named conversation is rendered with marks for messages, and what stands
between the marks is its literal text. For `vicuna_v1.1`, with Q and A for question and answer:

    A chat between ... USER: Q1 ASSISTANT: A1</s>USER: Q2 ASSISTANT:

    head "A chat between ... USER: "    user_end " "    opener "ASSISTANT:"    lead " "    close "</s>"
    following "USER: "

The generation prompt ends with `opener`, so `lead` is already the model's to write: the supervised span
is lead, answer and close up to the end token. What `close` has after that token is outside: the newline of
ChatML, the "<s>" of llama-2. Messages are taken as they are, empty ones too, which FastChat reads as absent.

`</s>` in the literal text becomes `eos_token` and `<s>` becomes `bos_token`, or nothing where there is
none: FastChat writes the tokens of LLaMA, and for a tokenizer with other names they would be plain
characters, an end that generation never looks for. FastChat leaves the first token to the tokenizer, which
adds none to a chat template's text; the template therefore begins with it where the tokenizer would add it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from string import Template
from typing import TYPE_CHECKING

from tacos.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SYSTEM, Q1, A1, Q2 = "[the system message]", "[question 1]", "[answer 1]", "[question 2]"
ODD = (
    "Two\n\nlines\r\n\r\nand more\n",
    " {system_message} {} %s {{ '\\n' }} {# \"quoted\" #} ",
    "\n<n>",
    "ends in n",
    "Zwölf 火",
    "\t- [INST] ### User:",
)
"""Messages that a style which rewrites text would not return as they are."""

TEMPLATE = Template(
    "{% set given = messages[0]['role'] == 'system' %}{% set turns = messages[1:] if given else messages %}"
    "{% if not given %}{{ $HEAD }}{% elif not messages[0]['content'] %}{{ $BARE }}{% else %}{{ $SYSTEM }}{% endif %}"
    "{% for message in turns %}"
    "{% if message['role'] != ('assistant' if loop.index0 % 2 else 'user') %}{{ raise_exception($ORDER) }}{% endif %}"
    "{% if message['role'] == 'user' %}"
    "{% if not loop.first %}{{ $FOLLOWING }}{% endif %}{{ message['content'] + $USER_END }}"
    "{% else %}"
    "{{ $OPENER }}{% generation %}{{ $LEAD + message['content'] + $END }}{% endgeneration %}{{ $REST }}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}"
    "{% if turns | length % 2 == 0 %}{{ raise_exception($NO_QUESTION) }}{% endif %}{{ $OPENER }}{% endif %}"
)
"""Each $name is a Jinja expression; all text is in expressions, since a newline after a tag is removed."""


@dataclass(frozen=True)
class Pieces:
    """The literal text of a conversation template; which piece is which, see the module's example."""

    head: str
    bare: str
    """In place of `head` when the system message is empty."""
    system: tuple[str, str] | None
    """In place of `head` around a system message; None when the template has no place for one."""
    user_end: str
    opener: str
    lead: str
    close: str
    following: str
    """Between `close` and the next question."""

    def render(self, turns: Sequence[str | None], system: str | None = None) -> str:
        """Questions and answers in turn; None at the end asks for an answer."""
        if system and self.system:
            text = self.system[0] + system + self.system[1]
        else:
            text = self.head if system is None else self.bare
        for i, turn in enumerate(turns):
            if i % 2 == 0:
                text += (self.following if i else "") + str(turn) + self.user_end
            else:
                text += self.opener + ("" if turn is None else self.lead + turn + self.close)
        return text


def conversation_names() -> list[str]:
    from fastchat.conversation import conv_templates

    return sorted(conv_templates)


def conversation_template(tokenizer: PreTrainedTokenizerBase, name: str) -> str:
    """The Jinja chat template of a conversation in `conversation_names`, for this tokenizer.

    Raises: ConfigError when the conversation cannot be written as one, or ends no answer with a token.
    """
    pieces = probe(name)
    stop = end_of(tokenizer, pieces.close)
    if stop is None:
        raise ConfigError(
            f"the conversation template {name!r} closes an answer with {pieces.close!r}, which holds no end token of "
            f"the tokenizer {tokenizer.name_or_path!r}: a model trained with it could never learn to stop; "
            f"templates that fit this tokenizer: {', '.join(fitting(tokenizer)) or 'none'}"
        )
    return fill(tokenizer, name, pieces, stop)


def fitting(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The conversation templates that this tokenizer can be given."""
    names = []
    for name in conversation_names():
        with suppress(ConfigError):
            if end_of(tokenizer, probe(name).close):
                names.append(name)
    return names


def end_marks(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """Tokens that can close a turn: added ones, of which text holds each as one id, whatever is beside it.

    Not among them are whitespace, an added token in some vocabularies, and the token that begins a text.
    """
    added = [token.content for token in tokenizer.added_tokens_decoder.values()]
    begin = tokenizer.bos_token if tokenizer.bos_token != tokenizer.eos_token else None
    return [token for token in added if not token.isspace() and token != begin]


def end_of(tokenizer: PreTrainedTokenizerBase, close: str) -> int | None:
    """Where the first end token in `close` ends; None without one."""
    marks = [mark for mark in end_marks(tokenizer) if mark not in ("<s>", "</s>")]
    if tokenizer.eos_token:
        marks.append("</s>")
    found = [(close.index(mark), -len(mark)) for mark in marks if mark in close]
    return min(found)[0] - min(found)[1] if found else None


def probe(name: str) -> Pieces:
    """Raises: ConfigError when the conversation is more than literal text around messages."""
    try:
        pieces = cut_pieces(name)
    except ValueError as error:
        raise ConfigError(
            f"FastChat has no text for the conversation template {name!r}, whose model is behind an API; name "
            "the template of another model"
        ) from error
    if not faithful(name, pieces):
        raise ConfigError(
            f"the conversation template {name!r} changes messages, or differs from turn to turn, which a chat "
            "template here cannot; name another template, or set the tokenizer's chat_template yourself"
        )
    return pieces


def faithful(name: str, pieces: Pieces) -> bool:
    """Whether the pieces give FastChat's own text for every conversation tried."""
    systems = (None, "", *ODD[:2]) if pieces.system else (None, "")
    return all(
        pieces.render(turns, system) == fastchat_prompt(name, turns, system)
        for turns in conversations()
        for system in systems
    )


def conversations() -> list[list[str | None]]:
    """One to four turns and a prompt for each; every odd text stands as question and as answer."""
    long: list[str | None] = [*ODD, *ODD[1:], *ODD[:1]]
    return [turns for n in range(1, 8, 2) for turns in (long[:n], [*long[:n], None], long[: n + 1])] + [long]


def cut_pieces(name: str) -> Pieces:
    """Raises: ValueError when FastChat has no text for it."""
    head, user_end = cut(fastchat_prompt(name, [Q1]), Q1)
    _, link = cut(fastchat_prompt(name, [Q1, None]), Q1)
    _, said, close = cut(fastchat_prompt(name, [Q1, A1]), Q1, A1)
    _, _, gap, _ = cut(fastchat_prompt(name, [Q1, A1, Q2, None]), Q1, A1, Q2)
    bare, _ = cut(fastchat_prompt(name, [Q1], ""), Q1)
    own, _ = cut(fastchat_prompt(name, [Q1], SYSTEM), Q1)
    before, mark, after = own.partition(SYSTEM)
    return Pieces(
        head=head,
        bare=bare,
        system=(before, after) if mark else None,
        user_end=user_end,
        opener=link.removeprefix(user_end),
        lead=said.removeprefix(link),
        close=close,
        following=gap.removeprefix(close),
    )


def cut(text: str, *marks: str) -> list[str]:
    """The text between marks; what is cut where a mark is missing is wrong, and `faithful` finds out."""
    pieces = []
    for mark in marks:
        piece, _, text = text.partition(mark)
        pieces.append(piece)
    return [*pieces, text]


def fastchat_prompt(name: str, turns: Sequence[str | None], system: str | None = None) -> str:
    """FastChat's text; None at the end of `turns` asks for an answer."""
    from fastchat.conversation import get_conv_template

    conversation = get_conv_template(name)
    if system is not None:
        conversation.set_system_message(system)
    for i, turn in enumerate(turns):
        conversation.append_message(conversation.roles[i % 2], turn)
    return str(conversation.get_prompt())


def fill(tokenizer: PreTrainedTokenizerBase, name: str, pieces: Pieces, stop: int) -> str:
    """`stop` is where the end token ends in `pieces.close`."""

    def begin(text: str) -> str:
        begun = not adds_bos(tokenizer) or text.startswith(("<s>", str(tokenizer.bos_token)))
        return quoted(tokenizer, text if begun else "<s>" + text)

    if pieces.system:
        before, after = pieces.system
        system = f"{begin(before)} + messages[0]['content'] + {quoted(tokenizer, after)}"
    else:
        system = f"raise_exception({f'the conversation template {name} has no place for a system message'!r})"
    order = (
        f"the conversation template {name} takes user and assistant in turn, after at most one system; turn "
    )
    expressions = {
        "HEAD": begin(pieces.head),
        "BARE": begin(pieces.bare),
        "SYSTEM": system,
        "ORDER": f"{order!r} ~ loop.index ~ ' is of the role ' ~ message['role']",
        "NO_QUESTION": repr(
            f"the conversation template {name} answers a user turn, and the last turn is none"
        ),
        "FOLLOWING": quoted(tokenizer, pieces.following),
        "USER_END": quoted(tokenizer, pieces.user_end),
        "OPENER": quoted(tokenizer, pieces.opener),
        "LEAD": quoted(tokenizer, pieces.lead),
        "END": quoted(tokenizer, pieces.close[:stop]),
        "REST": quoted(tokenizer, pieces.close[stop:]),
    }
    return TEMPLATE.substitute(expressions)


def quoted(tokenizer: PreTrainedTokenizerBase, text: str) -> str:
    """Text as a Jinja expression. Python's `repr` is safe: Jinja reads the escapes of a string as Python does.

    Raises: ConfigError when it needs an end-of-text token and the tokenizer has none.
    """
    if "</s>" in text and not tokenizer.eos_token:
        raise ConfigError(f"the tokenizer {tokenizer.name_or_path!r} has no end-of-text token; set eos_token")
    tokens = {"</s>": "eos_token", "<s>": "bos_token" if tokenizer.bos_token else ""}
    parts = [tokens.get(part, repr(part)) for part in re.split("(</?s>)", text) if part]
    return " + ".join(part for part in parts if part) or "''"


def adds_bos(tokenizer: PreTrainedTokenizerBase) -> bool:
    return tokenizer.bos_token_id is not None and tokenizer("")["input_ids"][:1] == [tokenizer.bos_token_id]
