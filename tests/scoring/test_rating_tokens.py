"""Deita and SelectIT: as released, worked by hand, and ratings that cannot be read.

`released_ratings.json` holds conversations of our own and what Deita's and SelectIT's code (2026-11-26) gave for them
on the models of `tiny_models`; unchanged but for the ids of digits, the device and 32 bits, with prompts of our own.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tacos.config import parse
from tacos.errors import ConfigError, TacosError
from tacos.models.local import load_tokenizer
from tacos.scoring.deita import Deita, expectation, templates
from tacos.scoring.local_scorer import by_owner
from tacos.scoring.rating_tokens import digit_tokens
from tacos.scoring.selectit import SelectIt, sentence_score, token_score
from tacos.types import Message, Pool, Sample, make_sample
from tests.scoring import tiny_models
from tests.scoring.scored import scored

RELEASED = json.loads((Path(__file__).parent / "released_ratings.json").read_text(encoding="utf-8"))
TALKS: list[list[str]] = RELEASED["conversations"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("models")
    return {
        "llama": str(tiny_models.build(root / "llama", "llama", 2048)),
        "gpt2": str(tiny_models.build(root / "gpt2", "gpt2", 2048)),
    }


def conversation(texts: list[str], id: str) -> Sample:
    roles = ("user", "assistant")
    said = tuple(Message(role=roles[i % 2], content=text) for i, text in enumerate(texts))  # type: ignore[arg-type]
    return Sample(id=id, messages=said)


ALL = Pool.from_samples(conversation(texts, f"c{i}") for i, texts in enumerate(TALKS))
SINGLE = Pool.from_samples(conversation(texts, f"c{i}") for i, texts in enumerate(TALKS) if len(texts) == 2)


def best(values: np.ndarray, n: int) -> list[int]:
    return [int(row) for row in np.argsort(-values, kind="stable")[:n]]


def test_deita_is_the_released_score_summed_over_turns(models: dict[str, str], tmp_path: Path) -> None:
    part = Deita(complexity=models["llama"], quality=models["gpt2"], prompts=tiny_models.TEMPLATES)
    turns = [
        np.multiply(c, q)
        for c, q in zip(RELEASED["deita"]["complexity"], RELEASED["deita"]["quality"], strict=True)
    ]
    found = scored(part, ALL, tmp_path).values
    assert found == pytest.approx([turn.sum() for turn in turns], rel=1e-4)
    mean = scored(part.model_copy(update={"turns": "mean"}), ALL, tmp_path).values
    assert mean == pytest.approx([turn.mean() for turn in turns], rel=1e-4)


def test_deita_by_one_model_alone(models: dict[str, str], tmp_path: Path) -> None:
    found = scored(
        Deita(complexity=models["llama"], quality=None, prompts=tiny_models.TEMPLATES), SINGLE, tmp_path
    ).values
    wanted = [turns[0] for turns in RELEASED["deita"]["complexity"] if len(turns) == 1]
    assert found == pytest.approx(wanted, rel=1e-4)
    with pytest.raises(ConfigError, match="complexity and quality are both null: name a model for one"):
        parse(Deita, {"complexity": None, "quality": None})


def test_deita_is_refused_without_the_prompts_of_its_models(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"score\.prompts=asset:prompts/deita_llama_scorer\.py"):
        templates(None, ["quality"])
    own = tmp_path / "own.yaml"
    own.write_text('quality_template: "{instruction} {output} {other}: "')
    assert templates(str(own), ["quality"]) == {"quality": "{instruction} {output} {other}: "}
    with pytest.raises(ConfigError, match=r"no complexity_template with \{instruction\} in it"):
        templates(str(own), ["complexity", "quality"])
    for name, text, kind in (
        ("broken.py", "quality_template = (", "Python"),
        ("broken.yaml", "quality: [", "YAML"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(ConfigError, match=rf"{name} is not valid {kind}: "):
            templates(str(tmp_path / name), ["quality"])


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_selectit_is_the_released_score(kind: str, models: dict[str, str], tmp_path: Path) -> None:
    wanted = RELEASED[f"selectit_{kind}"]
    found = scored(SelectIt(model=models[kind]), SINGLE, tmp_path).values
    assert found == pytest.approx(wanted["sentence"], rel=2e-4)
    assert best(found, 4) == wanted["half"]
    token = scored(SelectIt(model=models[kind], level="token"), SINGLE, tmp_path).values
    assert token == pytest.approx(wanted["token"], rel=2e-4)


def test_selectit_over_models_orders_as_released(models: dict[str, str], tmp_path: Path) -> None:
    weights = {
        models["llama"]: 7 / 20 + 70 / 90,
        models["gpt2"]: 13 / 20,
    }  # one of their three stood in twice
    found = scored(SelectIt(models=weights), SINGLE, tmp_path).values
    assert found * sum(weights.values()) == pytest.approx(RELEASED["selectit_models"]["scores"], rel=2e-4)
    assert best(found, 4) == RELEASED["selectit_models"]["half"]


def test_the_formulas_by_hand() -> None:
    assert expectation(np.zeros(6)) == pytest.approx(3.5)
    assert expectation(np.log([1, 1, 1, 1, 1, 5])) == pytest.approx((1 + 2 + 3 + 4 + 5 + 30) / 10)
    sure, other = math.e / (math.e + 4), 1 / (math.e + 4)
    five, one, even = np.eye(5)[4], np.eye(5)[0], np.full(5, 0.2)
    assert token_score(five, "released") == pytest.approx(5 * (sure - other))
    assert token_score(one, "released") == pytest.approx(sure - other)
    assert (token_score(five, "paper"), token_score(one, "paper")) == (5, 1)
    assert token_score(even, "paper") == token_score(even, "released") == 0
    torn = np.array([0, 0, 0, 0.4, 0.6])
    assert token_score(torn, "paper") == pytest.approx(5 * (0.2 + 3 * 0.6) / 4)
    assert sentence_score((1.0, 3.0), 0.2) == pytest.approx(2 / 1.2)


def test_a_rating_that_cannot_be_read_is_missing_and_says_why(
    models: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = Pool.from_samples(
        [make_sample("Hi", "Hello."), make_sample("Hi", ""), make_sample("Hi", "word " * 900)]
    )
    for part in (
        Deita(complexity=models["gpt2"], quality=models["gpt2"], prompts=tiny_models.TEMPLATES),
        SelectIt(model=models["gpt2"]),
    ):
        scores = scored(part, pool, tmp_path)
        assert scores.scored == 1 and scores.errors == {
            1: "the response is empty",
            2: "over the 2,048 tokens that the model can hold",
        }

    def overflown(lm: Any, rows: Any, *given: Any, **more: Any) -> Any:
        return ((i, np.full(5, np.nan, np.float32)) for i in range(len(rows)))

    monkeypatch.setattr("tacos.scoring.rating_tokens.next_logits", overflown)
    scores = scored(SelectIt(model=models["gpt2"]), pool[:1], tmp_path)
    assert scores.errors == {0: "the model gave no number for a rating token"} and scores.scored == 0


def test_a_tokenizer_without_a_digit_is_refused(models: dict[str, str]) -> None:
    tokenizer = load_tokenizer(models["gpt2"])
    assert [tokenizer.decode([token]) for token in digit_tokens(tokenizer, 6)] == list("123456")

    class Words:
        name_or_path, unk_token_id = "words", 0

        def convert_tokens_to_ids(self, text: str) -> int:
            return 0 if text == "4" else int(text)

    with pytest.raises(TacosError, match="the tokenizer 'words' has no token for '4' alone"):
        digit_tokens(Words(), 5)


def test_rating_prompts_come_from_a_file_of_lines(tmp_path: Path) -> None:
    assert len(SelectIt().lines()) == 5 and len(SelectIt(level="token").lines()) == 1
    (tmp_path / "mine.txt").write_text("one\n\ntwo\n")
    assert SelectIt(prompts=str(tmp_path / "mine.txt"), level="token").lines() == ["one"]
    with pytest.raises(
        ConfigError, match=r"mine\.txt has 2 rating prompts, one a line; score\.level=sentence"
    ):
        SelectIt(prompts=str(tmp_path / "mine.txt")).lines()


def test_what_was_found_is_put_together_by_owner() -> None:
    found = [(3, "d"), (0, "a"), (2, "c"), (1, "b")]
    given: Any = iter(found)
    assert list(by_owner(given, [7, 7, 5, 7])) == [(5, ["c"]), (7, ["a", "b", "d"])]
