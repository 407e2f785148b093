"""The run folder: the resolved config, links to what the run rests on, the report. Nothing of the user's is touched.

runs/quickstart/config.yaml
runs/quickstart/artifacts/tacos-seed0-select -> ../../../artifacts/select/44839e091919cde7
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from eval.results import RESULTS
from tacos.artifacts import ArtifactStore
from tacos.errors import ConfigError
from tacos.stage import Stage
from tacos.store.files import write_text
from tacos.store.fingerprint import plain
from tacos.types import Record

log = logging.getLogger(__name__)
CONFIG = "config.yaml"
LINKS = "artifacts"
WHERE = {"artifacts", "runs", "tracking", "page"}
"""Settings that change no number."""
STAGE_FOLDER = re.compile(r"(^|/)[a-z0-9_-]+/[0-9a-f]{16}$")
"""How the target of a link ends that was made by `link_artifacts`."""


def check_run_folder(folder: Path, artifacts: Path) -> None:
    """Whether the run may write into `folder`; asked before any work.

    Raises: ConfigError where artifacts and run folder lie in each other, where the folder holds files but is not a
        run's, or where its links folder holds anything that is not a link to a stage.
    """
    inside, root = folder.resolve(), artifacts.resolve()
    if inside == root or inside in root.parents or root in inside.parents:
        raise ConfigError(
            f"the run folder {folder} and artifacts={artifacts} lie in each other: keep them apart"
        )
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file: give another name or another `runs`")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / CONFIG).is_file():
        raise ConfigError(f"{folder} holds files that are not of a run: give another name or another `runs`")
    stage_links(folder / LINKS)


def stage_links(links: Path) -> list[Path]:
    """The links in a links folder. Raises: ConfigError when it is, or holds, anything else."""
    if not links.exists() and not links.is_symlink():
        return []
    if links.is_symlink() or not links.is_dir():
        raise ConfigError(
            f"{links} is not a folder of links that tacos made: move it, or give the run another name"
        )
    found = sorted(links.iterdir())
    for path in found:
        if not path.is_symlink() or not STAGE_FOLDER.search(os.readlink(path)):
            raise ConfigError(f"{path} is not a link that tacos made: move it, or give the run another name")
    return found


def write_config(folder: Path, settings: Record | Mapping[str, Any]) -> None:
    """The settings, which run the same again: resolved, or of a matrix as they were given. A folder that has results of
    others is warned of."""
    if (folder / RESULTS).is_file() and (changed := _changed(folder / CONFIG, plain(settings))):
        log.warning(
            "%s has results of other settings (%s), and gets new ones; another name keeps both",
            folder,
            ", ".join(changed),
        )
    write_text(folder / CONFIG, yaml.safe_dump(plain(settings), sort_keys=False, allow_unicode=True))


def _changed(path: Path, settings: Mapping[str, Any]) -> list[str]:
    """Names of settings that are not as in the file; of those that say where things are, none."""
    try:
        before = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return []
    names = dict.fromkeys([*before, *settings]) if isinstance(before, Mapping) else ()
    return [name for name in names if name not in WHERE and before.get(name) != settings.get(name)]


def link_artifacts(folder: Path, store: ArtifactStore, stages: Mapping[str, Stage]) -> None:
    """Relative links to the stage folders, so that a run folder shows what it rests on.

    Raises: ConfigError as `check_run_folder` does; only links to stages are removed.
    """
    links = folder / LINKS
    for old in stage_links(links):
        old.unlink()
    links.mkdir(parents=True, exist_ok=True)
    for name, stage in stages.items():
        target = store.path(stage).resolve()
        (links / name).symlink_to(os.path.relpath(target, links.resolve()), target_is_directory=True)
