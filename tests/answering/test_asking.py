from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError

from tacos.answering.asking import conversation, generate, row_seed
from tacos.answering.candidate import GenerateSettings, in_process, served
from tacos.answering.heldout import heldout_loss
from tacos.errors import TacosError
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.llm.backends.transformers import pad_left
from tacos.llm.base import Completion
from tacos.models.chat import encode
from tacos.models.local import load_lm
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
    settings = (GenerateSettings(batch_size=size, max_new_tokens=12) for size in (1, 8))
    one, eight = (generate(in_process(model_dir, how), QUESTIONS * 3, "m") for how in settings)
    assert one == eight
    assert [a.question_id for a in one] == [q.id for q in QUESTIONS * 3]
    assert [len(a.turns) for a in one[:4]] == [1, 1, 2, 1]


def test_sampling_is_seeded_and_greedy_answers_are_not(model_dir):
    for temperature in (0.0, 1.0):
        settings = GenerateSettings(temperature=temperature, max_new_tokens=12)
        a, b, c = (generate(in_process(model_dir, settings), QUESTIONS, "m", seed=seed) for seed in (1, 1, 2))
        assert a == b and (b == c) == (temperature == 0)


def test_batches_do_not_change_sampled_answers(model_dir):
    asked = [Question(id=f"{k}-{q.id}", turns=q.turns) for k in range(3) for q in QUESTIONS]
    settings = (GenerateSettings(temperature=0.7, batch_size=n, max_new_tokens=12) for n in (3, 8))
    three, eight = (generate(in_process(model_dir, how), asked, "m") for how in settings)
    assert three == eight
    alike = {a.turns for a in three if a.question_id.endswith("-1")}
    assert len(alike) > 1  # the same question under another id draws anew


def test_each_category_has_its_own_temperature(model_dir):
    asked = [Question(id=q.id, turns=q.turns, category=c) for c in "xy" for q in QUESTIONS]

    def turns(**settings):
        made = generate(in_process(model_dir, GenerateSettings(max_new_tokens=12, **settings)), asked, "m")
        return [a.turns for a in made]

    greedy, drawn = turns(), turns(temperature=1.0)
    mixed = turns(temperatures={"y": 1.0}, batch_size=3)
    assert mixed == greedy[:4] + drawn[4:] and drawn[4:] != greedy[4:]
    with pytest.raises(ValidationError):
        GenerateSettings(temperatures={"y": -1.0})


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
    lm = load_lm(model_dir, device="cpu")
    model, tokenizer = lm.model, lm.tokenizer
    total, count = 0.0, 0
    for sample in pool:
        e = encode(tokenizer, sample.messages, 64)
        logits = torch.log_softmax(model(torch.tensor([e.ids])).logits[0].float(), -1)
        for k in range(1, len(e.ids)):
            if e.mask[k]:
                total, count = total - float(logits[k - 1, e.ids[k]]), count + 1
    assert heldout_loss(model_dir, pool, 64) == pytest.approx(total / count, rel=1e-4)
    assert math.isfinite(heldout_loss(model_dir, pool, 64, budget=1))


def test_a_question_without_an_answer_is_an_error_where_all_are_needed():
    def refuses(request):
        return ValueError("no") if "France" in request.messages[-1].content else "yes"

    with pytest.raises(
        TacosError, match=r"m gave no answer to 1 of 4 questions, the first 1 \(turn 1: Value"
    ):
        generate(served(ScriptedLLM(refuses), GenerateSettings()), QUESTIONS, "m")


def test_nothing_to_score_or_load_is_an_error(model_dir):
    with pytest.raises(TacosError, match="none of 1 samples"):
        heldout_loss(model_dir, Pool.from_samples([make_sample("why? " * 50, "So.")]), 8)
    with pytest.raises(TacosError, match="no/such-model"):
        generate(in_process("no/such-model", GenerateSettings()), QUESTIONS, "m")


def test_a_reasoning_block_is_no_part_of_an_answer_nor_of_the_next_turns_question():
    said = {"A": "<think>\nHm.\n</think>\n\nFirst.", "And then?": "Second."}
    model = ScriptedLLM(lambda request: said[request.messages[-1].content])
    (made,) = generate(served(model, GenerateSettings()), [QUESTIONS[2]], "m")
    assert (made.turns, made.reasoned) == (("First.", "Second."), 1)
    assert [m.content for m in model.requests[1].messages] == ["A", "First.", "And then?"]
    (kept,) = generate(served(model, GenerateSettings(strip_reasoning=False)), [QUESTIONS[2]], "m")
    assert (kept.turns[0], kept.reasoned) == (said["A"], 0)


def test_a_reply_cut_off_in_its_reasoning_is_an_empty_answer_that_was_cut():
    model = ScriptedLLM(lambda request: Completion(text="<think>\nHm", finish_reason="length"))
    (made,) = generate(served(model, GenerateSettings()), QUESTIONS[:1], "m")
    assert (made.turns, made.finish_reasons, made.reasoned) == (("",), ("length",), 1)


def test_whether_reasoning_is_kept_names_the_answers():
    model = ScriptedLLM(lambda request: "yes")
    kept, left_out = (served(model, GenerateSettings(strip_reasoning=strip)) for strip in (False, True))
    assert kept.identity != left_out.identity
