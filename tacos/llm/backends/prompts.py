"""A request made ready for weights in this process: laid out, as token ids, and within the model's context.

Prompts are laid out as in training (`tacos.models.chat.prompt_ids`), in the tokenizer's own chat template or in the
one that is named. A prompt that is too long is refused or cut:

    context 256, a prompt of 300 tokens    refuse   error: "the prompt is 300 tokens; the model's context is 256"
                                           cut      its last 255 tokens, and that is said in the log
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tacos.errors import ConfigError, TacosError
from tacos.llm.base import Completion, Reply, Request
from tacos.llm.settings import LLMSettings
from tacos.models.chat import end_token, prompt_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PromptRow:
    """A request made ready. `limit`: tokens it may generate, by its settings and the context left."""

    index: int
    request: Request
    tokens: list[int]
    limit: int


class Prompts:
    """Lays out the requests of one stream, and counts those that lose something.

    context: tokens that the model can hold, prompt and reply together; None where it does not say.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, settings: LLMSettings, context: int | None):
        self.tokenizer = tokenizer
        self.settings = settings
        self.context = context or 10**9
        self.longest = min(settings.max_prompt or 10**9, self.context - 1)
        self._rows = self._cut = self._short = 0

    def row(self, index: int, request: Request) -> PromptRow | Reply:
        """The row, or the reply that says why it cannot be asked; nothing is cut in silence."""
        try:
            tokens = prompt_ids(self.tokenizer, request.messages)
        except TacosError as error:  # templates refuse roles that they do not know
            return Reply(index, Completion(error=str(error)))
        if not tokens:
            return Reply(index, Completion(error="the prompt is empty"))
        if len(tokens) > self.longest and self.settings.overflow == "refuse":
            return Reply(index, Completion(error=self._too_long(len(tokens))))
        kept = tokens[-self.longest :]
        wanted, room = request.sampling.max_tokens, self.context - len(kept)
        self._rows += 1
        self._cut += len(kept) < len(tokens)
        self._short += room < wanted
        return PromptRow(index, request, kept, min(wanted, room))

    def _too_long(self, tokens: int) -> str:
        if tokens >= self.context:
            return f"the prompt is {tokens} tokens; the model's context is {self.context}"
        return f"the prompt is {tokens} tokens; max_prompt is {self.longest}"

    def say(self) -> None:
        """Log what was lost; at the end of a stream."""
        if self._cut:
            log.warning(
                "%d of %d prompts are over %d tokens and lose their oldest",
                self._cut,
                self._rows,
                self.longest,
            )
        if self._short and self.settings.overflow == "cut":
            log.warning(
                "%d of %d replies may end before max_tokens, at the context's %d tokens",
                self._short,
                self._rows,
                self.context,
            )


def closing_token(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The token with which the template closes a turn, as a list to stop at; none where the template has none, and
    a reply then ends where the model itself ends it."""
    try:
        return [end_token(tokenizer)]
    except ConfigError:
        return []
