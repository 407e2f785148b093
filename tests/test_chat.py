from __future__ import annotations

import pytest

from tacos.chat import TEMPLATES, encode, ensure_template, prompt_ids, template_hash
from tacos.errors import ConfigError, TacosError
from tacos.types import Message
from train.tiny import TinySettings, build_tokenizer

HI, HELLO = Message(role="user", content="Hi"), Message(role="assistant", content="Hello you.")
BYE, SO_LONG = Message(role="user", content="Bye"), Message(role="assistant", content="So long.")


@pytest.fixture
def tokenizer():
    return build_tokenizer(["Hi Hello you. Bye So long. Human: Robot:"] * 50, TinySettings(vocab_size=400))


def supervised(tokenizer, encoded) -> str:
    return tokenizer.decode([i for i, m in zip(encoded.ids, encoded.mask, strict=True) if m])


def test_ids_and_mask_by_hand(tokenizer):
    encoded = encode(tokenizer, [HI, HELLO], 100)
    marks = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("user", "assistant", "end")}
    hi, hello = (tokenizer(text)["input_ids"] for text in ("Hi", "Hello you."))
    assert encoded.ids == [marks["user"], *hi, marks["end"], marks["assistant"], *hello, marks["end"]]
    assert encoded.mask == [0] * (len(hi) + 3) + [1] * (len(hello) + 1)
    assert encoded.loss_tokens == len(hello) + 1 and not encoded.truncated


def test_every_assistant_turn_is_supervised(tokenizer):
    encoded = encode(tokenizer, [HI, HELLO, BYE, SO_LONG], 100)
    assert supervised(tokenizer, encoded) == " Hello you.<|end|> So long.<|end|>"


def test_prompt_is_a_prefix_of_the_conversation(tokenizer):
    prompt = prompt_ids(tokenizer, [HI, HELLO, BYE])
    encoded = encode(tokenizer, [HI, HELLO, BYE, SO_LONG], 100)
    assert encoded.ids[: len(prompt)] == prompt and all(encoded.mask[len(prompt) :])


def test_truncation_is_told(tokenizer):
    encoded = encode(tokenizer, [HI, HELLO], 3)
    assert len(encoded.ids) == len(encoded.mask) == 3 and encoded.truncated and encoded.loss_tokens == 0


def test_a_template_without_markers_gives_the_same_mask(tokenizer):
    marked = encode(tokenizer, [HI, HELLO, BYE, SO_LONG], 100)
    plain = TEMPLATES["tiny"].replace("{% generation %}", "").replace("{% endgeneration %}", "")
    tokenizer.chat_template = plain
    assert encode(tokenizer, [HI, HELLO, BYE, SO_LONG], 100) == marked


def test_text_after_the_end_token_is_not_supervised(tokenizer):
    tokenizer.chat_template = (
        "{% for m in messages %}{{ '<|' + m.role + '|>' + m.content + '<|end|>' + '\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
    )
    encoded = encode(tokenizer, [HI, HELLO, BYE, SO_LONG], 100)
    assert supervised(tokenizer, encoded) == " Hello you.<|end|> So long.<|end|>"


def test_a_template_that_rewrites_history_is_refused(tokenizer):
    tokenizer.chat_template = "{% for m in messages %}{{ loop.length ~ m.content }}{% endfor %}"
    with pytest.raises(TacosError, match="changes earlier turns"):
        encode(tokenizer, [HI, HELLO, BYE, SO_LONG], 100)


def test_default_template(tokenizer):
    own = template_hash(tokenizer)
    ensure_template(tokenizer)
    assert template_hash(tokenizer) == own
    tokenizer.chat_template = None
    with pytest.raises(ConfigError, match="ensure_template"):
        encode(tokenizer, [HI, HELLO], 100)
    with pytest.raises(ConfigError, match="did you mean 'plain'"):
        ensure_template(tokenizer, "plane")
    ensure_template(tokenizer)
    assert template_hash(tokenizer) != own
    encoded = encode(tokenizer, [HI, HELLO, BYE, SO_LONG], 200)
    assert supervised(tokenizer, encoded).split() == ["Hello", "you.<|end|>So", "long.<|end|>"]
