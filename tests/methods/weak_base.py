"""A base model that knows the words and facts of the builtin pool and can neither calculate nor read lists, and a
judge that knows the truth."""

from __future__ import annotations

import random
import re
from pathlib import Path

import numpy as np
import torch

from tacos.answering.asking import generate
from tacos.answering.candidate import GenerateSettings, in_process
from tacos.data.builtin.build import BuiltinPool, BuiltinSettings, build
from tacos.data.builtin.defects import sentence
from tacos.data.builtin.skills import SKILLS, fill
from tacos.llm.base import Request
from tacos.store.files import write_jsonl
from tacos.text import exact_match
from tacos.types import Pool, Question
from train.tiny import TinySettings, build_tokenizer, new_model, pretrain

KNOWN = tuple(skill.name for skill in SKILLS if skill.cases)
"""Words and facts, 62% of the pool; the others calculate, or read lists."""
SETTINGS = TinySettings(
    vocab_size=1800, hidden=64, layers=1, heads=2, steps=450, batch_size=16, block=64, lr=2e-2
)


def pool(seed: int, size: int) -> BuiltinPool:
    return build(BuiltinSettings(size=size, seed=seed, defect_rate=0.2, test_size=0, corpus_size=0))


def build_weak(out: Path) -> Path:
    """Pretrained, briefly, on every prompt of the known skills with its answer; it gets about 80% of them right."""
    skills = [skill for skill in SKILLS if skill.name in KNOWN]
    documents = [
        f"<|user|>{sentence(fill(prompt, case))}<|end|><|assistant|>It is {case['answer']}."
        for skill in skills
        for case in skill.cases
        for prompt in skill.prompts
    ]
    random.Random(0).shuffle(documents)
    # Chats with their marks as tokens, which `build_tiny`, whose corpus is plain text, would spell out.
    torch.manual_seed(SETTINGS.seed)
    tokenizer = build_tokenizer(documents, SETTINGS)
    model = new_model(tokenizer, SETTINGS)
    ids = [
        id_
        for document in documents
        for id_ in (*tokenizer(document, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id)
    ]
    rows = len(ids) // SETTINGS.block
    pretrain(model, torch.tensor(ids[: rows * SETTINGS.block]).view(rows, SETTINGS.block), SETTINGS)
    tokenizer.save_pretrained(out)
    model.save_pretrained(out)
    return out


def write(made: BuiltinPool, path: Path) -> Path:
    """The pool as a file, its ids kept, its truth left out."""
    write_jsonl(path, ({"id": s.id, "messages": [m.model_dump() for m in s.messages]} for s in made.pool))
    return path


def full_labelling(pool: Pool, made: BuiltinPool, base: Path, settings: GenerateSettings) -> np.ndarray:
    """What the method never sees, (n,) bool: the response at hand is right, and the base model is not."""
    truth = {t.id: t.answer for t in made.truth}
    questions = [Question(id=sample.id, turns=(sample.prompt,)) for sample in pool]
    answers = generate(in_process(str(base), settings, "cpu"), questions, "weak")
    triples = zip(pool.ids, pool.responses, answers, strict=True)
    return np.array(
        [exact_match(r, truth[i]) and not exact_match(a.turns[0], truth[i]) for i, r, a in triples]
    )


class Oracle:
    """The reply of an LLM judge: 9 for an answer that is right, 2 for one that is not."""

    def __init__(self, made: BuiltinPool):
        truth = {t.id: t.answer for t in made.truth}
        self.answers = {sample.prompt.strip(): truth[sample.id] for sample in made.pool}

    def __call__(self, request: Request) -> str:
        text = request.messages[-1].content
        question, *given = (
            re.findall(rf"<{tag}>\n(.*?)\n</{tag}>", text, re.DOTALL)[-1].strip()
            for tag in ("question", "answer_1", "answer_2")
        )
        first, second = (9 if exact_match(answer, self.answers[question]) else 2 for answer in given)
        return f'{{"feedback": "checked", "score_1": {first}, "score_2": {second}}}'
