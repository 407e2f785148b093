"""Rows of a Hugging Face dataset; `datasets` is imported only when one is asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tacos.data.rows import Row
from tacos.errors import PoolError, first_line

HUB_ID = re.compile(r"(?P<name>[\w.-]+/[\w.-]+)(:(?P<split>[\w.\[\]%:+-]+))?")
FILE_SUFFIX = re.compile(r"\.(jsonl?|ndjson|parquet|csv|tsv|txt|ya?ml|zip|gz|bz2|xz|zst|lz4)$", re.IGNORECASE)


def is_hub_id(source: str) -> bool:
    """Whether `source` reads `org/name` or `org/name:split`, and not like a file's name."""
    return bool(HUB_ID.fullmatch(source)) and not FILE_SUFFIX.search(source)


def hub_rows(source: str, revision: str | None = None, default_split: str = "train") -> Iterator[Row]:
    """Rows of `org/name[:split]` at a pinned revision (branch, tag or commit; None is the newest).

    Raises: PoolError when the hub cannot be reached or has no such dataset, split or revision.
    """
    match = HUB_ID.fullmatch(source)
    if match is None:
        raise PoolError(f"{source!r} is not a hub id; write org/name or org/name:split")
    name, split = match["name"], match["split"] or default_split
    try:
        from datasets import load_dataset

        dataset = load_dataset(name, split=split, revision=revision)
    except Exception as error:  # datasets raises a dozen kinds: network, hub, parsing, import
        raise PoolError(
            f"cannot load {name!r} (split {split!r}) from the hub: {first_line(error)[:300]}; there is no local file "
            f"{source!r} either. Offline, download the set elsewhere and give its file"
        ) from error
    for line, value in enumerate(dataset, start=1):
        yield Row(line, value)
