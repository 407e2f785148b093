"""Why a sample was taken, or not: through real stages, from the folder of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tacos.artifacts import ArtifactStore
from tacos.config import parse
from tacos.errors import TacosError
from tacos.llm.backends.scripted import ScriptedLLM
from tacos.llm.base import Request
from tacos.pipeline.graph import selection_stage
from tacos.pipeline.settings import SelectSettings
from tacos.store.files import write_jsonl
from tacos.types import Pool
from tacos.viewing.run_folder import RunFolder
from tacos.viewing.run_stages import write_stages
from tacos.viewing.story import SHOWN, ArmStory, SampleStory, tell
from tacos.viewing.words import lines
from tests.pipeline.helpers import LLM_TACOS, LLMS, reply, scripted_tools, write_pool


def settings(root: Path, method: str, **more: Any) -> SelectSettings:
    pool = root / "p.jsonl"
    if not pool.exists():
        write_pool(pool)
        with pool.open("a") as file:  # a row that cleaning drops, and one that says the same as another
            file.write(json.dumps({"id": "empty", "instruction": "Say nothing", "output": ""}) + "\n")
    return parse(
        SelectSettings, {"pool": {"source": str(pool)}, "method": method, "budget": 8, "llms": LLMS, **more}
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Four arms over one pool: tags and comparisons, the longest, a draw, and the first refined."""
    root = tmp_path_factory.mktemp("shown")
    store, tools = ArtifactStore(root / "artifacts"), scripted_tools(root / "r.sqlite", ScriptedLLM(reply))
    arms = {
        "tacos": settings(root, "tacos", **LLM_TACOS),
        "longest": settings(root, "longest"),
        "random": settings(root, "random"),
        "refined": settings(root, "tacos-refined", **LLM_TACOS, refine={"llm": "scorer"}),
    }
    stages = {name: selection_stage(chosen) for name, chosen in arms.items()}
    for stage in stages.values():
        store.run(stage, tools)
    steps = {
        name: {"refine" if stage.name == "refine" else "select": stage} for name, stage in stages.items()
    }
    write_stages(root / "run", store.root, [(name, 0, own) for name, own in steps.items()])
    return RunFolder(root / "run")


def pool_of(run: RunFolder) -> Pool:
    load = run.arms[0].last.find("load")
    assert load is not None
    return Pool.read(load.path / "pool.parquet")


def of(story: SampleStory, arm: str) -> ArmStory:
    return next(found for found in story.arms if found.arm == arm)


def test_every_arm_tells_of_every_row(run: RunFolder) -> None:
    for id_ in pool_of(run).ids:
        story = tell(run, id_)
        assert {arm.arm for arm in story.arms} == {"tacos", "longest", "random", "refined"}
        assert all(arm.why.startswith("selected" if arm.selected else "not selected") for arm in story.arms)


def test_a_comparison_is_told_with_partner_scores_and_words(run: RunFolder) -> None:
    pool = pool_of(run)
    story = tell(run, pool.ids[0])  # the shortest of its topic
    own = of(story, "tacos")
    assert own.tags_before and own.tags_after and len(own.groups) == 1
    (met,) = own.meetings
    (partner,) = met.partners
    length = min(100, len(pool[0].response))
    assert (met.score, partner.score) == (length, min(100, len(pool.by_id(partner.id).response)))
    assert met.feedback == "ok" and met.round == 0 and met.place in (1, 2)
    assert own.std_error is not None and own.score is not None
    group = own.groups[0]
    assert (group.members, group.selected) == (6, 2) and group.place == 6
    assert not own.selected and "came 6th of 6" in own.why and "2 were taken, the last with" in own.why
    text = "\n".join(lines(story))
    assert f"round 1: {length} beside {partner.id}" in text and ": ok" in text and pool[0].prompt in text


def test_a_row_that_was_not_tagged_says_why(tmp_path: Path) -> None:
    def tagged_but_one(request: Request) -> str | TacosError:
        text = request.messages[-1].content
        return TacosError("HTTP 400: too long") if "number 5\n</prompt>" in text else reply(request)

    stage = selection_stage(settings(tmp_path, "tacos", **LLM_TACOS))
    store = ArtifactStore(tmp_path / "a")
    store.run(stage, scripted_tools(tmp_path / "r.sqlite", ScriptedLLM(tagged_but_one)))
    write_stages(tmp_path / "run", store.root, [("tacos", 0, {"select": stage})])
    found = RunFolder(tmp_path / "run")
    story = tell(found, pool_of(found).ids[5])
    said = "it stands in no group, for it was not tagged (TacosError: HTTP 400: too long)"
    assert of(story, "tacos").why == f"not selected: {said}"
    assert "  tags: none (TacosError: HTTP 400: too long) -> none left" in lines(story)


def test_places_among_all_scores_by_hand(run: RunFolder) -> None:
    ids = pool_of(run).ids
    longest = of(tell(run, ids[23]), "longest")
    assert (
        longest.selected and longest.place is not None and longest.place <= 4
    )  # of each topic the last is longest
    shortest = of(tell(run, ids[0]), "longest")
    assert not shortest.selected and "were taken, the last with" in shortest.why and shortest.scored == 24


def test_what_was_refined_stands_beside_the_original(run: RunFolder) -> None:
    story = next(story for id_ in pool_of(run).ids if of(story := tell(run, id_), "refined").selected)
    rewritten = of(story, "refined").rewritten
    assert rewritten is not None and rewritten[-1].content == "A better text."
    assert story.sample is not None and story.sample.response != "A better text."


def test_a_dropped_row_and_one_that_never_was(run: RunFolder, tmp_path: Path) -> None:
    story = tell(run, "empty")
    assert story.sample is None and story.dropped and "empty" in story.dropped
    assert any("dropped before selecting" in line for line in lines(story))
    with pytest.raises(TacosError, match="holds no sample 'nobody'"):
        tell(run, "nobody")
    with pytest.raises(TacosError, match="is not the folder of a run"):
        RunFolder(tmp_path)
    with pytest.raises(TacosError, match="has no arm 'taco': did you mean 'tacos'"):
        run.arm("taco")


def test_words_of_a_prompt_are_answered_with_ids(run: RunFolder) -> None:
    pool = pool_of(run)
    with pytest.raises(TacosError, match=f"in the prompts of {pool.ids[3]} "):
        tell(run, pool.prompts[3].upper())
    with pytest.raises(TacosError, match=f"did you mean '{pool.ids[-1]}'"):
        tell(run, f"{pool.ids[-1]}x")


def test_an_unknown_id_names_a_few_rows_and_not_the_pool(run: RunFolder) -> None:
    pool = pool_of(run)
    for asked in ("e", "%%"):  # in every prompt, and in none
        with pytest.raises(TacosError) as raised:
            tell(run, asked)
        assert sum(f" {id_} " in str(raised.value) for id_ in pool.ids) == (SHOWN if asked == "e" else 0)


def test_a_tie_is_told_with_the_rows_that_share_the_score_and_not_how_it_was_broken(tmp_path: Path) -> None:
    """The allocator may draw among equal scores."""
    load = next(iter(selection_stage(settings(tmp_path, "random")).walk()))
    store, tools = ArtifactStore(tmp_path / "a"), scripted_tools(tmp_path / "r.sqlite", ScriptedLLM(reply))
    ids = Pool.read(store.run(load, tools) / "pool.parquet").ids
    given = tmp_path / "scores.jsonl"
    write_jsonl(given, ({"id": id_, "value": 2.0 if id_ == ids[0] else 1.0} for id_ in ids))
    stage = selection_stage(settings(tmp_path, "longest", score={"by": "file", "path": str(given)}))
    store.run(stage, tools)
    write_stages(tmp_path / "run", store.root, [("longest", 0, {"select": stage})])
    told = [of(tell(RunFolder(tmp_path / "run"), id_), "longest") for id_ in ids]
    assert {story.why for story in told if not story.selected} == {
        "not selected: it came 2nd of 24 with 1, a score that 23 rows share; 8 were taken, and it lost a tie with the "
        "last of them"
    }
