"""Read back what an offline Weights & Biases run recorded."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts.wandb_sync import newest

BLOCK, FILE_HEADER, HEADER = 32768, 7, 7
WHOLE, LAST = 1, 4


def chunks(path: Path) -> Iterator[bytes]:
    """The records of a LevelDB log: blocks of 32 KiB, each chunk behind crc (4), length (2), kind (1)."""
    data, at, record = path.read_bytes(), FILE_HEADER, b""
    while at + HEADER <= len(data):
        if BLOCK - at % BLOCK < HEADER:  # too short for a header: zeros
            at += BLOCK - at % BLOCK
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        at += HEADER
        record += data[at : at + length]
        at += length
        if kind in (WHOLE, LAST):
            yield record
            record = b""


def read_run(folder: Path) -> dict[str, Any]:
    """id, name, group, job, tags, config, summary, history (one dict per log), artifacts and exit code of an
    offline-run-* folder. An artifact is its name, type, metadata, files and whether it was used."""
    from wandb.proto import wandb_internal_pb2 as pb

    records: list[Any] = []
    for _ in range(100):
        records = [pb.Record.FromString(chunk) for chunk in chunks(next(folder.glob("*.wandb")))]
        if any(record.WhichOneof("record_type") == "exit" for record in records):
            break
        time.sleep(0.1)  # the last block is written a little after `finish`
    found: dict[str, Any] = {"config": {}, "history": [], "summary": {}, "artifacts": [], "exit": None}
    for record in records:
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
            found |= {"name": run.display_name, "group": run.run_group, "job": run.job_type}
            found |= {"id": run.run_id, "tags": list(run.tags)}
            found["config"] |= {c.key: json.loads(c.value_json) for c in run.config.update}
        elif kind == "summary":
            items = record.summary.update
            found["summary"] |= {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in items}
        elif kind == "history":
            items = record.history.item
            row = {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in items}
            found["history"].append(row)
        elif kind == "exit":
            found["exit"] = record.exit.exit_code
        elif kind == "request" and record.request.WhichOneof("request_type") == "log_artifact":
            found["artifacts"].append(artifact(record.request.log_artifact.artifact))
        elif kind == "artifact":
            found["artifacts"].append(artifact(record.artifact))
    return found


def artifact(made: Any) -> dict[str, Any]:
    files = {entry.path: entry.ref or entry.size for entry in made.manifest.contents}
    about = json.loads(made.metadata) if made.metadata else {}
    return {
        "name": made.name,
        "type": made.type,
        "used": made.use_after_commit,
        "files": files,
        "about": about,
    }


def runs(folder: Path) -> list[dict[str, Any]]:
    """Of every offline run under `folder`/wandb, by name."""
    found = [read_run(path) for path in (folder / "wandb").glob("offline-run-*")]
    return sorted(found, key=lambda run: run["name"])


def whole_runs(folder: Path) -> dict[str, dict[str, Any]]:
    """By name, the newest of each id, as `scripts/wandb_sync.py` takes them; `parts` is how many there are."""
    found: dict[str, dict[str, Any]] = {}
    paths = newest(folder)
    for path, parts in paths.items():
        run = read_run(path)
        assert run["name"] not in found, run["name"]
        found[run["name"]] = run | {"parts": parts}
    return found
