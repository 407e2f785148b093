"""How long passes will take on this machine, measured in a second or two: the hours of `tacos plan`.

Where the weights are here and small, the model itself reads texts of 256 tokens through the engine that will run it. Of
larger ones a product of two matrices is timed, which no model reaches: those hours are the least to expect. A model
whose files are not here has no hours, and nothing is downloaded to find them. A speed is measured once a process.

Measured 2026-11-26, GPT-2 on two cores that others used too: 254 and 346 tokens/s by two plans, 223 over the 274 s of
the reading itself. The quickstart's base was expected to take 129 s and took 136; its embeddings 16 and 34 s, the
library's loading among them, and 6% more tokens. Bytes / 4.4 are for tokenizers of 30,000 entries and more: one of
bytes has four times the tokens.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tacos.models.device import native_bfloat16, pick_device
from tacos.models.expected import Model, Passes
from tacos.models.flops import flops, parameters_at_work
from tacos.types import Record

if TYPE_CHECKING:
    from tacos.models.local import LocalModel

log = logging.getLogger(__name__)
SMALL = 2**30
"""Bytes of weights that are loaded for a measurement."""
ENOUGH_S, MOST_ROWS, LENGTH = 0.3, 16, 256
MEASURED, AT_BEST = "measured with the model", "a matrix product, at best"
NOT_HERE, NOT_ASKED = "the model's files are not here", "not measured"


class Expected(Record):
    """What a stage's passes are expected to take."""

    model: str
    """Hub id or folder, or what it is where it is made on the way."""
    parameters: int | None
    """At work (`tacos.models.flops`); None where that is not known."""
    forward_tokens: int
    backward_tokens: int
    flops: float | None
    hours: float | None
    speed: str
    """Where the hours come from, or why there are none."""


class Shape(NamedTuple):
    """parameters: at work. rate: FLOPs a second on this machine. how: it was found."""

    parameters: int
    rate: float
    how: str


def expected(passes: Passes, timed: bool = True) -> Expected:
    """timed: loads torch, and measures where that was not done before; else tokens are all that is told."""
    model = passes.model
    if not timed:
        return Expected(
            model=model.name or model.source,
            parameters=None,
            forward_tokens=round(passes.forward),
            backward_tokens=round(passes.backward),
            flops=None,
            hours=None,
            speed=NOT_ASKED,
        )
    shape = measured(replace(model, name="", device=pick_device(model.device)))
    spent = (
        None
        if shape is None
        else flops(shape.parameters, passes.forward, passes.backward, 0 if passes.adapters else None)
    )
    return Expected(
        model=model.name or model.source,
        parameters=shape.parameters if shape else None,
        forward_tokens=round(passes.forward),
        backward_tokens=round(passes.backward),
        flops=spent,
        hours=spent / shape.rate / _gpus(passes) / 3600 if shape and spent is not None else None,
        speed=shape.how if shape else NOT_HERE,
    )


def _gpus(passes: Passes) -> int:
    """That share the work; 1 on a CPU, whose cores one process uses as well."""
    from tacos.models.parallel import devices_for

    devices = set(devices_for(passes.workers, passes.model.device))
    return len(devices)


@cache
def measured(model: Model) -> Shape | None:
    """None where the model's files are not here, or cannot be read: the run itself will say why."""
    try:
        if model.make is not None:
            made = model.make()
            return Shape(parameters_at_work(made), engine_rate(made, model), MEASURED)
        folder = files_of(model.source)
        if folder is None:
            return None
        size = sum(
            path.stat().st_size for path in folder.iterdir() if path.suffix in (".safetensors", ".bin")
        )
        if not size:
            return None
        if size <= SMALL:
            loaded = _loaded(folder, model)
            return Shape(parameters_at_work(loaded), engine_rate(loaded, model), MEASURED)
        return Shape(parameters_at_work(_empty(folder, model)), product_rate(model), AT_BEST)
    except Exception as error:  # of any library; a plan goes on without
        log.debug("no speed of %s: %s", model.source, error)
        return None


def files_of(source: str) -> Path | None:
    """The folder of a model's files on this machine, without asking the network."""
    if Path(source).is_dir():
        return Path(source)
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(source, "config.json") if source else None
    return Path(found).parent if isinstance(found, str) else None


def _loaded(folder: Path, model: Model) -> Any:
    from tacos.models.local import weights

    return weights(model.kind, str(folder), dtype=model.dtype)


def _empty(folder: Path, model: Model) -> Any:
    """The model without its weights."""
    import torch
    import transformers

    kind = transformers.AutoModelForCausalLM if model.kind == "causal" else transformers.AutoModel
    with torch.device("meta"):
        return kind.from_config(transformers.AutoConfig.from_pretrained(str(folder)))


def engine_rate(network: Any, model: Model) -> float:
    """FLOPs a second while a model reads rows of `LENGTH` tokens: of the first batch size that takes long enough."""
    from types import SimpleNamespace

    from tacos.models.local import LocalModel, placed

    tokenizer: Any = SimpleNamespace(pad_token_id=0)
    lm = LocalModel(placed(network, model.dtype, model.device), tokenizer)
    length = min(LENGTH, lm.context or LENGTH)
    read = _reader(lm, model.kind)
    read([[1] * 16])  # what a first pass sets up is not timed
    rows, took = 1, 0.0
    while True:
        took = _timed(lambda n: read([[1] * length] * n), rows)
        if took >= ENOUGH_S or rows >= MOST_ROWS:
            return flops(lm.parameters, rows * length) / took
        rows = min(MOST_ROWS, rows * 4)


def _reader(lm: LocalModel, kind: str) -> Callable[[Sequence[Sequence[int]]], Any]:
    """Reads rows as the scorers do, or as embedders do."""
    from tacos.models.batches import Supervised, hidden_states, token_losses

    def read(rows: Sequence[Sequence[int]]) -> Any:
        budget = sum(map(len, rows))
        half = [Supervised(ids, [int(place > len(ids) // 2) for place in range(len(ids))]) for ids in rows]
        return list(
            token_losses(lm, half, budget) if kind == "causal" else hidden_states(lm, half, budget=budget)
        )

    return read


def _timed(work: Callable[[int], Any], times: int) -> float:
    started = time.perf_counter()
    work(times)
    return max(time.perf_counter() - started, 1e-9)


def product_rate(model: Model) -> float:
    """FLOPs a second of the product of two square matrices in the numbers that the model would have."""
    import torch

    device = model.device
    half = device != "cpu" or native_bfloat16(device)
    dtype = torch.bfloat16 if half and model.dtype != "float32" else torch.float32
    side = 1024 if device == "cpu" else 4096
    matrix = torch.ones(side, side, dtype=dtype, device=device)

    def product(times: int) -> None:
        for _ in range(times):
            made = matrix @ matrix
        float(made[0, 0])  # waits for the device

    product(1)
    times = 1
    while (took := _timed(product, times)) < ENOUGH_S:
        times *= 4
    return 2.0 * side**3 * times / took
