"""vLLM in this process (https://docs.vllm.ai): tacos lays the prompts out, vLLM continues their tokens.

`LLM.generate` on token ids and not `LLM.chat`, so that templates are those of `tacos.models.chat`, as in training,
with the token that closes a turn as a stop token beside those that vLLM reads from the model itself.
Above temperature 0 each request has its own seed, which vLLM gives its own generator; its draws are not those of
`TransformersGenerator` with the same seed. A checkpoint may be a LoRA adapter (`VLLMEngine.lora`) on the model.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from eval.generate.backends import Ask, GenerateSettings, cut, local_identity
from tacos.llm.backend import clean_text
from tacos.llm.backends.engine import import_vllm, lent_engine, lora_request, tokenizer_source
from tacos.llm.base import Completion
from tacos.llm.settings import VLLMEngine
from tacos.models.chat import prompt_ids, stop_tokens
from tacos.models.local import load_tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["VLLMEngine", "VLLMGenerator"]

log = logging.getLogger(__name__)

BLOCK = 512
"""Questions at a time: twice the requests that vLLM runs at once by default (256), so it is seldom idle."""
SEEDS = 2**63
"""vLLM keeps seeds in signed 64 bits."""


class VLLMGenerator:
    """Starts the engine on the first request, or joins the one that runs. model: hub id or folder."""

    block = BLOCK
    silent = True

    def __init__(self, model: str, settings: GenerateSettings, engine: VLLMEngine | None = None):
        self.model = model
        self.settings = settings
        self.engine = engine or VLLMEngine()
        self._read: tuple[PreTrainedTokenizerBase, list[int]] | None = None

    def identity(self) -> dict[str, Any]:
        """The context counts: it decides which prompts are cut, and where a reply must end."""
        context = {"max_model_len": self.engine.max_model_len}
        weights = {"model": self.engine.named(self.model)}  # with its adapter, where there is one
        return {"by": "vllm", **local_identity(self.model, self.settings), **weights, **context}

    def reply(self, asks: Sequence[Ask]) -> list[Completion]:
        """Raises: ConfigError without vLLM; TacosError when the engine does not start."""
        vllm = import_vllm()
        tokenizer, stops = self._tokenizer()  # before the engine, which takes minutes
        prompts = [prompt_ids(tokenizer, ask.messages) for ask in asks]
        with lent_engine(self.model, self.settings.dtype, self.engine) as llm:
            prompts = self._fit(prompts, int(llm.llm_engine.model_config.max_model_len))
            outputs = llm.generate(
                [{"prompt_token_ids": ids} for ids in prompts],
                [vllm.SamplingParams(**self._sampling(ask, stops)) for ask in asks],
                use_tqdm=False,
                lora_request=lora_request(self.engine),
            )
        return [_completion(output) for output in outputs]

    def recall(self, asks: Sequence[Ask]) -> None:
        """Nothing to pay, nothing to count."""

    def _tokenizer(self) -> tuple[PreTrainedTokenizerBase, list[int]]:
        """The tokenizer, and the tokens that end a reply."""
        if self._read is None:
            source = tokenizer_source(self.model, self.engine)
            tokenizer = load_tokenizer(source, self.settings.template)
            self._read = tokenizer, stop_tokens(tokenizer, None)
        return self._read

    def _fit(self, prompts: Sequence[list[int]], context: int) -> list[list[int]]:
        """vLLM refuses a prompt that fills its context, and ends a reply there."""
        fitting = cut(prompts, min(self.settings.max_length, context - 1))
        short = sum(len(prompt) + self.settings.max_new_tokens > context for prompt in fitting)
        if short:
            log.warning(
                "%d of %d replies may end before max_new_tokens, at the context's %d tokens",
                short,
                len(prompts),
                context,
            )
        return fitting

    def _sampling(self, ask: Ask, stops: list[int]) -> dict[str, Any]:
        """Greedy requests have no seed: each would cost a generator that is never used."""
        return {
            "temperature": ask.temperature,
            "top_p": self.settings.top_p if ask.temperature > 0 else 1.0,
            "max_tokens": self.settings.max_new_tokens,
            "stop_token_ids": stops,
            "seed": ask.seed % SEEDS if ask.temperature > 0 else None,
        }


def _completion(output: Any) -> Completion:
    said = output.outputs[0]
    return Completion(
        text=clean_text(said.text).strip(),
        prompt_tokens=len(output.prompt_token_ids),
        completion_tokens=len(said.token_ids),
    )
