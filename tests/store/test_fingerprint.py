"""A local model is named by what is in its folder, wherever that lies."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tacos.store.fingerprint import named_by_content


@pytest.mark.parametrize("part", ["1_Pooling/config.json", "0_Transformer/model.safetensors"])
def test_the_modules_of_a_sentence_transformer_count(part: str, tmp_path: Path) -> None:
    folder = tmp_path / "encoder"
    for name in ("0_Transformer/model.safetensors", "1_Pooling/config.json", "config.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    modules = [{"path": ""}, {"path": "0_Transformer"}, {"path": "1_Pooling"}, {"path": "2_Normalize"}]
    (folder / "modules.json").write_text(json.dumps(modules))
    shutil.copytree(folder, tmp_path / "copy")
    assert named_by_content(str(tmp_path / "copy")) == named_by_content(str(folder))
    (tmp_path / "copy" / part).write_text('{"pooling_mode_cls_token": true}')
    assert named_by_content(str(tmp_path / "copy")) != named_by_content(str(folder))


@pytest.mark.parametrize("listed", ["[", "{}", "[1]", '[{"name": "x"}]', '[{"path": 7}]'])
def test_a_folder_with_a_damaged_list_of_modules_has_a_name(listed: str, tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text(listed)
    assert named_by_content(str(tmp_path)).startswith("local@")
