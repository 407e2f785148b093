from __future__ import annotations

import json

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import ByT5Tokenizer, PreTrainedTokenizerFast

from tacos.errors import ConfigError, TacosError
from tacos.models.chat import TEMPLATES, encode, end_token, ensure_template, prompt_ids, template_hash
from tacos.models.rendering import template_of
from tacos.types import Message
from train.tiny import TinySettings, build_tokenizer

HI, HELLO = Message(role="user", content="Hi"), Message(role="assistant", content="Hello you.")
BYE, SO_LONG = Message(role="user", content="Bye"), Message(role="assistant", content="So long.")


@pytest.fixture
def tokenizer():
    return build_tokenizer(["Hi Hello you. Bye So long. Human: Robot:"] * 50, TinySettings(vocab_size=400))


LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Llama 3's pattern, Qwen's too but for digits: newlines go with what stands before them."""
UNK, BOS, EOS = SPECIAL = ["<unk>", "<s>", "</s>"]
ENDS = (
    *("<|im_start|>", "<|im_end|>", "<|end|>", "<|endoftext|>", "<|end_of_turn|>", "<eoa>", "<sep>"),
    *("### End", "<｜end▁of▁sentence｜>"),
)
CORPUS = [
    "A chat. USER: Hi there ASSISTANT: Hello you. So long.\n\n### Assistant:\n\n\n   Hello\nHello[/INST]"
] * 30


def wrap(core: Tokenizer, ends=ENDS, **tokens) -> PreTrainedTokenizerFast:
    """As a model's tokenizer, which puts its first token before every text."""
    named = {"unk_token": UNK, "bos_token": BOS, "eos_token": EOS, **tokens}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, extra_special_tokens=list(ends), **named)
    if begin := tokenizer.bos_token:
        core.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A", special_tokens=[(begin, tokenizer.bos_token_id)]
        )
    tokenizer.backend_tokenizer.post_processor = core.post_processor
    return tokenizer


def byte_level_bpe(regex: str | None = None, ends=ENDS) -> PreTrainedTokenizerFast:
    """GPT-2's kind, or that of another pattern; newlines merge."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=regex is None)
    if regex:
        split = pre_tokenizers.Split(Regex(regex), "isolated")
        core.pre_tokenizer = pre_tokenizers.Sequence([split, core.pre_tokenizer])
    core.decoder = decoders.ByteLevel()
    letters = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(CORPUS, trainer(vocab_size=500, initial_alphabet=letters))
    return wrap(core, ends)


def sentencepiece_bpe(legacy: bool) -> PreTrainedTokenizerFast:
    """LLaMA's kind: newlines and unknown letters by bytes; a space first and, if legacy, after special tokens."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.train_from_iterator([" ".join(text.split()) for text in CORPUS], trainer(vocab_size=300))
    trained = json.loads(core.to_str())["model"]
    tokens = [*trained["vocab"], *(f"<0x{byte:02X}>" for byte in range(256))]
    merges = [tuple(pair) for pair in trained["merges"]]
    core = Tokenizer(
        models.BPE({t: i for i, t in enumerate(tokens)}, merges, unk_token=UNK, byte_fallback=True)
    )
    if legacy:
        core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    core.decoder = decoders.Sequence(steps)
    core.add_special_tokens(SPECIAL)
    return wrap(core)


def trainer(**settings) -> trainers.BpeTrainer:
    return trainers.BpeTrainer(special_tokens=SPECIAL, show_progress=False, **settings)


@pytest.fixture
def byte_level():
    return byte_level_bpe()


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


def test_a_turn_of_weight_0_is_read_and_not_supervised(tokenizer):
    every = encode(tokenizer, [HI, HELLO, BYE, SO_LONG], 100)
    first_out = [HI, HELLO.model_copy(update={"weight": 0}), BYE, SO_LONG]
    encoded = encode(tokenizer, first_out, 100)
    assert encoded.ids == every.ids
    assert supervised(tokenizer, encoded) == " So long.<|end|>"
    last_out = [HI, HELLO, BYE, SO_LONG.model_copy(update={"weight": 0})]
    assert supervised(tokenizer, encode(tokenizer, last_out, 100)) == " Hello you.<|end|>"


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


def test_a_newline_or_a_space_that_merges_with_the_prompt_stays_out_of_it():
    """Tokenised whole, the text has a token that begins in the prompt and ends in the answer."""
    tokenizer = byte_level_bpe(LLAMA_3)
    ensure_template(tokenizer, "plain")
    reply = Message(role="assistant", content="\nHello")
    assert tokenizer.tokenize(":\n\nHello") == [":ĊĊ", "Hello"] and tokenizer.tokenize(": Hello") == [
        ":",
        "ĠHello",
    ]
    encoded, prompt = encode(tokenizer, [HI, reply], 100), prompt_ids(tokenizer, [HI])
    answer = tokenizer.convert_ids_to_tokens(encoded.ids[len(prompt) :])
    assert encoded.ids[: len(prompt)] == prompt and answer == ["Ċ", "Hello", "</s>", "ĊĊ"]
    assert encoded.mask == [0] * len(prompt) + [1, 1, 1, 0]
    tokenizer.chat_template = TEMPLATES["plain"].replace(":\\n", ": ")
    encoded, prompt = encode(tokenizer, [HI, HELLO], 100), prompt_ids(tokenizer, [HI])
    assert tokenizer.convert_ids_to_tokens(encoded.ids[len(prompt) - 1 :])[:3] == ["Ġ", "Hello", "Ġyou"]
    assert encoded.ids[: len(prompt)] == prompt and supervised(tokenizer, encoded) == "Hello you.</s>"


def test_offsets_without_spaces_do_not_lose_an_answer_that_begins_with_one(byte_level):
    byte_level.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    ensure_template(byte_level, "vicuna_v1.1")
    assert supervised(byte_level, encode(byte_level, [HI, HELLO], 1000)) == " Hello you.</s>"


def test_a_tokenizer_without_offsets_is_exact_too():
    tokenizer = ByT5Tokenizer()
    assert not tokenizer.is_fast
    ensure_template(tokenizer)
    encoded = encode(tokenizer, [HI, HELLO, BYE, SO_LONG], 200)
    assert supervised(tokenizer, encoded) == "Hello you.</s>So long.</s>"
    assert end_token(tokenizer) == tokenizer.eos_token_id


@pytest.mark.parametrize(
    ("answer", "written"),
    [
        ("{% generation %}{{ 'A:' + m.content + '</s>\\n' }}{% endgeneration %}", ""),
        ("{{ 'A:#' }}{% generation %}{{ m.content + '</s>' }}{% endgeneration %}", "#"),
    ],
)
def test_markers_that_begin_elsewhere_than_the_prompt_ends(byte_level, answer, written):
    """The opening marks stand in the prompt, so the model writes none of them, and everything after them."""
    byte_level.chat_template = (
        "{% for m in messages %}{% if m.role == 'user' %}{{ 'Q:' + m.content + '\n' }}"
        "{% else %}" + answer + "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'A:' }}{% endif %}"
    )
    encoded = encode(byte_level, [HI, HELLO, BYE, SO_LONG], 200)
    assert supervised(byte_level, encoded) == f"{written}Hello you.</s>{written}So long.</s>"
    prompt = prompt_ids(byte_level, [HI, HELLO, BYE])
    assert encoded.ids[: len(prompt)] == prompt


def test_a_conversation_that_the_template_refuses_is_told(tokenizer):
    tokenizer.chat_template = "{{ raise_exception('system first') }}"
    with pytest.raises(TacosError, match="refuses a conversation: system first"):
        encode(tokenizer, [HI, HELLO], 100)


def test_auto_keeps_a_template_and_gives_plain_where_there_is_none(tokenizer):
    own = template_hash(tokenizer)
    ensure_template(tokenizer)
    assert template_hash(tokenizer) == own
    tokenizer.chat_template = None
    with pytest.raises(ConfigError, match="ensure_template"):
        encode(tokenizer, [HI, HELLO], 100)
    ensure_template(tokenizer)
    assert tokenizer.chat_template == TEMPLATES["plain"] and template_hash(tokenizer) != own
    encoded = encode(tokenizer, [HI, HELLO, BYE, SO_LONG], 200)
    assert supervised(tokenizer, encoded).split() == ["Hello", "you.<|end|>So", "long.<|end|>"]


def test_of_several_templates_the_default_is_taken_and_none_is_made_up(tokenizer):
    default = tokenizer.chat_template
    tokenizer.chat_template = {"rag": "{{ 1 }}", "default": default}
    assert template_of(tokenizer) == default
    tokenizer.chat_template = {"rag": "{{ 1 }}", "tool_use": default}
    with pytest.raises(
        ConfigError, match="named rag, tool_use and none named default: set `template` to one"
    ):
        ensure_template(tokenizer, "auto")
    ensure_template(tokenizer, "plain")
    assert "### " in template_of(tokenizer)


def test_a_name_takes_the_place_of_the_tokenizers_own_template(tokenizer):
    ensure_template(tokenizer, "plain")
    assert tokenizer.chat_template == TEMPLATES["plain"]
    ensure_template(tokenizer, "starchat")
    assert supervised(tokenizer, encode(tokenizer, [HI, HELLO], 100)).strip() == "Hello you.<|end|>"
    ensure_template(tokenizer, "tiny")
    assert tokenizer.chat_template == TEMPLATES["tiny"]


@pytest.mark.parametrize(
    ("name", "hint"), [("plane", "plain"), ("llama2", "llama-2"), ("vicuna", "vicuna_v1.1"), ("Auto", "auto")]
)
def test_an_unknown_template_is_answered_with_the_nearest(tokenizer, name, hint):
    with pytest.raises(ConfigError, match=f"did you mean '{hint}'"):
        ensure_template(tokenizer, name)


def test_a_tokenizer_without_an_end_of_text_token_is_refused(tokenizer):
    tokenizer.eos_token = tokenizer.chat_template = None
    with pytest.raises(ConfigError, match="no end-of-text token"):
        ensure_template(tokenizer)


def test_end_token_is_what_closes_a_turn(tokenizer, byte_level):
    assert tokenizer.convert_ids_to_tokens(end_token(tokenizer)) == "<|end|>"
    ensure_template(byte_level, "qwen-7b-chat")
    assert byte_level.convert_ids_to_tokens(end_token(byte_level)) == "<|im_end|>" != byte_level.eos_token
    with pytest.raises(
        ConfigError, match=r"closes the answer 'Hello' as 'Hello<\|end\|>'.*never learn to stop"
    ):
        ensure_template(byte_level_bpe(ends=()), "tiny")
    byte_level.chat_template = "{% for m in messages %}{{ m.content + '\n' }}{% endfor %}"
    with pytest.raises(ConfigError, match=r"no special token at its end"):
        end_token(byte_level)
