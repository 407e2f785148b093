"""What passes are expected to take: tokens and operations by hand, and where hours come from. No time is asserted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tacos.models import speed
from tacos.models.embedded import embedded
from tacos.models.embedder import EmbedderSettings
from tacos.models.expected import BYTES_PER_TOKEN, Model, Passes, text_tokens
from tacos.models.flops import parameters_at_work
from tacos.models.local import load_lm
from tacos.scoring.deita import Deita
from tacos.scoring.ifd import Ifd
from tacos.scoring.perplexity import Perplexity
from tacos.scoring.selectit import SelectIt
from tacos.types import Pool, make_sample
from tests.scoring import tiny_models
from tests.scoring.scored import load, setup

ROWS = Pool.from_samples(make_sample("a" * 44, "b" * 22 * (i + 1), id=f"s{i}") for i in range(4))
"""10 tokens of prompt each, and 5, 10, 15, 20 of response."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "ENOUGH_S", 0.0)
    speed.measured.cache_clear()


def test_scorers_expect_the_tokens_of_their_passes(llama: str) -> None:
    def tokens(part: Ifd | Perplexity | SelectIt | Deita) -> list[float]:
        stages = part.inputs(setup(ROWS)).values()
        return [stage.passes(ROWS, {}).forward for stage in stages if stage.passes]

    assert tokens(Ifd(model=llama)) == [pytest.approx(40 + 50 + 50)]
    assert tokens(Ifd(model=llama, max_tokens=25)) == [pytest.approx(15 + 20 + 25 + 25 + 50)]
    assert tokens(Perplexity(model=llama)) == [pytest.approx(90)]
    lines = SelectIt(model=llama).lines()
    asked = sum(len(line.encode()) for line in lines) / BYTES_PER_TOKEN
    both = SelectIt(models={llama: 1.0, "other": 1.0})
    assert tokens(both) == [pytest.approx(5 * 90 + 4 * asked)] * 2
    complexity, quality = tokens(Deita(complexity=llama, quality=llama, prompts=tiny_models.TEMPLATES))
    assert 40 < complexity < quality - 50 + 1


def test_an_embedder_expects_each_text_once_and_cut() -> None:
    rows = Pool.from_samples(make_sample("a" * 4400, "b", id=i) for i in "xyz")
    stage = embedded(load(rows), EmbedderSettings(), "prompt")
    assert stage.passes is not None and stage.passes(rows, {}).forward == 128
    assert embedded(load(rows), EmbedderSettings(), "prompt", 256).passes(rows, {}).forward == 256  # type: ignore[misc]
    assert text_tokens(["", "\u00e9\u00e9"]).tolist() == [0, 4 / BYTES_PER_TOKEN]


def test_a_small_model_that_is_here_is_measured_itself(llama: str) -> None:
    size = parameters_at_work(load_lm(llama, device="cpu").model)
    found = speed.expected(Passes(Model(llama), forward=1000, backward=500))
    assert found.parameters == size and found.flops == 2 * size * 1000 + 4 * size * 500
    assert (found.forward_tokens, found.backward_tokens, found.speed) == (1000, 500, speed.MEASURED)
    assert found.hours is not None and found.hours > 0
    lora = speed.expected(Passes(Model(llama), 1000, 1000, adapters=True))
    assert lora.flops == 4 * size * 1000


def test_gpus_share_the_hours(llama: str, monkeypatch: pytest.MonkeyPatch) -> None:
    one = speed.expected(Passes(Model(llama), 1000, workers=4))  # processes of one CPU share its cores
    monkeypatch.setattr(
        "tacos.models.parallel.devices_for", lambda workers, device: ["cuda:0", "cuda:1", "cuda:0"]
    )
    two = speed.expected(Passes(Model(llama), 1000, workers=3))
    assert one.hours and two.hours == pytest.approx(one.hours / 2) and two.flops == one.flops


def test_of_a_large_model_a_matrix_product_is_timed_and_no_weight_is_read(
    llama: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = parameters_at_work(load_lm(llama, device="cpu").model)
    monkeypatch.setattr(speed, "SMALL", 0)
    monkeypatch.setattr(speed, "_loaded", None)
    found = speed.expected(Passes(Model(llama), forward=1000))
    assert (found.parameters, found.speed) == (size, speed.AT_BEST) and found.hours


def test_a_model_that_is_not_here_has_no_hours_and_is_not_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("socket.socket.connect", None)
    for source in ("nobody/none", "", str(tmp_path)):
        found = speed.expected(Passes(Model(source), forward=1000))
        assert (found.parameters, found.flops, found.hours) == (None, None, None)
        assert found.speed == speed.NOT_HERE and found.forward_tokens == 1000
