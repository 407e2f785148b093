"""Read back what an offline Weights & Biases run recorded."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
    """name, group, job, config, summary and history (one dict per log) of an offline-run-* folder."""
    from wandb.proto import wandb_internal_pb2 as pb

    records: list[Any] = []
    for _ in range(100):
        records = [pb.Record.FromString(chunk) for chunk in chunks(next(folder.glob("*.wandb")))]
        if any(record.WhichOneof("record_type") == "exit" for record in records):
            break
        time.sleep(0.1)  # the last block is written a little after `finish`
    found: dict[str, Any] = {"config": {}, "history": [], "summary": {}}
    for record in records:
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run = record.run
            found |= {"name": run.display_name, "group": run.run_group, "job": run.job_type}
            found["config"] |= {c.key: json.loads(c.value_json) for c in run.config.update}
        elif kind == "summary":
            items = record.summary.update
            found["summary"] |= {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in items}
        elif kind == "history":
            items = record.history.item
            row = {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in items}
            found["history"].append(row)
    return found


def runs(folder: Path) -> list[dict[str, Any]]:
    """Of every offline run under `folder`/wandb, by name."""
    found = [read_run(path) for path in (folder / "wandb").glob("offline-run-*")]
    return sorted(found, key=lambda run: run["name"])
