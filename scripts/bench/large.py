"""What ten million rows would take on a cluster, from constants that were measured at a million and on Alpaca.

    python -m scripts.bench.large [--rows 10000000] [--nodes 8] [--gpus 8] [--budget 100000]

TACOS with an LLM on the cluster's own GPUs, then a model of 7B trained on the selection. Nothing is run: each line is
work / rate, and says where the rate comes from. What could not be measured is an assumption, said as one: rates of an
H100 for an LLM served in batches, the share of its matrix rate that training reaches, and prices.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import NamedTuple

MEASURED_CPU = {
    "load: read, clean, deduplicate, decontaminate": 54.0,
    "tags normalized and clustered": 6.0,
    "comparisons planned, written, read": 7.0,
    "comparisons read out, mixed model with its prior": 114.0,
    "selection written": 24.0,
}
"""Seconds of one core for a million rows (`scripts.bench.pool`, `.stages`, `.scoring`); each grows with the rows."""
MEASURED_GIB = {"load: read, clean, deduplicate, decontaminate": 1.45, "selection written": 2.0}
"""Memory at a million rows."""
TAG, COMPARE = (229, 150), (566, 120)
"""Tokens of prompt and reply a row, as `tacos plan` expects them of Alpaca-52k."""
EMBEDDED, ENCODER = 60.4, 10.8e6
"""Tokens a row of prompt and response, and parameters of MiniLM at work, of the same plan."""
REQUESTS = 5_873.0
"""Calls a second of one driver on one core (`scripts.bench.llm`); they go on beside the LLM's work."""
TRAINED = 110
"""Tokens of a row of Alpaca with its template."""
PREFILL, DECODE = 40_000.0, 4_000.0
"""Assumed of a model of 7B on an H100 under vLLM, tokens a second of prompts and of replies together in flight."""
H100, BUSY, ENCODING = 989e12, 0.4, 0.1
"""bf16 FLOP/s of its data sheet; assumed shares of it that training and embedding reach."""
GPU_HOUR, API_IN, API_OUT = 2.5, 0.15, 0.60
"""Assumed: USD of an H100 an hour, and a million tokens of a small model behind an API."""


class Line(NamedTuple):
    """hours: on the clock, with all that can share the work. known: where the rate comes from."""

    what: str
    work: str
    where: str
    hours: float
    known: str
    usd: float = 0.0


def lines(rows: int, gpus: int, budget: int, parameters: float = 6.5e9, epochs: int = 3) -> Iterator[Line]:
    millions = rows / 1e6
    for what, seconds in MEASURED_CPU.items():
        memory = f", {MEASURED_GIB[what] * millions:.0f} GiB" if what in MEASURED_GIB else ""
        work = f"{seconds * millions:,.0f} s of CPU{memory}"
        yield Line(what, work, "one core", seconds * millions / 3600, "measured")
    yield Line(
        "calls sent and read", f"{2 * rows:,} calls", "one core", 2 * rows / REQUESTS / 3600, "measured"
    )
    for what, (prompt, reply) in {"tags": TAG, "comparisons": COMPARE}.items():
        hours = rows * (prompt / PREFILL + reply / DECODE) / gpus / 3600
        yield _on_gpus(f"{what} by the LLM", f"{rows * prompt:.1e} + {rows * reply:.1e} tokens", hours, gpus)
    hours = 2 * ENCODER * EMBEDDED * rows / (H100 * ENCODING * gpus) / 3600
    yield _on_gpus("embeddings", f"{EMBEDDED * rows:.1e} tokens", hours, gpus)
    trained = budget * TRAINED * epochs
    hours = 6 * parameters * trained / (H100 * BUSY * gpus) / 3600
    yield _on_gpus(f"training, 7B, {epochs} epochs", f"{trained:.1e} tokens", hours, gpus)


def _on_gpus(what: str, work: str, hours: float, gpus: int) -> Line:
    return Line(what, work, f"{gpus} GPUs", hours, "assumed", hours * gpus * GPU_HOUR)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in {"rows": 10_000_000, "nodes": 8, "gpus": 8, "budget": 100_000}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    found = sorted(lines(args.rows, args.nodes * args.gpus, args.budget), key=lambda line: -line.hours)
    print(f"{args.rows:,} rows, {args.nodes} nodes with {args.gpus} GPUs each, {args.budget:,} selected\n")
    print("| what | work | where | hours | rate | USD |\n| --- | --- | --- | --- | --- | --- |")
    for line in found:
        money = f"{line.usd:,.0f}" if line.usd else ""
        print(f"| {line.what} | {line.work} | {line.where} | {line.hours:.2f} | {line.known} | {money} |")
    hours, usd = sum(line.hours for line in found), sum(line.usd for line in found)
    api = args.rows / 1e6 * sum(p * API_IN + r * API_OUT for p, r in (TAG, COMPARE))
    print(f"| all, one after the other | | | {hours:.2f} | | {usd:,.0f} |\n")
    share, prices = found[0].hours / hours, f"{API_IN:g} and {API_OUT:g} USD"
    print(f"The bottleneck is {found[0].what}, with {share:.0%} of the hours. Behind an API at {prices}")
    print(f"for a million tokens, tags and comparisons cost {api:,.0f} USD.")


if __name__ == "__main__":
    main()
