"""The adapter says what lm-eval's own `HFLM` says, and asks each thing once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from eval.lm_tasks import local
from eval.lm_tasks.kept import KeptResults
from eval.lm_tasks.settings import LMTasksSettings
from tacos.errors import ConfigError, TacosError
from tacos.models.local import load_lm
from tacos.usage import Ledger

pytest.importorskip("lm_eval")
KINDS = ("llama", "gpt2")
LONG = "the answer is in the rest of the response, and on " * 4
PAIRS = [
    ("Two and two is", " four"),
    ("Two and two is", " five"),
    ("Two and two is ", "four"),
    ("", "the"),
    ("", " there is a long one here"),
    ("A: x\nB: y\nAnswer:", " A"),
    ("A: x\nB: y\nAnswer:", " B"),
    ("<s>begun already", " here"),
    (LONG, " then"),
    ("short", LONG[:90]),
]
TEXTS = ["the", "the answer.", LONG, "", "in the end\n\n" * 9]
PROMPTS = ["Two and two is", "the the the", "<s>begun already", LONG, "Q: why?\nA:"]


def adapter(folder: Path, kept: Path | None = None, ledger: Ledger | None = None, **settings: Any) -> Any:
    from eval.lm_tasks.model import LocalTaskModel

    made = LMTasksSettings(tasks=("t",), token_budget=90, batch_size=2, **settings)
    lm = load_lm(str(folder), device="cpu", template="plain", ledger=ledger)
    return LocalTaskModel(lm, made, KeptResults(kept, {"model": folder.name}))


def hflm(model: Any) -> Any:
    from lm_eval.models.huggingface import HFLM

    return HFLM(pretrained=model.lm.model, tokenizer=model.tokenizer, batch_size=1)


def instances(kind: Any, arguments: list[tuple[Any, ...]]) -> list[Any]:
    from lm_eval.api.instance import Instance

    return [Instance(kind, {}, own, i, ("t", i, 1)) for i, own in enumerate(arguments)]


@pytest.mark.parametrize("kind", KINDS)
def test_continuations_and_texts_are_those_of_hflm(tiny: Mapping[str, Path], kind: str) -> None:
    model = adapter(tiny[kind])
    theirs = hflm(model)
    pairs, texts = (
        instances("loglikelihood", list(PAIRS)),
        instances("loglikelihood_rolling", [(t,) for t in TEXTS]),
    )
    found, expected = model.loglikelihood(pairs), theirs.loglikelihood(pairs, disable_tqdm=True)
    assert [own[0] for own in found] == pytest.approx([own[0] for own in expected], abs=1e-4)
    assert [own[1] for own in found] == [own[1] for own in expected]
    rolled = model.loglikelihood_rolling(texts)
    assert rolled == pytest.approx(theirs.loglikelihood_rolling(texts, disable_tqdm=True), abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_what_the_model_would_say_is_greedy(tiny: Mapping[str, Path], kind: str) -> None:
    model = adapter(tiny[kind], max_gen_toks=1)
    said = model.generate_until(instances("generate_until", [(PROMPTS[0], {"until": []})]))
    ids = model.tok_encode(PROMPTS[0] + said[0])
    whole = [(PROMPTS[0], said[0]), (PROMPTS[0], said[0] + " no")]
    likely, unlikely = model.loglikelihood(instances("loglikelihood", whole))
    if ids[: len(ids) - 1] == model.tok_encode(PROMPTS[0]):  # else the text is another token
        assert likely[1]
    assert not unlikely[1]


@pytest.mark.parametrize("kind", KINDS)
def test_replies_are_those_of_hflm(tiny: Mapping[str, Path], kind: str) -> None:
    model = adapter(tiny[kind])
    theirs = hflm(model)
    ways: list[dict[str, Any]] = [
        {"until": ["e", "\n\n"], "max_gen_toks": 20},
        {"until": "th", "max_new_tokens": 9, "do_sample": False, "temperature": 0.0},
        {"until": [], "max_gen_toks": 5, "repetition_penalty": 1.7},
    ]
    requests = instances("generate_until", [(prompt, way) for way in ways for prompt in PROMPTS])
    found = model.generate_until(requests)
    assert found == theirs.generate_until(requests, disable_tqdm=True)
    assert len(set(found)) > 3


def test_letters_of_one_context_take_one_pass(tiny: Mapping[str, Path]) -> None:
    ledger = Ledger()
    model = adapter(tiny["llama"], ledger=ledger)
    letters = [("Answer:", letter) for letter in ("A", "B", "C", "D")]
    model.loglikelihood(instances("loglikelihood", letters))
    assert ledger.total.forward_tokens == len(model.tok_encode("Answer:"))


def test_nothing_is_computed_twice(
    tiny: Mapping[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "requests.jsonl"
    requests = instances("loglikelihood", [*PAIRS, *PAIRS])
    writing = instances("generate_until", [(prompt, {"max_gen_toks": 4}) for prompt in PROMPTS])
    first = adapter(tiny["gpt2"], kept)
    said, replies = first.loglikelihood(requests), first.generate_until(writing)
    lines = kept.read_text().splitlines()
    assert len(lines) == len(PAIRS) - 1 + len(PROMPTS)  # " four" and "four" behind a space are one request

    kept.write_text("\n".join(lines[:-3]) + "\n" + lines[-3][:20])  # as a kill leaves it
    ledger = Ledger()
    second = adapter(tiny["gpt2"], kept, ledger)
    assert second.loglikelihood(requests) == said
    assert ledger.total.forward_tokens == 0
    assert second.generate_until(writing) == replies
    assert len(kept.read_text().splitlines()) == len(lines) + 1  # the torn one

    monkeypatch.setattr(local, "run_batches", None)
    assert adapter(tiny["gpt2"], kept).generate_until(writing) == replies


def test_drawn_replies_have_seeds_of_their_own(tiny: Mapping[str, Path]) -> None:
    how = {"max_gen_toks": 6, "do_sample": True, "temperature": 1.0}
    several = instances("generate_until", [(PROMPTS[0], how)] * 3 + [(PROMPTS[1], how)])
    drawn = adapter(tiny["llama"]).generate_until(several)
    assert len(set(drawn)) == 4
    alone = adapter(tiny["llama"]).generate_until(instances("generate_until", [(PROMPTS[1], how)]))
    assert alone == drawn[3:]
    with pytest.raises(ConfigError, match="draws replies by top_k"):
        adapter(tiny["llama"]).generate_until(instances("generate_until", [("a", {**how, "top_k": 5})]))


def test_conversations_are_the_tokenizers(tiny: Mapping[str, Path]) -> None:
    model = adapter(tiny["llama"], apply_chat_template=True)
    turns = [{"role": "user", "content": "Hi"}]
    assert model.apply_chat_template(turns) == "<s>### User:\nHi\n\n### Assistant:\n"
    begun = [*turns, {"role": "assistant", "content": "The answer is"}]
    assert model.apply_chat_template(begun, add_generation_prompt=False).endswith("The answer is")
    assert model.tok_encode(model.apply_chat_template(turns)).count(model.prefix_token_id) == 1
    model.tokenizer.chat_template = (
        "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
        "{{ messages[0]['content'] }}"
    )
    assert model.apply_chat_template([{"role": "system", "content": "Be brief."}, *turns]) == "Hi"
    assert model.notes() == ["the chat template takes no system message, which 1 prompt went without"]
    model.tokenizer.chat_template = "{{ raise_exception('never') }}"
    for conversation in (turns, [{"role": "system", "content": "Be brief."}, *turns]):
        with pytest.raises(ConfigError, match="refuses a conversation: never"):
            model.apply_chat_template(conversation)
    assert "1 prompt " in model.notes()[0]


def test_what_has_no_room_is_refused(tiny: Mapping[str, Path]) -> None:
    model = adapter(tiny["gpt2"])
    with pytest.raises(TacosError, match="leave no room for a prompt in a context of 64"):
        model.generate_until(instances("generate_until", [("a", {"max_gen_toks": 64})]))
    with pytest.raises(TacosError, match="between 1 and 64 can be foretold"):
        model.loglikelihood(instances("loglikelihood", [("a", LONG * 3)]))
