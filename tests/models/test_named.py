"""Embedding models that a config names: found here, on the hub or nowhere, and told before anything is paid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tacos.errors import ConfigError
from tacos.models import named as module
from tacos.models.embedder import MINILM, packaged_minilm
from tacos.models.named import check_embedders, folder_of, named, refused
from tacos.pipeline.graph import selection_stage
from tacos.pipeline.select import select
from tacos.pipeline.settings import SelectSettings
from tests.cli.helpers import last_json, tacos
from tests.pipeline.helpers import LLM_TACOS, write_pool

AWAY = "nobody/no-such-encoder"
MESSAGE = rf"group\.embedder asks for an embedding model: '{AWAY}' is not on this machine, and the hub does not give it"


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def settings(root: Path, model: str = AWAY) -> dict[str, Any]:
    llm = {"model": "m", "endpoint": "http://127.0.0.1:9/v1"}
    return {
        "pool": {"source": str(write_pool(root / "p.jsonl"))},
        "budget": 4,
        "llms": {"tagger": llm, "scorer": llm},
        **LLM_TACOS,
        "group": {**LLM_TACOS["group"], "embedder": {"model": model}},
        "artifacts": str(root / "artifacts"),
        "runs": str(root / "runs"),
    }


def test_every_embedder_of_the_settings_is_found_with_its_path() -> None:
    arms: dict[str, Any] = {
        "a": {"group": {"embedder": {"model": "x"}}},
        "b": {"score": {"fit": {"embedder": None}}},
    }
    arms["c"] = {"score": {"fit": {"embedder": {"model": "z", "ray": {"actors": 2}}}}}  # loaded elsewhere
    given = {"arms": arms, "embedder": {"model": "y", "max_tokens": 64}}
    assert list(named(given)) == [("arms.a.group.embedder", "x"), ("embedder", "y")]


def test_a_model_is_here_on_the_hub_or_nowhere(tmp_path: Path) -> None:
    assert folder_of(str(tmp_path)) == tmp_path and folder_of(AWAY) is None
    assert (folder_of(MINILM) is None) == (packaged_minilm() is None)
    assert "offline mode is enabled" in str(refused(AWAY))


def test_a_selection_is_refused_before_its_first_call(tmp_path: Path) -> None:
    chosen = SelectSettings.model_validate(settings(tmp_path))
    with pytest.raises(ConfigError, match=MESSAGE) as raised:
        select(chosen, tmp_path / "o.jsonl")  # its endpoint is dead, and is not asked
    if packaged_minilm():
        assert f"set group.embedder.model={MINILM} for the packaged default" in str(raised.value)


def test_a_model_that_only_finished_stages_rest_on_may_be_gone(tmp_path: Path) -> None:
    chosen = SelectSettings.model_validate(settings(tmp_path))
    owed = [stage for stage in selection_stage(chosen).walk() if stage.name not in ("normalize", "group")]
    check_embedders(chosen.model_dump(), owed)


def test_the_doctor_and_a_plan_tell_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(yaml.safe_dump({**settings(tmp_path), "llms": {}}))
    checks = {c["name"]: c for c in last_json(tacos("doctor", "--config", path, "--json"), 1)["checks"]}
    assert not checks["group.embedder"]["ok"] and AWAY in checks["group.embedder"]["detail"]
    monkeypatch.setattr(module, "refused", lambda model: None)
    checks = {c["name"]: c for c in last_json(tacos("doctor", "--config", path, "--json"))["checks"]}
    assert checks["group.embedder"]["detail"] == f"{AWAY} from the hub (downloaded once)"
    path.write_text(yaml.safe_dump(settings(tmp_path)))
    assert f"group.embedder: {AWAY} is not on this machine: a run downloads it" in tacos("plan", path).stdout
