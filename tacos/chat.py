"""Messages to token ids: the one place that training, held-out loss and generation share.

`encode` gives ids with a mask that is 1 exactly on what the assistant says and the token that ends
its turn. A chat template with `{% generation %}` markers states those spans itself; for any other
template they are found by difference: what rendering up to and with an assistant turn adds to the
prompt before it. With the template "<|user|>{..}<|end|><|assistant|>{..}<|end|>":

    <|user|> Hi <|end|> <|assistant|> Hello . <|end|>
        0     0    0          0         1   1    1
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tacos.errors import ConfigError, TacosError, nearest
from tacos.types import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MARKER = re.compile(r"\{%-?\s*generation\s*-?%\}")

TEMPLATES = {
    # Markers are tokens of their own (`train.tiny` adds them to its vocabulary).
    "tiny": (
        "{% for message in messages %}"
        "{% if message['role'] == 'assistant' %}"
        "{{ '<|assistant|>' }}{% generation %}{{ message['content'] + '<|end|>' }}{% endgeneration %}"
        "{% else %}{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
    ),
    # For base models without a template: plain text, so that no token has to be added.
    "plain": (
        "{{ bos_token or '' }}{% for message in messages %}"
        "{{ '### ' + message['role'] | capitalize + ':\\n' }}"
        "{% if message['role'] == 'assistant' %}"
        "{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}{{ '\\n\\n' }}"
        "{% else %}{{ message['content'] + '\\n\\n' }}{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}{{ '### Assistant:\\n' }}{% endif %}"
    ),
}


@dataclass(frozen=True)
class Encoded:
    """ids and mask have one entry per token; mask is 1 where the token is supervised."""

    ids: list[int]
    mask: list[int]
    truncated: bool

    @property
    def loss_tokens(self) -> int:
        """Supervised tokens; the first token of a sequence is never predicted and does not count."""
        return sum(self.mask[1:])


def encode(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], max_length: int) -> Encoded:
    """A conversation as ids and assistant mask, cut at `max_length` tokens.

    Raises: TacosError when the template rewrites earlier turns, so that no exact mask exists.
    """
    if MARKER.search(template_of(tokenizer)) and tokenizer.is_fast:
        out = render(tokenizer, messages, return_dict=True, return_assistant_tokens_mask=True)
        ids, mask = out["input_ids"], out["assistant_masks"]
    else:
        ids, mask = by_difference(tokenizer, messages)
    return Encoded(list(ids[:max_length]), list(mask[:max_length]), len(ids) > max_length)


def prompt_ids(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int]:
    """The conversation so far, with the marks that open the assistant's turn."""
    return list(render(tokenizer, messages, add_generation_prompt=True, return_dict=False))


def ensure_template(tokenizer: PreTrainedTokenizerBase, name: str = "plain") -> None:
    """Give a tokenizer that has no chat template one of `TEMPLATES`; one that has keeps its own.

    Raises: ConfigError for an unknown name, or when the tokenizer has no end-of-text token.
    """
    if tokenizer.chat_template:
        return
    if name not in TEMPLATES:
        raise ConfigError(f"unknown chat template {name!r}: {nearest(name, TEMPLATES)}")
    if not tokenizer.eos_token:
        raise ConfigError(
            f"the tokenizer {tokenizer.name_or_path!r} has neither a chat template nor an end-of-text token; "
            "set one of them"
        )
    tokenizer.chat_template = TEMPLATES[name]


def template_hash(tokenizer: PreTrainedTokenizerBase) -> str:
    """16 hex digits naming the template and the tokens it leans on."""
    text = "\x1f".join([template_of(tokenizer), str(tokenizer.bos_token), str(tokenizer.eos_token)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def template_of(tokenizer: PreTrainedTokenizerBase) -> str:
    """Raises: ConfigError when there is none."""
    template = tokenizer.chat_template
    if isinstance(template, dict):
        template = template.get("default")
    if not template:
        raise ConfigError(
            f"the tokenizer {tokenizer.name_or_path!r} has no chat template; "
            "call ensure_template(tokenizer) first"
        )
    return str(template)


def render(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], **options: Any) -> Any:
    turns = [{"role": message.role, "content": message.content} for message in messages]
    return tokenizer.apply_chat_template(turns, tokenize=True, **options)


def by_difference(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]
) -> tuple[list[int], list[int]]:
    """ids and mask from prefixes: an assistant turn is what it adds to the prompt before it."""
    ids = list(render(tokenizer, messages, return_dict=False))
    mask = [0] * len(ids)
    for i, message in enumerate(messages):
        if message.role != "assistant":
            continue
        before = prompt_ids(tokenizer, messages[:i])
        upto = list(render(tokenizer, messages[: i + 1], return_dict=False))
        if ids[: len(before)] != before or ids[: len(upto)] != upto:
            raise TacosError(
                f"the chat template of {tokenizer.name_or_path!r} changes earlier turns when a turn is added "
                f"(at turn {i + 1} of {len(messages)}), so the assistant's tokens cannot be told apart; "
                "use a template with {% generation %} markers"
            )
        mask[len(before) : len(upto)] = [1] * (len(upto) - len(before))
        for k in trailing(tokenizer, ids[len(before) : len(upto)]):
            mask[len(before) + k] = 0
    return ids, mask


def trailing(tokenizer: PreTrainedTokenizerBase, turn: list[int]) -> range:
    """Positions in a turn after its end token, such as ChatML's newline; the model never writes them."""
    special = set(tokenizer.all_special_ids)
    ends = [k for k, token in enumerate(turn) if token in special]
    return range(ends[-1] + 1, len(turn)) if ends else range(0)
