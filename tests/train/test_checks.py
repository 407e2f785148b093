"""What can be known before the first step is refused before it, as a wrong setting and with the remedy."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import transformers as hf

from tacos.errors import ConfigError
from tacos.models.chat import TEMPLATES
from tacos.types import Message, Pool, Sample, make_sample
from tests.train.helpers import SETTINGS, train
from train.data import prepare


@pytest.fixture(autouse=True)
def no_step(monkeypatch):
    """A test here ends before the first step."""

    def step(*args, **kwargs):
        raise AssertionError("a step was taken")

    monkeypatch.setattr(hf.Trainer, "training_step", step)


def with_template(base: Path, out: Path, template: str) -> Path:
    """The base with a chat template of its own."""
    hf.AutoModelForCausalLM.from_pretrained(base).save_pretrained(out)
    tokenizer = hf.AutoTokenizer.from_pretrained(base)
    tokenizer.chat_template = template
    tokenizer.save_pretrained(out)
    return out


NO_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{{ '<|' + m.role + '|>' + m.content + '<|end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}"
    "{% endif %}"
)


def test_rows_that_the_template_refuses_are_named(micro_pool, micro_base, tmp_path):
    base = with_template(micro_base, tmp_path / "base", NO_SYSTEM)
    rows = list(micro_pool)
    for place, name in ((4, "r17"), (9, "r23")):
        system = Message(role="system", content="Be short.")
        rows[place] = Sample(id=name, messages=(system, *rows[place].messages))
    with pytest.raises(
        ConfigError,
        match=r"2 of 40 samples .* the first of them 'r17' \(number 5\): .*System role not supported; set `template`",
    ):
        train(Pool.from_samples(rows), base, SETTINGS, 0, tmp_path / "out")


def test_rows_whose_earlier_turns_a_template_changes_are_named(micro_pool, micro_base, tmp_path):
    counting = TEMPLATES["tiny"].replace("{% else %}{{ '<|'", "{% else %}{{ loop.length // 3 ~ '<|'")
    base = with_template(micro_base, tmp_path / "base", counting)
    turns = [Message(role=role, content="Hi") for role in ("user", "assistant") * 2]
    pool = Pool.from_samples([*micro_pool, Sample(id="long", messages=tuple(turns))])
    with pytest.raises(
        ConfigError, match=r"^1 of 41 samples .* 'long' \(number 41\): .*changes earlier turns"
    ):
        train(pool, base, SETTINGS, 0, tmp_path / "out")


def test_a_template_that_fails_by_itself_is_one_that_refuses(micro_pool, micro_base, tmp_path):
    failing = TEMPLATES["tiny"] + "{{ 1 // (messages | length - 2) }}"
    base = with_template(micro_base, tmp_path / "base", failing)
    with pytest.raises(
        ConfigError, match=r"refuses a conversation: .*by zero; set `template` to another one"
    ):
        train(micro_pool, base, SETTINGS, 0, tmp_path / "out")


def test_marks_in_messages_are_counted_in_the_log(micro_pool, micro_base, caplog):
    caplog.set_level(logging.INFO)
    named = make_sample("What ends a turn?", "It is <|end|> here.", id="named")
    tokenizer = hf.AutoTokenizer.from_pretrained(micro_base)
    data = prepare(tokenizer, Pool.from_samples([*micro_pool, named]), SETTINGS, 0)
    assert data.kept[-1].ids.count(tokenizer.eos_token_id) == 2
    assert "1 messages name a special token, such as '<|end|>': it is encoded as text" in caplog.text
