"""Prices: which table wins, where one holds, and what is said of a model nobody knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tacos.errors import ConfigError
from tacos.llm.build import build_llm
from tacos.llm.prices import price_tables, priced
from tacos.llm.settings import LLMSettings
from tacos.pipeline.settings import SelectSettings
from tacos.usage import Ledger

OWN = """
date: 2026-11-01
models:
  gpt-4o-mini: {input: 0.1, output: 0.2}
  my-model: {input: 1, output: 2, batch_discount: 0.25}
"""


def rates(settings: LLMSettings, own: Path | None = None) -> tuple[float | None, float | None, float | None]:
    found = priced(settings, price_tables(own))
    return found.price_per_million_input, found.price_per_million_output, found.batch_discount


def of(model: str, **changes: Any) -> LLMSettings:
    return LLMSettings(model=model, **changes)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "prices.yaml"
    path.write_text(OWN)
    return path


def test_the_table_that_comes_along() -> None:
    (table,) = price_tables()
    assert table.date.year >= 2026 and table.source
    assert all(0 < price.input < price.output for price in table.models.values())
    assert all((price.cached_input or 0) < price.input for price in table.models.values())
    assert rates(of("gpt-4o-mini")) == (0.15, 0.60, 0.5)
    assert rates(of("gpt-4o-2024-05-13")) == (
        5.0,
        15.0,
        0.5,
    )  # a snapshot is not always the price of its name


def test_a_file_of_ones_own_comes_first_and_settings_before_it(own: Path) -> None:
    assert rates(of("gpt-4o-mini"), own) == (0.1, 0.2, None)
    assert rates(of("my-model", endpoint="http://127.0.0.1:1/v1"), own) == (1.0, 2.0, 0.25)
    assert rates(of("gpt-4o"), own) == (2.5, 10.0, 0.5)
    set_here = of("my-model", price_per_million_input=7, price_per_million_output=8)
    assert rates(set_here, own) == (7.0, 8.0, 0.25)


def test_unknown_models_and_other_servers_have_no_price(own: Path) -> None:
    nothing = (None, None, None)
    assert rates(of("some/model")) == nothing
    assert rates(of("gpt-4o", endpoint="http://127.0.0.1:8000/v1")) == nothing
    assert rates(of("gpt-4o", endpoint=("https://api.openai.com/v1", "http://127.0.0.1/v1"))) == nothing
    assert rates(of("my-model", backend="transformers"), own) == nothing
    assert rates(of("gpt-4o", price_per_million_input=1)) == (1.0, None, None)


def test_a_money_cap_needs_no_price_in_the_config_where_the_table_has_it() -> None:
    capped = of("gpt-4o-mini", max_cost_usd=1.0)
    with pytest.raises(ConfigError, match="price_per_million_input"):
        build_llm(capped, Ledger(), None)
    settings = SelectSettings.model_validate({"llms": {"a": capped}})
    build_llm(settings.models()["a"], Ledger(), None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: {m: {input: 1, output: 2}}", "date"),
        ("date: 2026-01-01\nmodels: {m: {input: -1, output: 2}}", "input"),
        ("date: 2026-01-01\nmodels: {m: {inputs: 1, output: 2}}", "did you mean 'input'"),
    ],
)
def test_a_price_file_that_is_none(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        price_tables(path)
    with pytest.raises(ConfigError, match="no config file"):
        SelectSettings.model_validate({"llms": {"a": of("m")}, "prices": "absent.yaml"}).models()
