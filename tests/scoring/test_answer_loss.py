"""IFD, Superfiltering and perplexity: as released, worked by hand, and what happens to rows that have no score.

`released_ratios.json` holds rows of our own and what Cherry_LLM and Superfiltering (both 2026-11-26, unchanged but for
the classes that load a model) gave for them on the models of `tiny_models`.
"""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tacos.errors import ConfigError
from tacos.models.local import LocalModel, load_lm
from tacos.scoring.answer_loss import Layout, answer_losses, joined, laid_out, prompt_text, ratio_scores
from tacos.scoring.ifd import Ifd
from tacos.scoring.local_scorer import LocalScorer
from tacos.scoring.perplexity import Perplexity
from tacos.scoring.superfilter import Superfilter
from tacos.stage import Job, Outcome, Stage
from tacos.store.kept import Kept
from tacos.types import Message, Pool, Sample, make_sample
from tests.scoring import tiny_models
from tests.scoring.scored import scored, setup

RELEASED = json.loads((Path(__file__).parent / "released_ratios.json").read_text(encoding="utf-8"))
KINDS = ("gpt2", "llama")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("models")
    return {kind: str(tiny_models.build(root / kind, kind)) for kind in KINDS}


@pytest.fixture
def pool() -> Pool:
    return Pool.from_samples(
        make_sample(row["instruction"], row["output"], input=row["input"], id=f"r{i}")
        for i, row in enumerate(RELEASED["rows"])
    )


def close(found: np.ndarray, wanted: list[float | None]) -> None:
    numbers = [math.nan if value is None else value for value in wanted]
    assert found == pytest.approx(np.array(numbers), rel=1e-4, nan_ok=True)


@pytest.mark.parametrize(("kind", "limit"), [("llama", 2048), ("llama", 512), ("gpt2", 1024)])
def test_ifd_is_the_released_ratio(
    kind: str, limit: int, models: dict[str, str], pool: Pool, tmp_path: Path
) -> None:
    wanted = RELEASED[f"ifd_{kind}_{limit}"]
    part = Ifd(model=models[kind], max_tokens=limit, overflow="cut", ceiling=None)
    close(scored(part, pool, tmp_path).values, wanted["ratios"])


def test_ifd_selects_what_the_released_code_selects(
    models: dict[str, str], pool: Pool, tmp_path: Path
) -> None:
    scores = scored(Ifd(model=models["gpt2"], max_tokens=1024), pool, tmp_path)
    best = [row for row in np.argsort(-scores.values, kind="stable") if not np.isnan(scores.values[row])]
    assert sorted(best[:4]) == RELEASED["ifd_gpt2_1024"]["top4"]
    assert sorted(scores.errors) == [1, 6, 8, 10]
    assert scores.errors[6] == "its IFD is above 1: the instruction does not help"


@pytest.mark.parametrize(("kind", "limit"), [("gpt2", 1024), ("gpt2", 300), ("llama", 300)])
def test_superfiltering_is_the_released_ratio(
    kind: str, limit: int, models: dict[str, str], pool: Pool, tmp_path: Path
) -> None:
    wanted = RELEASED[f"superfilter_{kind}_{limit}"]
    part = Superfilter(model=models[kind], max_tokens=limit, ceiling=None)
    close(scored(part, pool, tmp_path).values, wanted["ratios"])
    kept = scored(part.model_copy(update={"ceiling": 1.0}), pool, tmp_path).values
    order = [row for row in np.argsort(-kept, kind="stable").tolist() if not np.isnan(kept[row])]
    assert order[:4] == wanted["top4"]


def test_perplexity_is_the_released_one_in_three_orders(
    models: dict[str, str], pool: Pool, tmp_path: Path
) -> None:
    found = {}
    for order in ("high", "mid", "low"):
        part = Perplexity.model_validate({"model": models["gpt2"], "order": order})
        found[order] = scored(part, pool, tmp_path)
    close(found["high"].values, RELEASED["superfilter_gpt2_1024"]["ppl"])
    close(-found["low"].values, RELEASED["superfilter_gpt2_1024"]["ppl"])
    highest = np.argsort(-found["high"].values)[:3]  # a third of 12, rounded down
    assert sorted(found["mid"].errors) == sorted(highest.tolist())
    assert found["mid"].errors[int(highest[0])] == "among the highest 33% of perplexities"


def test_the_two_passes_by_hand(models: dict[str, str]) -> None:
    lm = load_lm(models["llama"], device="cpu")
    sample = make_sample("Add 2 and 3.", "It is 5.")
    ((_, kept),) = answer_losses(lm, Pool.from_samples([sample]), Layout("none", 512, "skip"), 4096, "t")
    assert kept.values == pytest.approx(
        [by_hand(lm, "Add 2 and 3.\n", "It is 5."), by_hand(lm, "", "It is 5.")], abs=1e-5
    )


def by_hand(lm: LocalModel, before: str, answer: str) -> float:
    ids = lm.tokenizer(before + answer)["input_ids"]
    start = max(1, len(lm.tokenizer(before)["input_ids"]))
    with torch.inference_mode():
        logs = torch.log_softmax(lm.model(input_ids=torch.tensor([ids])).logits[0], -1)
    return -float(np.mean([float(logs[k - 1, ids[k]]) for k in range(start, len(ids))]))


def test_prompts_are_laid_out_as_named() -> None:
    text = "Correct the error.\n\nHe go."
    assert prompt_text(text, "He go.", "none") == "Correct the error.\nHe go.\n"
    assert prompt_text("Hi", "", "none") == "Hi\n"
    alpaca = prompt_text(text, "He go.", "alpaca")
    assert alpaca.endswith("\n\n### Instruction:\nCorrect the error.\n\n### Input:\nHe go.\n\n### Response:")
    assert "further context" in alpaca and "Input" not in prompt_text("Hi", "", "alpaca")


def test_the_first_token_of_a_lone_answer_is_not_scored() -> None:
    without, begins = tiny_models.bpe(begins=False), tiny_models.bpe(begins=True)
    assert sum(joined(without, "", "xyz").mask[1:]) == 2
    assert sum(joined(begins, "", "xyz").mask[1:]) == 3


def test_a_conversation_is_scored_turn_by_turn_each_token_once(models: dict[str, str]) -> None:
    lm = load_lm(models["llama"], device="cpu")
    said = [("user", "Hi."), ("assistant", "Hello."), ("user", "Bye."), ("assistant", "See you.")]
    talk = Sample(id="t", messages=tuple(Message(role=r, content=c) for r, c in said))  # type: ignore[arg-type]
    ((_, kept),) = answer_losses(lm, Pool.from_samples([talk]), Layout("none", 512, "skip"), 4096, "t")
    first = by_hand(lm, "Hi.\n", "Hello."), len("Hello.")
    last = by_hand(lm, "Hi.\n\nHello.\n\nBye.\n", "See you."), len("See you.")
    mean = (first[0] * first[1] + last[0] * last[1]) / (first[1] + last[1])
    assert kept.values[0] == pytest.approx(mean, abs=1e-5)


def test_the_chat_template_compares_with_an_empty_question(models: dict[str, str]) -> None:
    lm = load_lm(models["llama"], template="plain", device="cpu")
    ((asked, alone),) = laid_out(lm.tokenizer, make_sample("Add 2 and 3.", "5"), Layout("chat", 512, "skip"))
    assert lm.tokenizer.decode(asked.ids).replace("<s>", "") == (
        "### User:\nAdd 2 and 3.\n\n### Assistant:\n5</s>\n\n"
    )
    assert sum(asked.mask) == sum(alone.mask) == 2  # the answer and its end
    assert lm.tokenizer.decode(alone.ids).replace("<s>", "") == "### User:\n\n\n### Assistant:\n5</s>\n\n"


WITHOUT: dict[str, tuple[Sample, str]] = {
    "empty": (make_sample("Hi", " "), "the response is empty"),
    "long": (make_sample("Hi", "word " * 40), "over 64 tokens"),
    "one token, alone": (make_sample("Hi", "x"), "the response has no token that can be scored"),
}


@pytest.mark.parametrize("case", WITHOUT)
def test_a_row_without_a_score_says_why(case: str, models: dict[str, str], tmp_path: Path) -> None:
    sample, why = WITHOUT[case]
    part = Superfilter(model=models["gpt2"], max_tokens=64, overflow="skip")
    scores = scored(part, Pool.from_samples([sample]), tmp_path)
    assert np.isnan(scores.values[0]) and scores.errors == {0: why}


def test_no_row_is_longer_than_the_model_can_hold(tmp_path: Path) -> None:
    pool = Pool.from_samples([make_sample("Hi", "word " * 40), make_sample("Hi", "Hello.")])
    small = str(tiny_models.build(tmp_path / "small", "gpt2", positions=64))
    part = Superfilter(model=small, ceiling=None)
    assert scored(part, pool, tmp_path).scored == 2
    skipped = scored(part.model_copy(update={"overflow": "skip"}), pool, tmp_path)
    assert skipped.errors == {0: "over 64 tokens"}


def test_a_long_prompt_leaves_no_answer_to_cut(models: dict[str, str], tmp_path: Path) -> None:
    pool = Pool.from_samples([make_sample("word " * 40, "Yes.")])
    scores = scored(Superfilter(model=models["gpt2"], max_tokens=64), pool, tmp_path)
    assert scores.errors == {0: "no token of the response is among the first 64"}


def test_ratios_that_are_all_above_1_are_told(
    models: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [RELEASED["rows"][i] for i in (1, 6, 8)]
    pool = Pool.from_samples(make_sample(r["instruction"], r["output"], input=r["input"]) for r in rows)
    scores = scored(Ifd(model=models["gpt2"]), pool, tmp_path)
    assert scores.scored == 0
    assert "ifd: all 3 ratios are above 1 (the lowest is 1.005)" in caplog.text


def test_losses_that_are_no_numbers_or_nothing_to_compare_with_are_missing() -> None:
    found = [Kept((0.5, 0.0)), Kept((0.4, 0.8)), Kept(error="over 512 tokens")]
    scores = ratio_scores(
        "ifd", found, lambda a, b: a / b if b else math.nan, lambda value: value > 1, "high"
    )
    assert scores.values[1] == 0.5 and scores.errors == {
        0: "the response alone has no loss to compare with",
        2: "over 512 tokens",
    }


def test_a_model_that_overflows_gives_no_score(
    models: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overflown(lm: Any, rows: Any, *given: Any) -> Any:
        return ((i, np.full(3, np.nan, np.float32)) for i in range(len(rows)))

    monkeypatch.setattr("tacos.scoring.answer_loss.token_losses", overflown)
    scores = scored(Perplexity(model=models["gpt2"]), Pool.from_samples([make_sample("Hi", "Ho.")]), tmp_path)
    assert scores.errors == {0: "the model gave no number for the loss"}


class Watched:
    """`answer_losses`, with the rows that it was asked for. dies: after so many."""

    def __init__(self, dies: int | None = None):
        self.rows, self.dies = list[int](), dies

    def __call__(self, lm: Any, pool: Pool, *given: Any, **more: Any) -> Any:
        self.rows.append(len(pool))
        for done, found in enumerate(answer_losses(lm, pool, *given, **more)):
            if done == self.dies:
                raise KeyboardInterrupt
            yield found


def test_a_killed_scorer_goes_on_from_finished_rows(
    models: dict[str, str], pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = Ifd(model=models["llama"], max_tokens=2048, ceiling=None)
    whole = scored(part, pool, tmp_path / "whole").values
    monkeypatch.setattr("tacos.scoring.answer_loss.answer_losses", Watched(dies=7))
    with pytest.raises(KeyboardInterrupt):
        scored(part, pool, tmp_path / "killed")
    again = Watched()
    monkeypatch.setattr("tacos.scoring.answer_loss.answer_losses", again)
    assert scored(part, pool, tmp_path / "killed").values == pytest.approx(whole, rel=1e-5)
    assert again.rows == [len(pool) - 7]


def test_what_is_read_once_serves_other_ceilings_and_orders(
    models: dict[str, str], pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched()
    monkeypatch.setattr("tacos.scoring.answer_loss.answer_losses", watched)
    given: dict[str, Any] = {"model": models["gpt2"], "max_tokens": 1024, "template": "none"}
    parts: list[LocalScorer] = [
        Superfilter(**given, overflow="cut"),
        Superfilter(**given, overflow="cut", ceiling=None, batch_tokens=100),
        Ifd(**given, overflow="cut"),
        Perplexity(**given),
        Perplexity(**given, order="low"),
    ]
    for part in parts:
        scored(part, pool, tmp_path)
    assert watched.rows == [len(pool)] * 2  # with and without the pass of the answer alone


def test_without_a_model_the_base_of_the_run_is_read(
    models: dict[str, str], pool: Pool, tmp_path: Path
) -> None:
    named = Ifd(model=models["llama"]).build(setup(pool))
    assert Ifd().build(setup(pool, models["llama"])).fingerprint == named.fingerprint
    assert named.inputs["losses"].settings["model"].startswith("local@")

    def make(job: Job) -> Outcome:
        shutil.copytree(models["llama"], job.out / "model")
        return Outcome(rows_in=0, rows_out=0)

    made = scored(Ifd(), pool, tmp_path, base=Stage("base", make)).values
    assert made == pytest.approx(scored(Ifd(model=models["llama"]), pool, tmp_path).values, nan_ok=True)
    with pytest.raises(ConfigError, match=r"score\.by=ifd reads a model: set base\.model, or score\.model"):
        Ifd().build(setup(pool))
