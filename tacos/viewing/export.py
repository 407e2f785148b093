"""A selection as files that other tools read: LLaMA-Factory, TRL, `datasets`. Nothing is uploaded.

llama-factory   NAME.jsonl, and its entry in dataset_info.json (https://github.com/hiyouga/LLaMA-Factory, data/README)
trl             NAME.jsonl of {"messages": [...]}, the conversational form (https://huggingface.co/docs/trl/dataset_formats)
datasets        data/train.parquet and a card, README.md: `datasets.load_dataset(FOLDER)`
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from tacos.errors import TacosError
from tacos.store import tables
from tacos.store.files import read_json, read_jsonl, write_json, write_jsonl, write_text
from tacos.store.names import as_file_name
from tacos.types import Record
from tacos.viewing.run_folder import RunArm

INFO = "dataset_info.json"
CARD = "README.md"


class DatasetFiles(Record):
    """What was written."""

    rows: int
    files: list[Path]
    context_only: int = 0
    """Assistant turns that training here leaves out of the loss, and that the other tool will train on."""


def export(arm: RunArm, to: str, folder: Path, name: str) -> DatasetFiles:
    """to: a key of `FORMS`. name: of the dataset. Raises: TacosError where a file cannot be written."""
    rows = list(read_jsonl(arm.last.path / tables.SELECTION))
    folder.mkdir(parents=True, exist_ok=True)
    files = FORMS[to](rows, folder, as_file_name(name), arm)
    context = sum(message.get("weight", 1) == 0 for row in rows for message in row["messages"])
    return DatasetFiles(rows=len(rows), files=files, context_only=context)


def _messages(row: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"role": m["role"], "content": m["content"]} for m in row["messages"]]


def _lines(rows: list[dict[str, Any]], folder: Path, name: str, arm: RunArm) -> list[Path]:
    path = folder / f"{name}.jsonl"
    write_jsonl(path, ({"messages": _messages(row)} for row in rows))
    return [path]


def _llama_factory(rows: list[dict[str, Any]], folder: Path, name: str, arm: RunArm) -> list[Path]:
    """Entries of other datasets stay. Raises: TacosError where dataset_info.json holds no object."""
    (path,) = _lines(rows, folder, name, arm)
    info = folder / INFO
    try:
        known = read_json(info) if info.is_file() else {}
    except ValueError as error:
        raise TacosError(f"{info} is no JSON: mend it, or export into another folder") from error
    if not isinstance(known, dict):
        raise TacosError(f"{info} holds no object: export into another folder")
    roles = {f"{role}_tag": role for role in ("user", "assistant", "system")}
    known[name] = {
        "file_name": path.name,
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": {"role_tag": "role", "content_tag": "content", **roles},
    }
    write_json(info, known)
    return [path, info]


def _datasets(rows: list[dict[str, Any]], folder: Path, name: str, arm: RunArm) -> list[Path]:
    """With what each row was selected for; extra columns of the pool are left out."""
    columns: dict[str, list[Any]] = {
        "id": [row["id"] for row in rows],
        "messages": [_messages(row) for row in rows],
        "source": [row.get("source", "") for row in rows],
        **{
            f"selection_{key}": [row["selection"][key] for row in rows]
            for key in ("rank", "score", "group", "reason")
        },
    }
    data, card = folder / "data" / "train.parquet", folder / CARD
    data.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), data)
    write_text(card, _card(name, len(rows), arm))
    return [data, card]


def _card(name: str, rows: int, arm: RunArm) -> str:
    """Method, settings, pool and commit, and how to repeat it."""
    done = arm.select.done
    load = arm.last.find("load")
    pool = load.done.get("settings", {}) if load else {}
    head = {
        "configs": [{"config_name": "default", "data_files": "data/train.parquet"}],
        "tags": ["instruction-tuning"],
    }
    settings = yaml.safe_dump(
        {"select": done.get("settings"), "pool": pool}, sort_keys=False, allow_unicode=True
    )
    stages = "\n".join(f"| {stage.name} | {stage.path.name} |" for stage in arm.last.walk())
    return f"""---
{yaml.safe_dump(head, sort_keys=False)}---

# {name}

{rows:,} rows, selected by tacos: {arm.title}, at commit {done.get("commit")}.

Each row has `messages`, its `id` and `source` in the pool, and why it was taken: `selection_rank`, `selection_score`,
`selection_group`, `selection_reason`. The licence is that of the pool.

## Settings

```yaml
{settings.strip()}
```

## To repeat it

Check out the commit and run the config of the run again (`config.yaml` in its folder): `tacos run config.yaml`. These
stages stand behind the selection, each named by the content of its settings and inputs:

| stage | fingerprint |
| --- | --- |
{stages}
"""


FORMS: Mapping[str, Callable[[list[dict[str, Any]], Path, str, RunArm], list[Path]]] = {
    "llama-factory": _llama_factory,
    "trl": _lines,
    "datasets": _datasets,
}
"""Name of a tool -> what writes its files."""
