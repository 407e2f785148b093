"""A model behind a server as lm-eval's `LM`, through the shared client: cached, counted, capped, retried.

A server of chat completions writes replies, and gives no log-probabilities of a given text. So it takes the tasks that
generate (`generate_until`: gsm8k, ifeval, bbh), and the others are refused. A prompt without a chat template is one
user turn. Replies are cut at stop strings afterwards: the client sends none, so what stands behind one is paid for too.

This module imports lm-eval, so import it where it is used.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from lm_eval.api.model import LM
from lm_eval.models.utils import postprocess_generated_text

from eval.lm_tasks.requests import Wanted, answered, repeats
from eval.lm_tasks.settings import LMTasksSettings
from tacos.errors import ConfigError, LLMError
from tacos.llm.base import LLM, Request, Sampling
from tacos.llm.client import complete
from tacos.types import Message

GREEDY = 0.0
WITHOUT_EFFECT = (("num_beams", 1), ("repetition_penalty", 1.0))
"""Options of a task that say what a server does anyway."""


class ServedTaskModel(LM):
    """A client of `tacos.llm`."""

    def __init__(self, llm: LLM, settings: LMTasksSettings):
        super().__init__()
        self.llm = llm
        self.settings = settings
        self.untold: set[str] = set()
        """Ways to generate that tasks or settings ask for and the server hears nothing of."""

    def notes(self) -> list[str]:
        """What was not as asked, a line each."""
        if not self.untold:
            return []
        return [
            f"the server is not told of {', '.join(sorted(self.untold))}: replies are not as generation_kwargs say"
        ]

    @property
    def tokenizer_name(self) -> str:
        return self.llm.model

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """The conversation as JSON: the server lays it out. Raises: ConfigError for a reply that is begun already."""
        if not add_generation_prompt:
            raise ConfigError(
                "the task begins the reply (gen_prefix), and a server cannot go on with one: leave the task out, or "
                "take the model into this process"
            )
        return json.dumps(chat_history, ensure_ascii=False)

    def loglikelihood(self, requests: Any, disable_tqdm: bool = True) -> list[tuple[float, bool]]:
        raise ConfigError(needs_weights({str(request.task_name) for request in requests}))

    def loglikelihood_rolling(self, requests: Any, disable_tqdm: bool = True) -> list[float]:
        raise ConfigError(needs_weights({str(request.task_name) for request in requests}))

    def generate_until(self, requests: Any, disable_tqdm: bool = True) -> list[str]:
        """Raises: LLMError where a reply is missing; those that are there are in the client's cache."""
        return answered(requests, self.settings.max_gen_toks, self._replies)

    def _replies(self, contexts: Sequence[str], asked: Wanted) -> list[str]:
        self.untold |= {name for name, value in asked.options.items() if (name, value) not in WITHOUT_EFFECT}
        sampling = asked.sampling or Sampling(temperature=GREEDY, max_tokens=asked.limit)
        numbers = repeats(contexts) if asked.sampling else [0] * len(contexts)
        requests = [
            Request(messages=self._messages(context), sampling=sampling, repeat=number, may_be_cut=True)
            for context, number in zip(contexts, numbers, strict=True)
        ]
        made = complete(self.llm, requests)
        failed = [reply.error for reply in made if reply.text is None]
        if failed:
            raise LLMError(
                f"{self.llm.model}: {len(failed)} of {len(made)} requests have no reply, the first: {failed[0]}; run "
                "again: the replies so far are kept"
            )
        until = list(asked.until)
        return [str(postprocess_generated_text(reply.text or "", until, None)) for reply in made]

    def _messages(self, context: str) -> tuple[Message, ...]:
        if not self.settings.apply_chat_template:
            return (Message(role="user", content=context),)
        return tuple(Message.model_validate(message) for message in json.loads(context))


def needs_weights(tasks: set[str]) -> str:
    """Why a server cannot answer these tasks."""
    return (
        f"{', '.join(sorted(tasks))}: the log-probability of a given text is needed, which servers of chat completions "
        "do not give: take the model into this process (answering.by=transformers), or leave the task out"
    )
