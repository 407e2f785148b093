from __future__ import annotations

import json
import re

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tacos.errors import ConfigError
from train.tiny import TinySettings, build_tiny, build_tokenizer, pack, rate

CORPUS = ["The capital of France is Paris.", "The opposite of hot is cold."] * 40
SETTINGS = TinySettings(vocab_size=350, hidden=32, layers=1, heads=2, steps=30, batch_size=4, block=32)


def test_loss_goes_down_and_the_folder_loads(tmp_path):
    metrics = build_tiny(CORPUS, SETTINGS, tmp_path)
    assert metrics["final_loss"] < 0.7 * metrics["first_loss"]
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert model.config.eos_token_id == tokenizer.eos_token_id == tokenizer.convert_tokens_to_ids("<|end|>")
    assert tokenizer.pad_token != tokenizer.eos_token
    assert re.search(r"{%\s*generation\s*%}", tokenizer.chat_template)


def test_any_text_survives_the_tokenizer(tmp_path):
    build_tiny(CORPUS, SETTINGS.model_copy(update={"steps": 1}), tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    text = "Grüße, 世界 🙂\n\tx = {1}"
    assert tokenizer.decode(tokenizer(text)["input_ids"]).strip() == text


def test_same_seed_same_model(tmp_path):
    settings = SETTINGS.model_copy(update={"steps": 2})
    for name in ("a", "b"):
        build_tiny(CORPUS, settings, tmp_path / name)
    a, b = (AutoModelForCausalLM.from_pretrained(tmp_path / name).state_dict() for name in ("a", "b"))
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert json.loads((tmp_path / "a" / "config.json").read_text())["model_type"] == "llama"


def test_rate_warms_up_and_decays():
    assert [round(rate(k, 100), 2) for k in (0, 4, 5, 99)] == [0.2, 1.0, 1.0, 0.05]


def test_a_special_token_in_the_corpus_is_spelled_out():
    tokenizer = build_tokenizer(CORPUS, SETTINGS)
    ids = pack(tokenizer, ["Say <|end|> and <|user|>."], block=40)[0].tolist()
    document = ids[: ids.index(tokenizer.eos_token_id)]
    assert tokenizer.decode(document).strip() == "Say <|end|> and <|user|>."
    assert tokenizer.convert_tokens_to_ids("<|user|>") not in ids


def test_a_base_without_a_corpus_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"set pool\.builtin\.corpus_size above 0"):
        pack(build_tokenizer(CORPUS, SETTINGS), [], 8)
