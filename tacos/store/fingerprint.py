"""Names for content: what an artifact was made from, in 16 hex digits.

A fingerprint covers a stage's name and version, the settings that change its answer and the
fingerprints of its inputs; never paths, devices, concurrency or keys.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel


def plain(value: Any) -> Any:
    """`value` as JSON knows it, pydantic models and tuples included."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        items = [plain(v) for v in value]
        return sorted(items, key=repr) if isinstance(value, set | frozenset) else items
    return value


def canonical(value: Any) -> str:
    """The JSON text that names are hashes of: sorted keys, no blanks."""
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fingerprint(value: Any) -> str:
    """16 hex digits of SHA-256 over the canonical JSON of `value`."""
    return hashlib.sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


WEIGHTS = {".safetensors", ".bin", ".pt"}
TEXTS = {".json", ".txt", ".jinja", ".model"}
BLOCK, BLOCKS = 65536, 64


def named_by_content(model: str) -> str:
    """A hub id as it is; a local model folder as "local@12 hex digits" of its files, wherever it lies.

    Small files are hashed whole, weights by their size and 64 blocks across them: training changes every
    block, and a 14 GB model takes milliseconds. Of a sentence-transformers model the folders of its modules count.
    """
    folder = Path(model)
    if not folder.is_dir():
        return model
    digest = hashlib.sha256()
    for path in [path for part in (folder, *_modules(folder)) for path in _model_files(part)]:
        digest.update(f"{path.relative_to(folder).as_posix()}\0{path.stat().st_size}\0".encode())
        _hash_blocks(path, digest)
    return f"local@{digest.hexdigest()[:12]}"


def _modules(folder: Path) -> list[Path]:
    """The folders that hold the modules of a sentence-transformers model: pooling, or all of its weights."""
    try:
        listed = json.loads((folder / "modules.json").read_bytes())
        parts = [folder / part for part in sorted({module["path"] for module in listed} - {""})]
    except (OSError, ValueError, TypeError, KeyError):  # none, or damaged: whoever loads it says so
        return []
    return [part for part in parts if part.is_dir()]


def _model_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in WEIGHTS | TEXTS)


def _hash_blocks(path: Path, digest: Any) -> None:
    size = path.stat().st_size
    step = max(BLOCK, size // BLOCKS) if path.suffix in WEIGHTS else BLOCK
    with path.open("rb") as handle:
        for start in range(0, size, step):
            handle.seek(start)
            digest.update(handle.read(BLOCK))
