"""Fixtures of the trainings that these tests repeat on a GPU."""

from __future__ import annotations

from tests.train.conftest import micro_base, micro_pool, untracked

__all__ = ["micro_base", "micro_pool", "untracked"]
