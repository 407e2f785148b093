"""The in-process backend on a random LLaMA: order, batches, seeds, limits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tacos.errors import TacosError
from tacos.llm.base import Completion, Request, Sampling
from tacos.llm.build import build_llm
from tacos.llm.client import complete
from tacos.llm.settings import LLMSettings
from tacos.models.chat import ensure_template, prompt_ids
from tacos.store.fingerprint import named_by_content
from tacos.types import Message
from tacos.usage import Ledger

from . import tiny_llama
from .helpers import ask, texts

torch = pytest.importorskip("torch")


def run(model: Path, requests: list[Request], batch_size: int = 4, **changes: Any) -> list[Completion]:
    settings = LLMSettings(
        backend="transformers", model=str(model), concurrency=batch_size, max_failed_share=1.0, **changes
    )
    return complete(build_llm(settings, Ledger(), None, device="cpu"), requests)


def questions(temperature: float, max_tokens: int = 8) -> list[Request]:
    sampling = Sampling(temperature=temperature, top_p=0.9, max_tokens=max_tokens)
    return [ask("the fox " * (i % 5 + 1) + str(i), sampling=sampling) for i in range(9)]


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_reply_does_not_depend_on_its_batch(tiny_model: Path, temperature: float) -> None:
    requests = questions(temperature)
    together = run(tiny_model, requests, batch_size=4)
    alone = [run(tiny_model, [request])[0] for request in requests]
    assert texts(together) == texts(alone)
    assert all(c.text is not None and 1 <= c.completion_tokens <= 8 for c in together)
    assert len(set(texts(together))) > 1


def test_what_the_model_read_and_wrote_stands_in_the_ledger(tiny_model: Path) -> None:
    ledger = Ledger()
    llm = build_llm(LLMSettings(backend="transformers", model=str(tiny_model)), ledger, None, "cpu")
    complete(
        llm, [ask("the fox", sampling=Sampling(max_tokens=3)), ask("a dog", sampling=Sampling(max_tokens=3))]
    )
    used = ledger.total
    assert used.forward_tokens == used.prompt_tokens + used.completion_tokens and used.flops > 0


def test_repeats_are_other_draws(tiny_model: Path) -> None:
    sampling = Sampling(temperature=1.0, max_tokens=8)
    completions = run(tiny_model, [ask("the fox", sampling=sampling, repeat=i) for i in range(4)])
    assert len(set(texts(completions))) == 4


def test_greedy_is_the_models_own_argmax(tiny_model: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    tokens = torch.tensor([prompt_ids(tokenizer, [Message(role="user", content="the fox")])])
    expected = str(tokenizer.decode(model(tokens).logits[0, -1].argmax()))
    (got,) = run(tiny_model, [ask("the fox", sampling=Sampling(max_tokens=1))])
    assert got.text == expected.strip()
    assert got.prompt_tokens == tokens.shape[1]


def test_a_prompt_longer_than_the_context_is_its_rows_error(tiny_model: Path) -> None:
    long, short = run(tiny_model, [ask("x" * 1000), ask("x", sampling=Sampling(max_tokens=4))])
    assert "context is 256" in (long.error or "")
    assert short.text is not None


def test_a_long_prompt_is_refused_or_loses_its_oldest_tokens(
    tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    request = ask("x " * 40, sampling=Sampling(max_tokens=4))
    (refused,) = run(tiny_model, [request], max_prompt=16)
    assert "max_prompt is 16" in (refused.error or "") and not caplog.text
    (cut,) = run(tiny_model, [request], max_prompt=16, overflow="cut")
    assert cut.prompt_tokens == 16 and "1 of 1 prompts are over 16 tokens" in caplog.text
    (whole,) = run(tiny_model, [ask("x" * 1000)], overflow="cut")
    assert whole.prompt_tokens == 255


def test_what_makes_other_replies_is_another_model(tiny_model: Path) -> None:
    def named(**changes: Any) -> str:
        return LLMSettings(backend="transformers", model=str(tiny_model), **changes).named()

    changes: list[dict[str, Any]] = [
        {},
        {"template": "plain"},
        {"overflow": "cut"},
        {"overflow": "cut", "max_prompt": 64},
    ]
    assert len({named(**change) for change in changes}) == 4
    assert named(max_prompt=64) == named()  # refused or not: the replies are the same
    with pytest.raises(ValidationError, match="a server lays its prompts out"):
        LLMSettings(model="m", template="plain")


def test_a_reply_ends_with_the_context(tiny_model: Path) -> None:
    (reply,) = run(tiny_model, [ask("x" * 200)])
    assert reply.text is not None and reply.prompt_tokens + reply.completion_tokens <= 256


def test_a_tokenizer_without_a_template_gets_the_plain_layout(tiny_model: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.chat_template = None
    messages = [Message(role="system", content="Be brief."), Message(role="user", content="Hi")]
    tokenizer.save_pretrained(bare := tmp_path / "bare")
    AutoModelForCausalLM.from_pretrained(tiny_model).save_pretrained(bare)
    ensure_template(tokenizer)
    laid_out = tokenizer.decode(prompt_ids(tokenizer, messages))
    assert laid_out == "<s>### System:\nBe brief.\n\n### User:\nHi\n\n### Assistant:\n"
    (reply,) = run(bare, [Request(messages=tuple(messages), sampling=Sampling(max_tokens=1))])
    assert reply.prompt_tokens == len(prompt_ids(tokenizer, messages))


def test_a_model_without_an_end_of_text_writes_up_to_its_limit(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    folder = tiny_llama.build(tmp_path / "endless")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.eos_token = None
    tokenizer.save_pretrained(folder)
    for name in ("config.json", "generation_config.json"):
        said = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(said | {"eos_token_id": None}))
    (reply,) = run(folder, [ask("the fox", sampling=Sampling(max_tokens=5))])
    assert reply.error is None and (reply.completion_tokens, reply.finish_reason) == (5, "length")


def test_a_retrained_folder_is_another_model(tiny_model: Path, tmp_path: Path) -> None:
    assert named_by_content(str(tiny_model)).startswith("local@")
    same = tiny_llama.build(tmp_path / "a" / "tiny")
    other = tiny_llama.build(tmp_path / "b" / "tiny", seed=1)
    assert named_by_content(str(same)) == named_by_content(str(tiny_model))
    assert named_by_content(str(other)) != named_by_content(str(tiny_model))
    assert named_by_content("org/model") == "org/model"


def test_a_model_that_cannot_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(TacosError, match="cannot load the model"):
        run(tmp_path / "empty", [ask("x")])


def test_draws_follow_the_distribution() -> None:
    from tacos.llm.backends.sampling import draw

    # Probabilities .3, .5, .2 and top_p .7 keep tokens 1 and 0, with .625 and .375 of the mass.
    logits = torch.tensor([[0.3, 0.5, 0.2]]).log().repeat(1000, 1)
    uniform = (torch.arange(1000)[:, None] + 0.5) / 1000
    tokens = draw(logits, uniform, Sampling(temperature=1.0, top_p=0.7))
    assert torch.bincount(tokens[:, 0], minlength=3).tolist() == [375, 625, 0]
    edge = draw(logits[:1], torch.tensor([[1.0]]), Sampling(temperature=1.0, top_p=0.7))
    assert edge.item() == 0
