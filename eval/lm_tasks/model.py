"""A model of tacos as lm-eval's `LM`: in this process, with what lm-eval's own `HFLM` computes.

Prompts become token ids exactly as `HFLM` makes them, by lm-eval's own code where it has some: the begin token where
the tokenizer adds one and the text has none, spaces at the end of a context said by the continuation, long texts
foretold in windows. So figures can be compared with published ones. Random LLaMA and GPT-2 models in float32 give the
same to 1e-4 (tests/eval/lm_tasks); of texts of 30,000 nats, which `HFLM` adds up in float32, to 1e-7 of it.

Where we differ from `HFLM`: log-probabilities are float32 also where the model computes in 16 bits; in a conversation
the token that closes the template's turn ends a reply; a reply ends at its end token, where `HFLM` lets a row go on
while others of its batch do, and shows what follows (3 of 32 replies of a random model); a batch may mix prompts with
and without a begin token; drawn replies have seeds of their own. Results are kept as they come (`kept.py`).

Measured 2026-11-26, one CPU thread, a random LLaMA of 8 layers, 256 wide, with 32,000 tokens, against `HFLM` in batches
of 8: 240 letters of 60 questions 8.8 s, 18.2 by `HFLM`; 240 endings 15.1 and 26.4 s; 12 texts 27.0 and 33.6 s; 32
replies 2.8 and 3.4 s. With 281 tokens, where logits cost nothing: 11.4 and 10.2, 18.2 and 14.1, 21.5 and 19.4, 2.2 and
2.9 s.

This module imports lm-eval, so import it where it is used.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from lm_eval.api.model import TemplateLM
from lm_eval.models.utils import resolve_max_length
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window

from eval.lm_tasks.kept import KeptResults
from eval.lm_tasks.local import Foretold, TokenPair, Writing, foretold, replies
from eval.lm_tasks.requests import Wanted, answered, repeats
from eval.lm_tasks.settings import LMTasksSettings
from eval.report.format import plural
from tacos.errors import ConfigError, TacosError, first_line
from tacos.llm.backends.prompts import closing_token
from tacos.models.local import LocalModel

log = logging.getLogger(__name__)
CONTEXT = 2048
"""Tokens, where neither config nor tokenizer says; lm-eval's own."""
CHUNK = 8192
"""Continuations that are laid out and sorted by length together."""


class LocalTaskModel(TemplateLM):
    """kept: results by content; its identity names the model."""

    def __init__(self, lm: LocalModel, settings: LMTasksSettings, kept: KeptResults):
        super().__init__()
        self.lm = lm
        self.settings = settings
        self.kept = kept
        self.tokenizer: Any = lm.tokenizer
        known = resolve_max_length(lm.model.config, lm.tokenizer, default=CONTEXT)
        self.max_length = settings.max_length or known
        self.without_system = 0
        """Conversations whose system message the template refuses; it is left out of them, as `HFLM` does."""

    def notes(self) -> list[str]:
        """What was not as asked, a line each."""
        if not self.without_system:
            return []
        lacking = f"{plural(self.without_system, 'prompt')} went without"
        return [f"the chat template takes no system message, which {lacking}"]

    @property
    def eot_token_id(self) -> int:
        return int(self.tokenizer.eos_token_id)

    @property
    def prefix_token_id(self) -> int:
        """What a text without a context is foretold from."""
        first = self.tokenizer.bos_token_id
        return self.eot_token_id if first is None else int(first)

    @property
    def tokenizer_name(self) -> str:
        return str(self.tokenizer.name_or_path).replace("/", "__")

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs: Any) -> list[int]:
        """Token ids. add_special_tokens: None is as the tokenizer does, but never a second begin token."""
        if add_special_tokens is None and string.startswith(self.tokenizer.decode(self.prefix_token_id)):
            add_special_tokens = False
        how = {} if add_special_tokens is None else {"add_special_tokens": add_special_tokens}
        return list(self.tokenizer.encode(string, **how))

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """Raises: ConfigError where the template refuses the conversation, without its system message too."""
        rest = [message for message in chat_history if message["role"] != "system"]
        try:
            return self._rendered(chat_history, add_generation_prompt)
        except Exception as error:  # a template is a program, and raises what it likes
            refused = error
        if len(rest) < len(chat_history):
            with suppress(Exception):
                made = self._rendered(rest, add_generation_prompt)
                self.without_system += 1
                return made
        raise ConfigError(
            f"the chat template of {self.tokenizer.name_or_path!r} refuses a conversation: "
            f"{first_line(refused)}; set template to another one, such as 'plain'"
        ) from refused

    def _rendered(self, messages: list[dict[str, str]], prompt: bool) -> str:
        """prompt: whether the assistant's turn is opened; otherwise the last message goes on."""
        return str(
            self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=prompt, continue_final_message=not prompt
            )
        )

    def loglikelihood(self, requests: Any, disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        """In chunks: the ids of MMLU's 56,000 requests at once would take 2 GB."""
        found: list[tuple[float, bool]] = []
        for start in range(0, len(requests), CHUNK):
            some = requests[start : start + CHUNK]
            if len(requests) > CHUNK:
                log.info("continuations %d to %d of %d", start + 1, start + len(some), len(requests))
            found += super().loglikelihood(some, disable_tqdm=True)
        return found

    def _loglikelihood_tokens(self, requests: Sequence[Any], **kwargs: Any) -> list[tuple[float, bool]]:
        """requests: ((context, continuation), the ids of both)."""
        pairs = [TokenPair(context, said) for _, context, said in requests]
        return [(one.logprob, one.greedy) for one in self._foretold(pairs, "continuations")]

    def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = True) -> list[float]:
        """The whole of each text, every token once, in windows of the context."""
        windows = [self._windows(request.args[0]) for request in requests]
        found = iter(self._foretold([pair for own in windows for pair in own], "texts"))
        return [sum(next(found).logprob for _ in own) for own in windows]

    def _windows(self, text: str) -> list[TokenPair]:
        made = get_rolling_token_windows(
            token_list=self.tok_encode(text),
            prefix_token=self.prefix_token_id,
            max_seq_len=self.max_length,
            context_len=1,
        )
        return [TokenPair(*make_disjoint_window(window)) for window in made]

    def _foretold(self, pairs: Sequence[TokenPair], what: str) -> list[Foretold]:
        cut = [pair.cut(self.max_length) for pair in pairs]
        keys = [self.kept.key("foretold", *pair) for pair in cut]

        def work(owed: list[int]) -> Iterator[tuple[int, Any]]:
            return foretold(self.lm, [cut[i] for i in owed], self.settings.token_budget, what)

        return [Foretold(*found) for found in self.kept.answer(keys, work)]

    def generate_until(self, requests: Any, disable_tqdm: bool = True) -> list[str]:
        return answered(requests, self.settings.max_gen_toks, self._replies)

    def _replies(self, contexts: Sequence[str], asked: Wanted) -> list[str]:
        room = self.max_length - asked.limit
        if room < 1:
            raise TacosError(
                f"replies of {asked.limit} tokens leave no room for a prompt in a context of {self.max_length}: set "
                "gen_kwargs.max_gen_toks to less, or leave the task out"
            )
        how = self._writing(asked)
        numbers = repeats(contexts) if how.sampling else [0] * len(contexts)
        prompts = [self.tok_encode(context)[-room:] for context in contexts]
        told = [how.limit, how.until, how.ends, how.sampling and how.sampling.drawn, dict(how.options)]
        keys = [self.kept.key("reply", told, *each) for each in zip(numbers, prompts, strict=True)]

        def work(owed: list[int]) -> Iterator[tuple[int, str]]:
            seeds = [int(keys[i], 16) for i in owed]
            most, size = self.settings.token_budget, self.settings.batch_size
            return replies(self.lm, [prompts[i] for i in owed], seeds, how, most, size, "replies")

        return self.kept.answer(keys, work)

    def _writing(self, asked: Wanted) -> Writing:
        """In a conversation the token that closes a turn ends a reply, whatever the model's own settings say."""
        config: Any = self.lm.model.generation_config
        own = config.eos_token_id
        ends = [self.eot_token_id, *(own if isinstance(own, list) else [own] if own is not None else [])]
        if self.settings.apply_chat_template:
            ends += closing_token(self.tokenizer)
        until = (*asked.until, str(self.tokenizer.decode(self.eot_token_id)))
        return Writing(
            asked.limit,
            tuple(dict.fromkeys(until)),
            tuple(dict.fromkeys(ends)),
            asked.sampling,
            asked.options,
        )
