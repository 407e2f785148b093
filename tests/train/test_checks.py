"""What can be known before the first step is refused before it, as a wrong setting and with the remedy."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest
import torch
import transformers as hf

from tacos.errors import ConfigError, TacosError
from tacos.models.chat import TEMPLATES
from tacos.models.local import load_lm
from tacos.store.files import write_json
from tacos.types import Message, Pool, Sample, make_sample
from tests.train.helpers import SETTINGS, train, training
from train.checks import check_targets, refused_by_libraries
from train.data import prepare
from train.launch import fine_tune
from train.model import attention, skeleton
from train.settings import LoraSettings


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
    assert (
        "special tokens named in messages, such as '<|end|>', are encoded as text: 1 messages" in caplog.text
    )


IDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
LLAMA = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.fixture
def base_of(micro_base, tmp_path):
    """Makes a base of a config with the micro base's tokenizer, and changes it by a function."""

    def make(config: hf.PretrainedConfig, change=lambda folder, tokenizer: None) -> Path:
        folder = tmp_path / "base"
        torch.manual_seed(0)
        hf.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
        tokenizer = hf.AutoTokenizer.from_pretrained(micro_base)
        change(folder, tokenizer)
        tokenizer.save_pretrained(folder)
        return folder

    return make


@pytest.fixture
def tokens(micro_base) -> int:
    """Of the micro base."""
    return len(hf.AutoTokenizer.from_pretrained(micro_base))


def llama(**changes) -> hf.LlamaConfig:
    return hf.LlamaConfig(**{"vocab_size": 400, **IDS, **LLAMA, **changes})


def refused(pool, base, tmp_path, message: str, **settings) -> None:
    with pytest.raises(ConfigError, match=message):
        train(pool, base, SETTINGS.model_copy(update=settings), 0, tmp_path / "out")
    assert not (tmp_path / "out" / "model").exists()


def chatml(folder: Path, tokenizer) -> None:
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    tokenizer.chat_template = (
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )


def padded(folder: Path, tokenizer) -> None:
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})


@pytest.mark.parametrize(("change", "more", "lost"), [(chatml, 2, r"<\|im_end\|>"), (padded, 1, r"\[PAD\]")])
def test_a_tokenizer_larger_than_the_embeddings_is_refused(
    change, more, lost, tokens, micro_pool, base_of, tmp_path
):
    base = base_of(llama(vocab_size=tokens), change)
    message = (
        rf"has {tokens + more} tokens and the model's embeddings {tokens}, none of them for '{lost}' "
        rf"\({tokens + more - 1}\).*resize_token_embeddings\({tokens + more}\)"
    )
    refused(micro_pool, base, tmp_path, message)
    with pytest.raises(ConfigError, match=message):
        load_lm(str(base), device="cpu")


def test_the_tokenizer_of_another_model_is_refused(tokens, micro_pool, base_of, tmp_path):
    base = base_of(llama(vocab_size=tokens - 1))
    message = (
        rf"has {tokens} tokens and .* embeddings {tokens - 1}, .*take the tokenizer that belongs to the model"
    )
    refused(micro_pool, base, tmp_path, message)


def test_a_token_without_an_embedding_that_nothing_uses_is_only_told(tokens, base_of, caplog):
    """As Gemma 3's tokenizer has one for images."""
    base = base_of(llama(vocab_size=tokens), lambda folder, tokenizer: tokenizer.add_tokens(["<image>"]))
    load_lm(str(base), device="cpu")
    told = f"has {tokens + 1} tokens and the model's embeddings {tokens}; those without one are not used here"
    assert told in caplog.text


TABLES = {
    "gpt2": hf.GPT2Config(vocab_size=400, n_embd=32, n_layer=1, n_head=2, n_positions=128, **IDS),
    "opt": hf.OPTConfig(
        vocab_size=400, ffn_dim=32, word_embed_proj_dim=32, max_position_embeddings=128, **IDS, **LLAMA
    ),
    "biogpt": hf.BioGptConfig(vocab_size=400, max_position_embeddings=128, **IDS, **LLAMA),
    "gpt_neo": hf.GPTNeoConfig(
        vocab_size=400,
        hidden_size=32,
        num_layers=2,
        num_heads=2,
        attention_types=[[["global", "local"], 1]],
        max_position_embeddings=128,
        **IDS,
    ),
    "gptj": hf.GPTJConfig(
        vocab_size=400, n_embd=32, n_layer=1, n_head=2, n_positions=128, rotary_dim=8, **IDS
    ),
    "mpt": hf.MptConfig(vocab_size=400, d_model=32, n_heads=2, n_layers=1, max_seq_len=128),
}


@pytest.mark.parametrize("kind", TABLES)
def test_samples_longer_than_a_table_of_positions_are_refused(kind, micro_pool, base_of, tmp_path):
    base = base_of(TABLES[kind])
    message = r"train\.max_length is 256, and .* has 128 positions .*: set train\.max_length to 128 or less"
    refused(micro_pool, base, tmp_path, message)


def generation(**values):
    def change(folder: Path, tokenizer) -> None:
        write_json(folder / "generation_config.json", {"bos_token_id": 1, "eos_token_id": 2, **values})

    return change


def test_a_generation_config_with_idle_settings_is_saved_without_them(
    micro_pool, base_of, tmp_path, caplog, monkeypatch
):
    """LLaMA 2's own, which transformers loads and refuses to save."""
    monkeypatch.undo()
    base = base_of(llama(), generation(temperature=0.9, top_p=0.6, max_length=4096))
    train(micro_pool, base, SETTINGS.model_copy(update={"steps": 1}), 0, tmp_path / "out")
    assert f"the generation config of {base} sets temperature, top_p without effect" in caplog.text
    saved = hf.GenerationConfig.from_pretrained(tmp_path / "out" / "model")
    assert (saved.temperature, saved.top_p, saved.max_length) == (None, None, 4096)


def test_a_generation_config_that_is_not_valid_is_refused(micro_pool, base_of, tmp_path):
    base = base_of(llama(), generation(num_return_sequences=3))
    message = r"generation_config\.json of the base model .*num_return_sequences.* Correct it in a copy of its folder"
    refused(micro_pool, base, tmp_path, message)


def test_settings_that_cannot_be_saved_are_found_before_training(micro_pool, base_of, tmp_path, monkeypatch):
    def save(self, *args, **kwargs):
        raise ValueError("GenerationConfig is invalid:\n- nothing here")

    base = base_of(llama())
    monkeypatch.setattr(hf.GenerationConfig, "save_pretrained", save)
    refused(
        micro_pool,
        base,
        tmp_path,
        r"could not be saved after training: GenerationConfig is invalid: - nothing",
    )


@pytest.mark.parametrize(
    ("target", "tie", "message"),
    [
        (("q_projj",), False, r"has no module 'q_projj': did you mean 'q_proj'\?"),
        (("q_proj", "v_prj"), False, r"has no module 'v_prj': did you mean 'v_proj'\?"),
        ("q_proj", False, r"has no module 'q_proj' by its whole path, .*: write \[q_proj\]"),
        ("q_proj,v_proj", False, r"no module 'q_proj,v_proj', as a single text .*: write \[q_proj, v_proj\]"),
        (
            "q_proj|v_proj",
            False,
            r"no module 'q_proj\|v_proj', as a single text .*: write \[q_proj, v_proj\]",
        ),
        ("All_Linear", False, r"no module 'All_Linear': all-linear is written so, and alone"),
        ((), False, r"train\.lora\.target is empty: leave it out for all linear layers"),
        (r".*\.(k|z)_prj", False, r"train\.lora\.target: .* has no module"),
        ("(q_proj", False, r"'\(q_proj' is no regular expression"),
        (("lm_head",), False, r"its output head in lm_head, .* on 'lm_head': leave it out"),
        (("q_proj", "embed_tokens"), True, r"the same weights in model\.embed_tokens as in lm_head"),
        (("lm_head",), True, r"the same weights in lm_head as in model\.embed_tokens"),
        (r".*(q_proj|lm_head)", False, r"its output head in lm_head"),
        (("input_layernorm",), False, r"cannot be set up: Target module .*Norm.* is not supported"),
    ],
)
def test_targets_that_no_adapter_can_stand_beside_are_refused(
    target, tie, message, micro_pool, base_of, tmp_path
):
    base = base_of(llama(tie_word_embeddings=tie))
    refused(micro_pool, base, tmp_path, message, mode="lora", lora=LoraSettings(target=target))


def test_the_libraries_words_name_our_settings(micro_pool, base_of, tmp_path):
    """peft has no dropout for experts, which are weights without a layer."""
    experts = {"num_key_value_heads": 2, "num_local_experts": 2, "num_experts_per_tok": 1}
    base = base_of(hf.MixtralConfig(vocab_size=400, **IDS, **LLAMA, **experts))
    message = (
        r"cannot be set up: .*train\.lora\.dropout != 0; set train\.lora\.dropout=0, or name targets without"
    )
    refused(micro_pool, base, tmp_path, message, mode="lora")
    base = base_of(
        hf.MambaConfig(
            vocab_size=400, hidden_size=32, num_hidden_layers=1, state_size=8, conv_kernel=4, **IDS
        )
    )
    message = r"Mamba-based models .*; name the layers that train\.lora\.target may have, such as \[in_proj, x_proj\]"
    refused(micro_pool, base, tmp_path, message, mode="lora")
    with pytest.raises(ConfigError, match=r"remove it from train\.lora\.target"), refused_by_libraries():
        raise ValueError("Please remove it from `target_modules`.")


def test_every_target_that_can_be_trained_is_taken(base_of):
    model = hf.AutoModelForCausalLM.from_config(llama())
    for target in ("all-linear", ("embed_tokens",), ("q_proj", "down_proj"), r".*\.(q|k)_proj"):
        check_targets("base", model, LoraSettings(target=target))
    gpt2 = hf.AutoModelForCausalLM.from_config(TABLES["gpt2"])
    check_targets("base", gpt2, LoraSettings(target=("c_attn", "wpe")))
    with pytest.raises(ConfigError, match=r"the same weights in transformer\.wte as in lm_head"):
        check_targets("base", gpt2, LoraSettings(target=("wte",)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"attention": "sdap"},
            r"train\.attention='sdap' .*: set it to 'auto', which takes 'eager' here \(Specified",
        ),
        (
            {"attention": "sdpa"},
            r"train\.attention='sdpa' .*'eager' here \(BloomForCausalLM does not support",
        ),
        ({"liger": True}, r"train\.liger needs liger-kernel: pip install"),
    ],
)
def test_what_the_base_or_the_machine_has_not_is_refused(
    settings, message, micro_pool, base_of, tmp_path, monkeypatch
):
    monkeypatch.setattr("train.checks.is_liger_kernel_available", lambda: False)
    base = base_of(hf.BloomConfig(vocab_size=400, hidden_size=32, n_layer=1, n_head=2, **IDS))
    refused(micro_pool, base, tmp_path, message, **settings)


def test_a_model_that_cannot_recompute_activations_is_refused(micro_pool, base_of, tmp_path):
    base = base_of(hf.CTRLConfig(vocab_size=400, n_embd=32, dff=32, n_layer=1, n_head=2, n_positions=256))
    refused(micro_pool, base, tmp_path, r"\(ctrl\) cannot recompute", gradient_checkpointing=True)


@pytest.mark.parametrize("mode", ["full", "lora", "qlora"])
@pytest.mark.parametrize(
    "given", [{"quant_method": "fp8"}, {"quant_method": "mxfp4"}, {"quant_method": "gptq", "bits": 4}]
)
def test_a_base_that_is_quantised_already_is_refused(given, mode, micro_pool, base_of, tmp_path):
    base = base_of(llama(quantization_config=given))
    message = rf"quantised already \(.*: {given['quant_method']}\).*: take the same model in 16 or 32 bits"
    refused(micro_pool, base, tmp_path, message, mode=mode)


def test_a_base_that_is_no_causal_model_is_refused(micro_pool, micro_base, tmp_path):
    folder = tmp_path / "base"
    hf.T5Config(vocab_size=400).save_pretrained(folder)
    hf.AutoTokenizer.from_pretrained(micro_base).save_pretrained(folder)
    with pytest.raises(TacosError, match=r"cannot load the base model .*Unrecognized configuration class"):
        train(micro_pool, folder, SETTINGS, 0, tmp_path / "out")


@pytest.mark.parametrize("kind", ["bloom", "gpt_oss"])
def test_auto_takes_eager_attention_where_a_model_has_no_sdpa(kind, base_of):
    configs = {
        "bloom": hf.BloomConfig(vocab_size=400, hidden_size=32, n_layer=1, n_head=2),
        "gpt_oss": hf.GptOssConfig(
            vocab_size=400,
            num_key_value_heads=2,
            head_dim=16,
            num_local_experts=2,
            num_experts_per_tok=1,
            **LLAMA,
        ),
    }
    assert attention(skeleton(str(base_of(configs[kind])), SETTINGS)) == "eager"


def test_auto_takes_sdpa_where_a_model_has_it(base_of):
    assert attention(skeleton(str(base_of(llama())), SETTINGS)) == "sdpa"


def test_a_disk_without_room_is_refused(micro_pool, micro_base, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=400_000)
    monkeypatch.setattr("train.checks.shutil.disk_usage", lambda path: usage)
    message = r"has 0\.0 GB free, and training .* writes up to .*give another out, or set train\.save_steps=0"
    refused(micro_pool, micro_base, tmp_path, message, save_steps=2)


def test_a_folder_that_cannot_be_written_to_is_refused(micro_pool, micro_base, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"cannot write to .*: Not a directory; give another out"):
        run = training(micro_pool, micro_base, SETTINGS, 0, tmp_path / "pool")
        fine_tune(run.model_copy(update={"out": str(tmp_path / "file" / "out")}))
