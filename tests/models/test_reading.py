"""What is wrong in a process that reads is told as it would be here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tacos.errors import BudgetError, ConfigError, PoolError, TacosError
from tacos.models.reading import Failed, PieceReader
from tacos.types import Pool
from tacos.usage import Ledger


class Broken:
    """A reading whose model cannot be loaded."""

    name = "losses"

    def __init__(self, error: Exception):
        self.error = error

    def load(self, device: str, ledger: Ledger) -> Any:
        raise self.error

    def work(self, lm: Any, pool: Pool, what: str) -> Iterator[tuple[int, Any]]:
        return iter(())


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (TacosError("no weights"), TacosError),
        (PoolError("no rows"), TacosError),
        (ConfigError("no template"), ConfigError),
        (BudgetError("too many"), ConfigError),
        (ZeroDivisionError("a bug"), RuntimeError),
    ],
)
def test_an_error_for_users_stays_one_of_any_kind(error: Exception, told: type[Exception]) -> None:
    failed = PieceReader(Broken(error), "cpu").start()
    assert isinstance(failed, Failed) and type(failed.error()) is told
    assert str(error) in str(failed.error())
