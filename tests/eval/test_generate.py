from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError

from eval.generate.answering import conversation, generate, row_seed
from eval.generate.backends import GenerateSettings, cut, load, pad_left
from eval.generate.heldout import heldout_loss
from tacos.errors import TacosError
from tacos.models.chat import encode
from tacos.types import Pool, Question, make_sample

TINY = {"vocab_size": 400, "hidden": 32, "layers": 1, "heads": 2, "steps": 60, "batch_size": 4, "block": 64}
ASKED = [("Hi",), ("What is the capital of France?",), ("A", "And then?"), ("One two three",)]
QUESTIONS = [Question(id=str(i), turns=turns) for i, turns in enumerate(ASKED)]


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    from train.tiny import TinySettings, build_tiny

    out = tmp_path_factory.mktemp("tiny")
    build_tiny(
        ["The capital of France is Paris.", "One two three four five."] * 100, TinySettings(**TINY), out
    )
    return str(out)


def test_batches_do_not_change_greedy_answers(model_dir):
    one, eight = (
        generate(model_dir, QUESTIONS * 3, GenerateSettings(batch_size=size, max_new_tokens=12), "m")
        for size in (1, 8)
    )
    assert one == eight
    assert [a.question_id for a in one] == [q.id for q in QUESTIONS * 3]
    assert [len(a.turns) for a in one[:4]] == [1, 1, 2, 1]


def test_sampling_is_seeded(model_dir):
    settings = GenerateSettings(temperature=1.0, max_new_tokens=12)
    a, b, c = (generate(model_dir, QUESTIONS, settings, "m", seed=seed) for seed in (1, 1, 2))
    assert a == b != c


def test_batches_do_not_change_sampled_answers(model_dir):
    asked = [Question(id=f"{k}-{q.id}", turns=q.turns) for k in range(3) for q in QUESTIONS]
    three, eight = (
        generate(model_dir, asked, GenerateSettings(temperature=0.7, batch_size=size, max_new_tokens=12), "m")
        for size in (3, 8)
    )
    assert three == eight
    alike = {a.turns for a in three if a.question_id.endswith("-1")}
    assert len(alike) > 1  # the same question under another id draws anew


def test_each_category_has_its_own_temperature(model_dir):
    asked = [Question(id=q.id, turns=q.turns, category=c) for c in "xy" for q in QUESTIONS]

    def turns(**settings):
        made = generate(model_dir, asked, GenerateSettings(max_new_tokens=12, **settings), "m")
        return [a.turns for a in made]

    greedy, drawn = turns(), turns(temperature=1.0)
    mixed = turns(temperatures={"y": 1.0}, batch_size=3)
    assert mixed == greedy[:4] + drawn[4:] and drawn[4:] != greedy[4:]
    with pytest.raises(ValidationError):
        GenerateSettings(temperatures={"y": -1.0})


def test_long_prompts_lose_their_oldest_tokens_and_that_is_said(caplog):
    assert cut([[1, 2, 3], [4]], 2) == [[2, 3], [4]]
    assert "1 of 2 prompts are over 2 tokens" in caplog.text


def test_every_reply_has_its_own_seed():
    seeds = [row_seed(*args) for args in ((0, "a", 0), (1, "a", 0), (0, "b", 0), (0, "a", 1))]
    assert len(set(seeds)) == 4 and seeds[0] == row_seed(0, "a", 0) >= 0


def test_second_turn_sees_the_first():
    question = Question(id="q", turns=("One?", "Two?"))
    messages = conversation(question, ["First."])
    assert [(m.role, m.content) for m in messages] == [
        ("user", "One?"),
        ("assistant", "First."),
        ("user", "Two?"),
    ]


def test_padding_goes_left():
    ids, mask = pad_left([[5, 6, 7], [8]], pad=0)
    assert ids.tolist() == [[5, 6, 7], [0, 0, 8]] and mask.tolist() == [[1, 1, 1], [0, 0, 1]]


def test_heldout_loss_is_the_mean_over_assistant_tokens(model_dir):
    pool = Pool.from_samples([make_sample("Hi", "Paris."), make_sample("What?", "One two three four five.")])
    model, tokenizer = load(model_dir, "auto", "auto", "cpu")
    total, count = 0.0, 0
    for sample in pool:
        e = encode(tokenizer, sample.messages, 64)
        logits = torch.log_softmax(model(torch.tensor([e.ids])).logits[0].float(), -1)
        for k in range(1, len(e.ids)):
            if e.mask[k]:
                total, count = total - float(logits[k - 1, e.ids[k]]), count + 1
    assert heldout_loss(model_dir, pool, 64) == pytest.approx(total / count, rel=1e-4)
    assert math.isfinite(heldout_loss(model_dir, pool, 64, budget=1))


def test_nothing_to_score_or_load_is_an_error(model_dir):
    with pytest.raises(TacosError, match="none of 1 samples"):
        heldout_loss(model_dir, Pool.from_samples([make_sample("why? " * 50, "So.")]), 8)
    with pytest.raises(TacosError, match="no/such-model"):
        generate("no/such-model", QUESTIONS, GenerateSettings(), "m")
