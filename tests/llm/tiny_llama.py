"""A LLaMA of some 100k parameters with its own BPE tokenizer, saved as a local folder: random, or taught a little."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from tacos.types import Message

TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
Lesson = tuple[tuple[Message, ...], str]
"""A conversation and the reply to it."""


def build(folder: Path, seed: int = 0, context: int = 256) -> Path:
    """Random weights, which write noise."""
    model, tokenizer = make(["the quick brown fox jumps over the lazy dog"] * 50, seed, context)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def taught(folder: Path, lessons: Iterator[Lesson], steps: int = 150, batch: int = 6) -> Path:
    """A model that has learned to reply as in the lessons; takes some ten seconds on one core."""
    import torch

    first = list(islice(lessons, 60))
    texts = [message.content for messages, _ in first for message in messages] + [
        reply for _, reply in first
    ] * 9
    model, tokenizer = make(texts, seed=0, context=1024, heads=2, vocabulary=900)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(steps):
        # The ends of the prompts do at first, at a third of the cost.
        ids, labels = encode(tokenizer, list(islice(lessons, batch)), 64 if step < 0.8 * steps else 1024)
        model(input_ids=ids, labels=labels).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make(
    texts: Sequence[str], seed: int, context: int, heads: int = 4, vocabulary: int = 300, layers: int = 2
) -> tuple[Any, Any]:
    """heads: share 64 dimensions; vLLM's CPU kernels know none below 32 a head."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(texts, vocab_size=vocabulary)
    bpe.add_special_tokens(["<s>", "</s>"])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe._tokenizer, bos_token="<s>", eos_token="</s>")
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        max_position_embeddings=context,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    return LlamaForCausalLM(config), tokenizer


def encode(tokenizer: Any, lessons: Sequence[Lesson], last: int) -> tuple[Any, Any]:
    """ids and labels, both (n_lessons, longest); only replies are learned, after the last tokens of a prompt."""
    import torch

    rows = []
    for messages, reply in lessons:
        turns = [message.model_dump() for message in messages]
        prompt = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        asked, said = (tokenizer(text)["input_ids"] for text in (prompt, reply + "</s>"))
        asked = asked[-last:]
        rows.append((asked + said, [-100] * len(asked) + said))
    width = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in rows])
    return ids, torch.tensor([labels + [-100] * (width - len(labels)) for _, labels in rows])
