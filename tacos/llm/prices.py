"""What models cost: a dated table in YAML (`prices.yaml`), a file of the user's own before it, settings before both.

    gpt-4o-mini at api.openai.com, table of 2026-06-21   ->  $0.15 in, $0.60 out per million tokens, half by batch
    Qwen/Qwen2.5-7B-Instruct at http://127.0.0.1:8000    ->  unknown: tokens are counted, money is not

A price that is not known is not zero: `Usage.unpriced_calls` counts the calls that `cost_usd` does not hold.
"""

from __future__ import annotations

from datetime import date
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from tacos.config import parse, read_yaml
from tacos.llm.settings import LLMSettings
from tacos.types import Record


class Price(Record):
    """USD per million tokens."""

    input: float = Field(ge=0)
    """Of prompts."""
    output: float = Field(ge=0)
    """Of replies, reasoning included."""
    cached_input: float | None = Field(None, ge=0)
    """Of prompt tokens found in the provider's prefix cache; shown only, costs are counted without it."""
    batch_discount: float | None = Field(None, ge=0, lt=1)
    """Share saved by batch files; None where there are none, or it is unknown."""


class PriceTable(Record):
    """A price file. endpoint: base URLs that begin so have these prices; "" is all."""

    date: date
    """When the prices were looked up."""
    source: str = ""
    """Where they were looked up."""
    endpoint: str = ""
    models: dict[str, Price]
    """By the name that the endpoint has for a model."""

    def price(self, settings: LLMSettings) -> Price | None:
        """The price of a model where it is asked; None where it is not known."""
        at_home = all(url.startswith(self.endpoint) for url in settings.endpoints)
        return self.models.get(settings.model) if at_home and settings.backend == "openai" else None


def price_tables(own: Path | None = None) -> list[PriceTable]:
    """Ours, and before it the user's own. Raises: ConfigError for a file that is none."""
    text = resources.files("tacos.llm").joinpath("prices.yaml").read_text(encoding="utf-8")
    tables = [parse(PriceTable, yaml.safe_load(text), "prices.yaml")]
    if own is not None:
        tables.insert(0, parse(PriceTable, read_yaml(own), str(own)))
    return tables


def priced(settings: LLMSettings, tables: list[PriceTable]) -> LLMSettings:
    """The settings with what they leave open of their prices, from the first table that knows the model.

    A model with one of its two prices set is left as it is: half a price of the user's own and half of a
    table's would be nobody's.
    """
    if (settings.price_per_million_input is None) != (settings.price_per_million_output is None):
        return settings
    price = next((found for table in tables if (found := table.price(settings))), None)
    if price is None:
        return settings
    filled: dict[str, Any] = {}
    if settings.unpriced:
        filled |= {"price_per_million_input": price.input, "price_per_million_output": price.output}
    if settings.batch_discount is None:
        filled["batch_discount"] = price.batch_discount
    return settings.model_copy(update=filled)
