"""One contract for every grouper x scorer x allocator: it runs, or it is refused before any work with the reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tacos.artifacts import ArtifactStore
from tacos.config import parse
from tacos.errors import ConfigError
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.methods import METHODS
from tacos.methods.slots import SLOTS
from tacos.part import ALLOCATORS, GROUPERS, SCORERS, Part
from tacos.pipeline.graph import selection_stage
from tacos.pipeline.settings import SelectSettings
from tests.pipeline.helpers import LLM_TACOS, LLMS, reply, scripted_tools, write_pool
from tests.scoring import tiny_models

ROWS, BUDGET, UNSCORED = 24, 8, (3, 11)
IDS = [f"row-{i}" for i in range(ROWS)]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool, files of groups and scores for it, a tiny model, and artifacts that all combinations share."""
    folder = tmp_path_factory.mktemp("recipes")
    pool = [json.loads(line) for line in write_pool(folder / "raw.jsonl", ROWS).read_text().splitlines()]
    write(folder / "pool.jsonl", ({"id": id_, **row} for id_, row in zip(IDS, pool, strict=True)))
    write(folder / "groups.jsonl", ({"id": id_, "group": f"g{i % 5}"} for i, id_ in enumerate(IDS)))
    write(
        folder / "queries.jsonl",
        ({"prompt": f"Q{i}?", "completion": f"{i}.", "source": f"t{i % 2}"} for i in range(3)),
    )
    tiny_models.build(folder / "lm", "gpt2")
    values = (None if i in UNSCORED else i / 2 for i in range(ROWS))
    write(folder / "scores.jsonl", ({"id": id_, "value": v} for id_, v in zip(IDS, values, strict=True)))
    return folder


def write(path: Path, rows: Iterator[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def settings_of(slot: str, name: str, root: Path) -> dict[str, Any]:
    """What a part needs to run here; a part that needs nothing is tried with its defaults."""
    small: dict[tuple[str, str], dict[str, Any]] = {
        ("group", "tags"): LLM_TACOS["group"],
        ("group", "embedding"): {"k": 4},
        ("group", "file"): {"path": str(root / "groups.jsonl")},
        ("score", "comparative"): LLM_TACOS["score"],
        ("score", "file"): {"path": str(root / "scores.jsonl")},
        ("score", "pool_quality"): {"fit": {"fit_rows": 20}},
        ("score", "iqs"): {"fit": {"fit_rows": 20}},
        ("allocate", "length_matched"): {"like": str(root / "pool.jsonl")},
        ("allocate", "mig"): {"quality": "rank"},
        ("allocate", "log_det"): {"quality": "rank"},
        ("score", "ifd"): {"model": str(root / "lm"), "ceiling": None},
        ("score", "superfilter"): {"model": str(root / "lm"), "ceiling": None},
        ("score", "deita"): {
            "complexity": str(root / "lm"),
            "quality": None,
            "prompts": tiny_models.TEMPLATES,
        },
        ("score", "selectit"): {"model": str(root / "lm")},
        ("score", "perplexity"): {"model": str(root / "lm")},
        ("score", "embedding"): {"queries": str(root / "queries.jsonl")},
        ("score", "rds"): {"model": str(root / "lm"), "queries": str(root / "queries.jsonl")},
        ("score", "less"): {
            "queries": str(root / "queries.jsonl"),
            "share": 0.2,
            "epochs": 1,
            "dim": 16,
            "train": {"lora": {"r": 2, "target": "all-linear"}, "device": "cpu"},
            "max_tokens": 128,
        },
    }
    return {"by": name, **small.get((slot, name), {})}


def recipe(root: Path, group: str, score: str | None, allocate: str) -> SelectSettings:
    parts = {
        "group": settings_of("group", group, root),
        "score": settings_of("score", score, root) if score else None,
        "allocate": settings_of("allocate", allocate, root),
    }
    data = {
        "pool": {"source": str(root / "pool.jsonl")},
        "method": "recipe",
        "budget": BUDGET,
        "llms": LLMS,
        "base": {"model": str(root / "lm")},
    }
    return parse(SelectSettings, data | parts)


def select(root: Path, chosen: SelectSettings) -> list[dict[str, Any]]:
    tools = scripted_tools(root / "replies.sqlite", ScriptedLLM(reply))
    folder = ArtifactStore(root / "artifacts").run(selection_stage(chosen), tools)
    return [json.loads(line) for line in (folder / "selection.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("group", "score", "allocate"), list(product(GROUPERS, [*SCORERS, None], ALLOCATORS))
)
def test_a_combination_runs_or_is_refused(root: Path, group: str, score: str | None, allocate: str) -> None:
    part, targeted = ALLOCATORS.get(allocate), score is not None and SCORERS.get(score).targeted
    if part.reads_scores not in (None, score is not None) or (part.reads_targets and not targeted):
        with pytest.raises(ConfigError, match=r"ranks rows by a score|looks at no score|is made for none"):
            recipe(root, group, score, allocate)
        return
    chosen = recipe(root, group, score, allocate)
    rows = select(root, chosen)
    wanted = BUDGET if ALLOCATORS.get(allocate).budgeted else ROWS
    assert len(rows) == wanted, f"allocate={allocate} took {len(rows)} rows of a budget of {wanted}"
    assert len({row["id"] for row in rows}) == len(rows), f"allocate={allocate} took a row twice"
    assert [row["selection"]["rank"] for row in rows] == list(range(1, len(rows) + 1))
    assert all((row["selection"]["score"] is not None) == (score is not None) for row in rows)
    if score == "file":
        assert not {f"row-{i}" for i in UNSCORED} & {row["id"] for row in rows}
    assert selection_stage(chosen).fingerprint == selection_stage(chosen).fingerprint


@pytest.mark.parametrize(
    ("group", "score"), [("tags", "comparative"), ("source", "length"), ("file", "random")]
)
def test_a_recipe_repeats_byte_for_byte(root: Path, tmp_path: Path, group: str, score: str) -> None:
    chosen = recipe(root, group, score, "per_group")
    again = scripted_tools(tmp_path / "r.sqlite", ScriptedLLM(reply))
    folder = ArtifactStore(tmp_path / "artifacts").run(selection_stage(chosen), again)
    rows = [json.loads(line) for line in (folder / "selection.jsonl").read_text().splitlines()]
    assert rows == select(root, chosen)


def test_the_settings_of_every_part_survive_the_config_file(root: Path) -> None:
    for slot, registry in SLOTS.items():
        for name in registry:
            part: Part = parse(registry.get(name), settings_of(slot, name, root))
            assert parse(registry.get(name), part.model_dump(mode="json")) == part
            assert next(iter(part.model_dump())) == "by" and part.summary and part.needs and part.cost


def test_a_preset_is_its_recipe(root: Path) -> None:
    data = {"pool": {"source": str(root / "pool.jsonl")}, "budget": BUDGET, "llms": LLMS}
    named = parse(SelectSettings, data | {"method": "longest"})
    free = parse(
        SelectSettings, data | {"method": "recipe", "group": "none", "score": "length", "allocate": "top"}
    )
    assert selection_stage(named).fingerprint == selection_stage(free).fingerprint


def test_replacing_a_part_keeps_the_others(root: Path) -> None:
    data = {"pool": {"source": str(root / "pool.jsonl")}, "llms": LLMS, "method": "tacos"}
    changed = parse(SelectSettings, data | {"group": {"k": 7}, "score": {"by": "rating"}})
    preset = METHODS.get("tacos").recipe
    assert preset is not None and changed.group is not None and changed.score is not None
    assert changed.group.model_dump() == {**preset.group.model_dump(), "k": 7}
    assert changed.score.by == "rating" and changed.allocate == preset.allocate


def test_without_groups_all_samples_are_compared_in_one(root: Path) -> None:
    chosen = recipe(root, "none", "comparative", "top")
    stage = next(s for s in selection_stage(chosen).walk() if s.name == "compare")
    select(root, chosen)
    assert ArtifactStore(root / "artifacts").record(stage).outcome.metrics["calls"] == ROWS // 2


def test_a_rating_that_cannot_be_read_is_missing(root: Path, tmp_path: Path) -> None:
    def sometimes(request: Any) -> str:
        return "no idea" if "number 20" in request.messages[-1].content else reply(request)

    stage = selection_stage(recipe(root, "none", "rating", "top"))
    tools = scripted_tools(tmp_path / "r.sqlite", ScriptedLLM(sometimes))
    store = ArtifactStore(tmp_path / "artifacts")
    rows = [
        json.loads(line) for line in (store.run(stage, tools) / "selection.jsonl").read_text().splitlines()
    ]
    assert "row-20" not in {row["id"] for row in rows}
    rated = next(s for s in stage.walk() if s.name == "rate")
    assert store.record(rated).outcome.rows_failed == 1


def test_scores_of_one_run_are_given_to_another(root: Path) -> None:
    made = recipe(root, "none", "length", "top")
    first = select(root, made)
    stage = next(s for s in selection_stage(made).walk() if s.name == "score")
    path = ArtifactStore(root / "artifacts").folder(stage) / "scores.parquet"
    data = {
        "pool": {"source": str(root / "pool.jsonl")},
        "budget": BUDGET,
        "method": "recipe",
        "group": "none",
    }
    given = parse(SelectSettings, data | {"score": {"by": "file", "path": str(path)}, "allocate": "top"})
    assert select(root, given) == first


def test_given_vectors_take_the_place_of_embeddings(root: Path) -> None:
    vectors = np.zeros((ROWS, 2), dtype=np.float32)
    vectors[:6, 0], vectors[6:, 1] = 1, 1
    np.save(root / "v.npy", vectors)
    group = {"by": "embedding", "k": 2, "variance": 1.0, "vectors": str(root / "v.npy")}
    data = {"pool": {"source": str(root / "pool.jsonl")}, "budget": 4, "method": "recipe", "score": "length"}
    rows = select(root, parse(SelectSettings, data | {"group": group, "allocate": "per_group"}))
    places = sorted(int(row["id"].removeprefix("row-")) for row in rows)
    assert len([p for p in places if p < 6]) == 2  # an equal share of both clusters


def test_given_vectors_and_scores_reach_an_allocator(root: Path) -> None:
    vectors = np.zeros((ROWS, 2), dtype=np.float32)
    vectors[:, 0] = np.arange(ROWS)
    vectors[:, 1] = 1
    np.save(root / "line.npy", vectors)
    data = {"pool": {"source": str(root / "pool.jsonl")}, "budget": 3, "method": "recipe", "group": "none"}
    score = {"by": "file", "path": str(root / "scores.jsonl")}
    allocate = {"by": "k_center", "initial": 0, "vectors": str(root / "line.npy")}
    places = [
        [
            row["id"]
            for row in select(root, parse(SelectSettings, data | {"score": given, "allocate": allocate}))
        ]
        for given in (None, score)
    ]
    assert places == [["row-0", "row-23", "row-11"], ["row-0", "row-23", "row-12"]]  # row 11 has no score


def test_a_file_of_vectors_that_is_not_there_is_named(root: Path) -> None:
    data = {"pool": {"source": str(root / "pool.jsonl")}, "budget": 3, "method": "k-center"}
    chosen = parse(SelectSettings, data | {"allocate": {"vectors": "none.npy"}})
    with pytest.raises(ConfigError, match=r"allocate\.vectors: there is no file none\.npy"):
        selection_stage(chosen)
