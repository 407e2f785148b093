"""FastChat's conversations as chat templates: by hand, against FastChat's own text, and for any text."""

from __future__ import annotations

import random
from functools import cache

import pytest
from fastchat.conversation import get_conv_template
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
from transformers import AutoTokenizer

from tacos.errors import ConfigError, TacosError
from tacos.models.chat import encode, end_token, ensure_template, prompt_ids, template_hash
from tacos.models.conversations import adds_bos, conversation_names, end_of, fitting, probe
from tacos.types import Message
from tests.models.test_chat import ENDS, LLAMA_3, SPECIAL, byte_level_bpe, sentencepiece_bpe, wrap

BUILD = {
    "gpt-2": byte_level_bpe,
    "llama-3": lambda: byte_level_bpe(LLAMA_3),
    "llama": lambda: sentencepiece_bpe(legacy=False),
    "llama, legacy": lambda: sentencepiece_bpe(legacy=True),
}
TURNS = ("Hi", "Hello you.", "Bye", "So long.")
VICUNA = (
    "<s>~A~ chat~ between~ a~ curious~ user~ and~ an~ artificial~ intelligence~ assistant~.~ The~ assistant~ gives~"
    " helpful~,~ detailed~,~ and~ polite~ answers~ to~ the~ user~'~s~ questions~."
)
ALPACA = (
    "<s>~Below~ is~ an~ instruction~ that~ describes~ a~ task~.~ Write~ a~ response~ that~ appropriately~"
    " completes~ the~ request~."
)
# Name, system message, and the tokens by turns of who speaks: prompt, answer, prompt, ... "~" is between tokens.
BY_HAND: list[tuple[str, str | None, list[str]]] = [
    ("vicuna_v1.1", None, [VICUNA + "~ USER~:~ Hi~ ASSISTANT~:", " Hello~ you~.~</s>"]),
    (
        "vicuna_v1.1",
        "Be brief.",
        [
            "<s>~Be~ brief~.~ USER~:~ Hi~ ASSISTANT~:",
            " Hello~ you~.~</s>",
            "USER~:~ Bye~ ASSISTANT~:",
            " So~ long~.~</s>",
        ],
    ),
    ("llama-2", None, ["<s>~[~INST~]~ Hi~ [/~INST~]", " Hello~ you~.~ ~</s>", "<s>"]),
    (
        "llama-2",
        "Be brief.",
        [
            "<s>~[~INST~]~ <<~SYS~>>~\n~Be~ brief~.~\n~<</~SYS~>>~\n~\n~Hi~ [/~INST~]",
            " Hello~ you~.~ ~</s>",
            "<s>~[~INST~]~ Bye~ [/~INST~]",
            " So~ long~.~ ~</s>",
            "<s>",
        ],
    ),
    (
        "mistral",
        None,
        [
            "<s>~[~INST~]~ Hi~ [/~INST~]",
            " Hello~ you~.~</s>",
            "[~INST~]~ Bye~ [/~INST~]",
            " So~ long~.~</s>",
        ],
    ),
    ("mistral", "Be brief.", ["<s>~[~INST~]~ Be~ brief~.~\n~Hi~ [/~INST~]", " Hello~ you~.~</s>"]),
    (
        "alpaca",
        None,
        [
            ALPACA + "~\n~\n~###~ Instruction~:~ Hi~\n~\n~###~ Response~:",
            " Hello~ you~.~</s>",
            "###~ Instruction~:~ Bye~\n~\n~###~ Response~:",
            " So~ long~.~</s>",
        ],
    ),
    (
        "alpaca",
        "Be brief.",
        ["<s>~Be~ brief~.~\n~\n~###~ Instruction~:~ Hi~\n~\n~###~ Response~:", " Hello~ you~.~</s>"],
    ),
    (
        "qwen-7b-chat",
        None,
        [
            "<s>~<|im_start|>~system~\n~You~ are~ a~ helpful~ assistant~.~<|im_end|>~\n~"
            "<|im_start|>~user~\n~Hi~<|im_end|>~\n~<|im_start|>~assistant~\n",
            "Hello~ you~.~<|im_end|>",
            "\n~<|im_start|>~user~\n~Bye~<|im_end|>~\n~<|im_start|>~assistant~\n",
            "So~ long~.~<|im_end|>",
            "\n",
        ],
    ),
    (
        "qwen-7b-chat",
        "Be brief.",
        [
            "<s>~<|im_start|>~system~\n~Be~ brief~.~<|im_end|>~\n~"
            "<|im_start|>~user~\n~Hi~<|im_end|>~\n~<|im_start|>~assistant~\n",
            "Hello~ you~.~<|im_end|>",
            "\n",
        ],
    ),
]


@cache
def tokenizer_of(kind: str, template: str):
    tokenizer = BUILD[kind]()
    ensure_template(tokenizer, template)
    return tokenizer


def readable():
    """Words with the space before them, and every token that `BY_HAND` names."""
    words = {token for _, _, parts in BY_HAND for part in parts for token in part.split("~")}
    tokens = [*SPECIAL, *sorted(words - {*SPECIAL, *ENDS})]
    core = Tokenizer(models.WordLevel({token: i for i, token in enumerate(tokens)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Split(Regex(r" ?\w+| ?[^\w\s]+|\s"), "isolated")
    core.add_special_tokens(SPECIAL)
    return wrap(core)


def talk(*turns: str, system: str | None = None) -> list[Message]:
    said = [Message(role="assistant" if i % 2 else "user", content=turn) for i, turn in enumerate(turns)]
    return said if system is None else [Message(role="system", content=system), *said]


@pytest.mark.parametrize(("name", "system", "parts"), BY_HAND)
def test_ids_and_mask_by_hand(name, system, parts):
    tokenizer = readable()
    ensure_template(tokenizer, name)
    answers = len(parts) // 2
    encoded = encode(tokenizer, talk(*TURNS[: 2 * answers], system=system), 1000)
    tokens = [(token, i % 2) for i, part in enumerate(parts) for token in part.split("~")]
    assert tokenizer.convert_ids_to_tokens(encoded.ids) == [token for token, _ in tokens]
    assert encoded.mask == [said for _, said in tokens]
    prompt = prompt_ids(tokenizer, talk(*TURNS[: 2 * answers - 1], system=system))
    assert prompt == encoded.ids[: len(prompt)]
    assert len(prompt) == sum(len(part.split("~")) for part in parts[: 2 * answers - 1])


def fastchat_text(name: str, turns: list[str | None], system: str | None) -> str:
    conversation = get_conv_template(name)
    if system is not None:
        conversation.set_system_message(system)
    for i, turn in enumerate(turns):
        conversation.append_message(conversation.roles[i % 2], turn)
    return conversation.get_prompt()


def random_talks(seed: int, n: int):
    """Conversations of 1-5 turns of odd characters, with the default, no or some system message."""
    rng = random.Random(seed)
    letters = "ab n<>{}%'\"\\\n\r\t:#é火\u00a0"
    for _ in range(n):
        turns = ["".join(rng.choices(letters, k=rng.randint(1, 12))) for _ in range(rng.randint(1, 5))]
        yield turns, rng.choice([None, "", "Be {brief} }}.\n"])


ACCEPTED = fitting(byte_level_bpe())


def test_how_many_of_fastchats_templates_are_accepted():
    assert len(ACCEPTED) >= 43 and len(conversation_names()) >= 83
    assert {"vicuna_v1.1", "llama-2", "mistral", "alpaca", "zephyr", "qwen-7b-chat"} <= set(ACCEPTED)
    assert len(fitting(byte_level_bpe(ends=()))) >= 24, "those that end with </s>, so fit any tokenizer"


@pytest.mark.parametrize("name", ACCEPTED)
@pytest.mark.parametrize(("eos", "bos"), [("<|eos|>", "<|bos|>"), ("<|eos|>", None)])
def test_the_text_is_fastchats(name, eos, bos):
    """Prompts too; </s> and <s> are the tokenizer's own tokens, and its first token comes first, once."""
    tokenizer = byte_level_bpe()
    tokenizer = wrap(tokenizer.backend_tokenizer, eos_token=eos, bos_token=bos)
    ensure_template(tokenizer, name)
    for turns, system in random_talks(0, 40):
        if system and probe(name).system is None:
            continue
        asks = len(turns) % 2 == 1
        text = fastchat_text(name, [*turns, None] if asks else turns, system)
        text = text.replace("</s>", eos).replace("<s>", bos or "")
        if bos and not text.startswith(bos):
            text = bos + text
        messages = [message.model_dump() for message in talk(*turns, system=system)]
        assert tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=asks) == text


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_is_supervised_is_the_answer_and_its_end(name):
    """FastChat's space before an answer, and llama-2's between answer and end, are the model's to write."""
    tokenizer = tokenizer_of("gpt-2", name)
    encoded = encode(tokenizer, talk("Hi", "\n Odd  answer\n"), 10_000)
    said = [i for i, m in zip(encoded.ids, encoded.mask, strict=True) if m]
    assert said[-1] == end_token(tokenizer)
    assert tokenizer.decode(said[:-1]).strip(" ") in ("\n Odd  answer\n", "\n Odd  answer\n\n")
    assert tokenizer.decode(said[-1:]) in (*ENDS, "</s>")


LETTERS = st.one_of(st.sampled_from(" \n\t:#/[]"), st.characters(codec="utf-8", exclude_characters="▁"))
"""Without the character that LLaMA's tokenizers have for a space."""
TEXT = st.text(LETTERS).filter(lambda text: not any(token in text for token in (*SPECIAL, *ENDS)))


@pytest.mark.parametrize(
    "name", ["plain", "vicuna_v1.1", "llama-2", "qwen-7b-chat", "open-orca", "oasst_llama"]
)
@pytest.mark.parametrize("kind", BUILD)
@given(turns=st.lists(TEXT, min_size=4, max_size=4))
@settings(max_examples=25, deadline=None)
def test_every_prompt_begins_the_conversation_and_the_answer_is_whole(kind, name, turns):
    tokenizer = tokenizer_of(kind, name)
    encoded = encode(tokenizer, talk(*turns), 10_000)
    for i in (1, 3):
        prompt = prompt_ids(tokenizer, talk(*turns[:i]))
        assert encoded.ids[: len(prompt)] == prompt
        end = encoded.mask.index(0, len(prompt)) if 0 in encoded.mask[len(prompt) :] else len(encoded.mask)
        assert all(encoded.mask[len(prompt) : end]) and end > len(prompt)
        before, after = tokenizer.decode(prompt), tokenizer.decode(encoded.ids[:end])
        answer = after.removeprefix(before)
        assert answer.endswith(turns[i] + closing(tokenizer, name)) and before + answer == after
        assert answer.removesuffix(turns[i] + closing(tokenizer, name)) in ("", " ")
    assert sum(encoded.mask) == sum(encoded.mask[len(prompt_ids(tokenizer, talk(turns[0]))) :])


def closing(tokenizer, name: str) -> str:
    close = "</s>" if name == "plain" else probe(name).close
    return close[: end_of(tokenizer, close)]


@pytest.mark.parametrize("kind", BUILD)
@pytest.mark.parametrize("name", sorted({*ACCEPTED, "plain"} - {"open-orca", "aquila-legacy"}))
def test_usual_answers_have_the_ids_of_the_whole_text(kind, name):
    """Two templates end their prompt with a space, which an answer's first token would swallow."""
    tokenizer = tokenizer_of(kind, name)
    messages = talk("Hi there", "Hello you.\n\nSo long.", "  Hi\n", "So\nlong. ")
    text = tokenizer.apply_chat_template([m.model_dump() for m in messages], tokenize=False)
    assert encode(tokenizer, messages, 10_000).ids == tokenizer(text, add_special_tokens=False)["input_ids"]


def test_the_first_token_comes_only_where_the_tokenizer_adds_it():
    tokenizer = byte_level_bpe()
    assert adds_bos(tokenizer)
    ensure_template(tokenizer, "vicuna_v1.1")
    assert encode(tokenizer, talk("Hi", "Hello"), 1000).ids.count(tokenizer.bos_token_id) == 1
    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    assert not adds_bos(tokenizer)
    ensure_template(tokenizer, "vicuna_v1.1")
    assert tokenizer.bos_token_id not in encode(tokenizer, talk("Hi", "Hello"), 1000).ids


def test_a_first_token_that_fastchat_writes_is_not_doubled():
    begin = get_conv_template("deepseek-chat").system_message
    tokenizer = wrap(byte_level_bpe().backend_tokenizer, bos_token=begin)
    ensure_template(tokenizer, "deepseek-chat")
    for system in (None, "", "Be brief."):
        ids = encode(tokenizer, talk("Hi", "Hello", system=system), 1000).ids
        assert ids[0] == tokenizer.bos_token_id and tokenizer.bos_token_id not in ids[1:]


def test_a_saved_tokenizer_keeps_the_template(tmp_path):
    tokenizer = tokenizer_of("llama-3", "llama-2")
    tokenizer.save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert template_hash(loaded) == template_hash(tokenizer)
    assert encode(loaded, talk(*TURNS), 1000) == encode(tokenizer, talk(*TURNS), 1000)
    assert end_token(loaded) == loaded.eos_token_id


@pytest.mark.parametrize("name", ["rwkv", "falcon", "chatglm", "chatglm2", "yuan2"])
def test_a_style_that_rewrites_messages_or_counts_rounds_is_refused(name):
    with pytest.raises(ConfigError, match=f"'{name}' changes messages, or differs from turn to turn"):
        ensure_template(byte_level_bpe(), name)


@pytest.mark.parametrize("name", ["chatgpt", "gemini"])
def test_a_model_behind_an_api_has_no_template(name):
    with pytest.raises(ConfigError, match=f"no text for the conversation template '{name}'"):
        ensure_template(byte_level_bpe(), name)


@pytest.mark.parametrize(
    ("name", "close"),
    [("zero_shot", r"'\\n### '"), ("qwen-7b-chat", r"'<\|im_end\|>\\n'"), ("baichuan-chat", "''")],
)
def test_an_end_that_is_no_token_is_refused(name, close):
    with pytest.raises(ConfigError, match=close + ".*never learn to stop; .*llama-2, .*mistral, .*vicuna_v1"):
        ensure_template(byte_level_bpe(ends=()), name)


def test_an_added_newline_is_no_end():
    """Some vocabularies have whitespace among their added tokens."""
    tokenizer = byte_level_bpe()
    tokenizer.add_tokens(["\n"])
    with pytest.raises(ConfigError, match="never learn to stop"):
        ensure_template(tokenizer, "cutegpt")


def test_without_an_end_of_text_token_its_templates_are_refused():
    tokenizer = byte_level_bpe()
    tokenizer.eos_token = None
    with pytest.raises(ConfigError, match="holds no end token"):
        ensure_template(tokenizer, "vicuna_v1.1")
    ensure_template(tokenizer, "qwen-7b-chat")


@pytest.mark.parametrize(
    "messages",
    [
        talk("Hi", "Hello") + talk("Bye", system="Be brief."),
        talk("Hi") + talk("Bye", "So long."),
        talk("Hi", "Hello")[1:],
    ],
)
def test_turns_out_of_order_are_refused(messages):
    tokenizer = tokenizer_of("gpt-2", "vicuna_v1.1")
    with pytest.raises(TacosError, match=r"vicuna_v1\.1 takes user and assistant in turn"):
        encode(tokenizer, messages, 1000)


def test_a_prompt_needs_a_question():
    with pytest.raises(TacosError, match="the last turn is none"):
        prompt_ids(tokenizer_of("gpt-2", "vicuna_v1.1"), talk("Hi", "Hello"))


def test_a_template_without_a_place_for_a_system_message_refuses_one():
    tokenizer = tokenizer_of("gpt-2", "yuan")
    assert encode(tokenizer, talk("Hi", "Hello"), 1000).loss_tokens
    with pytest.raises(TacosError, match="yuan has no place for a system message"):
        encode(tokenizer, talk("Hi", "Hello", system="Be brief."), 1000)
