"""What tests of a real vLLM engine share: where they run, and how an engine fits a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import pytest

from tacos.llm.backends.engine import release

NEEDS_VLLM = pytest.mark.skipif(
    find_spec("vllm") is None, reason="vLLM is not installed; scripts/vllm_cpu.sh sets it up"
)
CPU = {"VLLM_CPU_KVCACHE_SPACE": "1"}
"""GiB for keys and values; without it vLLM takes half the machine's memory."""


@contextmanager
def engine_on_cpu() -> Iterator[None]:
    """An engine that starts in this block fits a CPU, and is stopped at its end."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CPU.items():
            patch.setenv(name, value)
        yield
        release()
