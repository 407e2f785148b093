"""Uploads the Weights & Biases runs that an experiment or a command kept on this machine (offline mode).

    python scripts/wandb_sync.py runs/quickstart

A run that was stopped and went on has several folders under one id, of which the newest holds all of it: that one is
synced. Runs keep their ids, so that syncing again adds nothing twice.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def newest(folder: Path) -> dict[Path, int]:
    """The newest folder of each run under `folder`/wandb -> how many the run has."""
    by_id: dict[str, list[Path]] = {}
    for path in sorted((folder / "wandb").glob("offline-run-*")):
        for file in path.glob("run-*.wandb"):
            by_id.setdefault(file.stem, []).append(path)
    return {paths[-1]: len(paths) for paths in by_id.values()}  # names begin with the time


def main(folders: list[str]) -> int:
    found = [path for folder in folders for path in newest(Path(folder))]
    if not found:
        print(
            f"no offline runs under {', '.join(folders) or 'no folder'}: give the folder of a run",
            file=sys.stderr,
        )
        return 1
    return subprocess.run(
        ["wandb", "sync", "--yes", "--include-synced", *map(str, found)], check=False
    ).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
