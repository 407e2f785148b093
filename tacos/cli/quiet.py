"""What libraries say about themselves, kept out of the output where it tells a user nothing."""

from __future__ import annotations

import importlib.abc
import io
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

QUIET = {
    logging.WARNING: (
        "httpx",
        "sentence_transformers",
        "datasets",
        "wandb",
        "faiss",
        "filelock",
        "matplotlib",
        "lm_eval",
    ),
    # bitsandbytes misses kernels that nobody asked for; a tokenizer cannot know that long texts will be cut.
    logging.ERROR: ("bitsandbytes", "transformers.tokenization_utils_base"),
}
NOISE = ("Setting accelerator to CPU", "Setting ds_accelerator to")
"""How lines of DeepSpeed begin that it writes wherever it is installed."""
PRINTS = "transformers.integrations.integration_utils"
"""Prints "[INFO] Running in WANDB offline mode" on stdout when it is imported, before the JSON of `--json`."""


def quiet() -> None:
    """Loggers, warnings, progress bars and imports; before any library is imported."""
    for level, names in QUIET.items():
        for name in names:
            logging.getLogger(name).setLevel(level)
    logging.getLogger("DeepSpeed").addFilter(_says_something)
    warnings.filterwarnings("ignore", message=r"`torch\.jit\..*` is deprecated", category=DeprecationWarning)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    if not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if not any(isinstance(finder, _Hushed) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Hushed())


def _says_something(record: logging.LogRecord) -> bool:
    return not record.getMessage().startswith(NOISE)


class _Hushed(importlib.abc.MetaPathFinder):
    """Imports `PRINTS` with stdout put away."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name == PRINTS else None
        if spec is None or spec.loader is None:
            return None
        loader = spec.loader
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            with redirect_stdout(io.StringIO()):
                execute(module)

        loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
