"""The released forms of the papers hold the constants of the authors' code and data (docs: tacos/methods/README.md)."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tacos.answering.presets import PRESETS
from tacos.config import parse
from tacos.grouping.embedding import number_of_clusters
from tacos.methods.refining import Refine
from tacos.models.wrapping import TASK
from tacos.pipeline.matrix import cells
from tacos.pipeline.settings import SelectSettings
from tacos.scoring.iqs.encoder import EncoderSettings

ROOT = Path(__file__).parents[2]
RELEASED = Path(os.environ.get("TACOS_ASSETS", ROOT.parent / "shared" / "assets")) / "tacos_data"


def config(name: str) -> dict[str, Any]:
    data: dict[str, Any] = yaml.safe_load((ROOT / "configs" / name).read_text(encoding="utf-8"))
    return data


def resolved(name: str) -> dict[str, Any]:
    return parse(SelectSettings, config(name)).model_dump(mode="json")


def test_tacos_as_released() -> None:
    chosen = resolved("select/tacos_released.yaml")
    group, score, allocate = chosen["group"], chosen["score"], chosen["allocate"]
    assert chosen["budget"] == 50 * 20  # the top 20 of each of 50 clusters
    assert group["tagging"]["sampling"] == {"temperature": 0.6, "top_p": 1.0, "max_tokens": 1024}
    assert (group["tagging"]["text"], chosen["llms"]["tagger"]["model"]) == ("instruction", "gpt-4o-mini")
    normal = group["normalization"]
    assert (normal["order"], normal["min_count"], normal["stem"]) == (["frequency", "rules"], 20, "phrase")
    assert group["clustering"]["k"] == 50 and not group["clustering"]["unit_vectors"] and group["reduce"]
    assert group["embedder"]["model"] == "whaleloops/phrase-bert"
    design = {
        "order": "stored",
        "odd": "drop",
        "rounds": 1,
        "size": 2,
        "bridges": 0,
        "late": 0,
        "cut": "group",
    }
    assert score["design"] == design and score["readout"]["by"] == "mean"
    assert (score["low"], score["high"]) == (0, 100)
    assert (score["sampling"]["temperature"], chosen["llms"]["scorer"]["model"]) == (0.0, "gpt-4o")
    assert allocate == {"by": "per_group", "fill": False, "risk": 0}


def test_tacos_as_published() -> None:
    chosen = resolved("select/tacos_paper.yaml")
    assert chosen["score"]["design"]["order"] == "stored" and chosen["score"]["readout"]["by"] == "mean"
    assert chosen["allocate"]["by"] == "top" and chosen["allocate"]["least"] is None  # figure 2
    assert (chosen["score"]["low"], chosen["score"]["high"]) == (1, 100)  # figure 3
    assert chosen["group"]["clustering"]["k"] == 50 and chosen["group"]["normalization"]["min_count"] == 20
    assert {"association", "semantic"} <= set(chosen["group"]["normalization"]["order"])


@pytest.mark.parametrize("name", ["tacos_table_1", "tacos_figure_4", "tacos_alpaca_eval", "tacos_ablation"])
def test_tacos_trains_and_answers_as_released(name: str) -> None:
    train = cells(config(f"experiments/{name}.yaml"))[0].settings.train
    assert train is not None
    assert (train.mode, train.epochs, train.batch_size, train.lr) == ("full", 15, 2 * 16 * 8, 1e-5)
    assert (train.scheduler, train.warmup, train.weight_decay, train.betas) == (
        "linear",
        0.0,
        0.1,
        (0.9, 0.95),
    )
    assert (train.neftune_alpha, train.max_length, train.validation) == (15, 1024, 0.1)
    assert (train.template, train.wrap) == ("llama-2", "alpaca")
    assert PRESETS["tacos"] == {"temperature": 0.7, "max_new_tokens": 512, "wrap": "alpaca"}


def test_alpagasus_as_published() -> None:
    chosen = parse(SelectSettings, {"pool": {"source": "builtin"}, "method": "alpagasus"}).model_dump()
    score = chosen["score"]
    assert (score["prompt"], score["low"], score["high"]) == ("rate_accuracy", 0, 5)
    assert (score["sampling"]["temperature"], score["sampling"]["max_tokens"]) == (0.0, 256)
    assert chosen["allocate"] == {"by": "top", "least": 4.5, "ties": "random", "risk": 0}


@pytest.mark.parametrize(
    ("method", "score"),
    [
        ("ifd", {"by": "ifd", "template": "alpaca", "max_tokens": 512, "ceiling": 1.0}),
        (
            "superfiltering",
            {"model": "openai-community/gpt2", "template": "none", "max_tokens": 1024, "ceiling": 1.0},
        ),
        ("selectit", {"level": "sentence", "alpha": 0.2, "variant": "released"}),
        ("deita", {"quality": "hkust-nlp/deita-quality-scorer", "turns": "sum"}),
    ],
)
def test_scores_of_local_models_as_released(method: str, score: dict[str, Any]) -> None:
    chosen = parse(SelectSettings, {"pool": {"source": "builtin"}, "method": method}).model_dump(mode="json")
    assert score.items() <= chosen["score"].items()
    assert chosen["allocate"]["by"] == ("cosine_filter" if method == "deita" else "top")


def test_refinement_as_released() -> None:
    for step in Refine().steps:
        assert step.sampling.model_dump() == {"temperature": 0.7, "top_p": 0.8, "max_tokens": 512}
    assert [step.what for step in Refine().steps] == ["response", "instruction"]


def test_car_as_released() -> None:
    chosen = resolved("select/car_released.yaml")
    group, allocate = chosen["group"], chosen["allocate"]
    assert (chosen["seed"], group["restarts"], group["max_iterations"], group["variance"]) == (
        42,
        10,
        300,
        0.95,
    )
    assert number_of_clusters(52_002, group["k"]) == 161
    assert (allocate["top"], allocate["per_group"]) == (1000, 1) and chosen["budget"] == 1000 + 161
    encoder = EncoderSettings()
    assert (encoder.model, encoder.hidden, encoder.mix) == (
        "FacebookAI/xlm-roberta-large",
        (2048, 1024),
        "sparsemax",
    )
    assert (encoder.encoder_lr, encoder.layer_decay, encoder.head_lr) == (1e-6, 0.95, 1.5e-5)
    assert (encoder.dropout, encoder.layer_dropout, encoder.gradient_clip) == (0.1, 0.1, 1.0)
    assert (encoder.batch_size, encoder.epochs, encoder.patience, encoder.frozen_epochs) == (16, 4, 2, 0.3)
    asked = config("experiments/car_table.yaml")["benchmarks"]["five_sets"]["sets"]
    assert asked == ["pandalm", "vicuna", "coachlm", "sinstruct"]


def rows(name: str) -> list[tuple[str, str]]:
    data = json.loads((RELEASED / name).read_text(encoding="utf-8"))
    return [
        (row["conversations"][0]["value"], row["conversations"][1]["value"])
        for row in data
        if len(row["conversations"]) == 2
    ]


@pytest.mark.skipif(not RELEASED.is_dir(), reason="the authors' sets are not here")
def test_the_released_sets_are_as_the_manual_says() -> None:
    main, refined = rows("filtered_alpaca_1k_opencs.json"), rows("refined_alpaca_1k_opencs.json")
    assert len(main) == len(refined) == 1000
    assert all(asked.startswith(TASK) for asked, _ in [*main, *refined])
    for name in ("alpaca_1k_opencs_wo_open_tag_cluster.json", "alpaca_1k_opencs_wo_contrastive_score.json"):
        assert not any(asked.startswith(TASK) for asked, _ in rows(name))
    # Refinement keeps every separate input and rewrites nearly every answer; the sets stand in different orders.
    inputs = [sorted(asked.partition(" ### Input: ")[2] for asked, _ in found) for found in (main, refined)]
    assert inputs[0] == inputs[1]
    assert len({said for _, said in main} & {said for _, said in refined}) < 100
