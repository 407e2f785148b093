"""The load stage over a made pool of a million rows: seconds, seconds of CPU, peak memory, rows kept and dropped.

    python -m scripts.bench.pool [FILE ...] [--rows 1000000] [--seed 0] [--folder DIR] [--holdout 100] [--profile]

Reading, cleaning, deduplication, holding out, decontamination and writing, each pool in a process of its own. A made
pool has rows of about 450 bytes in Alpaca's form, written once to DIR: 3% are equal to an earlier row, 3% nearly so (a
word of the answer is another, or the prompt has another case), 2% are answered by one word, 2% are not ASCII, and 0.1%
cannot be read. FILE: pools of yours in place of it. `--profile` writes DIR/NAME.profile, for pstats.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from scripts.bench.usage import cpu_seconds, peak_gib
from tacos.pipeline.pool import load_stage
from tacos.pipeline.pool_settings import PoolSettings
from tacos.stage import Job

BLOCK = 10_000
VOCABULARY = 30_000
VERBS = ("Describe", "Explain", "Name", "Compare", "Summarize", "Write about", "Classify", "What is")
STOCK = ("Yes.", "No.", "Positive", "I cannot help with that.")
BAD = (
    '{"instruction": "torn',
    '{"instruction": "Say", "input": "", "output": ""}',
    "[1, 2]",
    '{"input": "x"}',
)
EXACT, NEAR, SHORT, FOREIGN, BROKEN = 0.03, 0.03, 0.02, 0.02, 0.001
"""Shares of rows of each kind."""


class Writer:
    """Rows from a seed. Words are drawn as 1 / rank, so that the commonest stand in most rows."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        letters = np.array(list("etaoinshrdlucmfwypvbgk"))
        made = {"".join(self.rng.choice(letters, self.rng.integers(2, 10))) for _ in range(2 * VOCABULARY)}
        self.words = sorted(made)[:VOCABULARY]
        self.rng.shuffle(self.words)
        weights = 1 / np.arange(1, len(self.words) + 1)
        self.chance = np.cumsum(weights / weights.sum())
        self.earlier: list[dict[str, str]] = []

    def text(self, n: int) -> list[str]:
        return [
            self.words[i] for i in np.searchsorted(self.chance, self.rng.random(n)).clip(max=VOCABULARY - 1)
        ]

    def fresh(self) -> dict[str, str]:
        drawn = self.rng.random(4)
        asked = f"{VERBS[int(drawn[0] * len(VERBS))]} {' '.join(self.text(int(6 + drawn[1] * 8)))}."
        given = " ".join(self.text(int(10 + drawn[2] * 20))) if drawn[2] < 0.4 else ""
        if drawn[3] < SHORT:
            return {"instruction": asked, "input": given, "output": STOCK[int(drawn[0] * len(STOCK))]}
        said = [" ".join(self.text(int(5 + self.rng.random() * 14))) for _ in range(int(1 + drawn[3] * 6))]
        if drawn[1] < FOREIGN:
            said[0] += " caf\u00e9 \u2013 \u8336\u5f88\u70ed"
        between = "\n- " if drawn[2] > 0.8 else ". "
        return {"instruction": asked, "input": given, "output": between.join(said).capitalize() + "."}

    def row(self) -> str:
        kind = self.rng.random()
        if kind < BROKEN:
            return BAD[int(kind / BROKEN * len(BAD))]
        again = len(self.earlier) > 100 and kind < BROKEN + EXACT + NEAR
        row = dict(self.earlier[int(self.rng.integers(len(self.earlier)))]) if again else self.fresh()
        if again and kind > BROKEN + EXACT:
            if len(words := row["output"].split(" ")) > 60:
                words[int(self.rng.integers(len(words)))] = "another"
                row["output"] = " ".join(words)
            else:
                row["instruction"] = row["instruction"].lower()
        elif not again:
            self.earlier.append(row)
            del self.earlier[:-50_000]
        return json.dumps(row, ensure_ascii=False)

    def lines(self, n: int) -> Iterator[str]:
        return (self.row() for _ in range(n))


def made(folder: Path, rows: int, seed: int) -> Path:
    """The pool's file, made once."""
    path = folder / f"pool-{rows}-{seed}.jsonl"
    if not path.exists():
        partial = path.with_suffix(".partial")
        with partial.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in Writer(seed).lines(rows))
        partial.rename(path)
    return path


def measure(path: Path, folder: Path, holdout: int, profile: bool) -> None:
    logging.basicConfig(level=logging.ERROR)
    before, began, used = peak_gib(), time.perf_counter(), cpu_seconds()
    job = Job(folder, {}, None)  # type: ignore[arg-type]
    profiler = cProfile.Profile()
    stage = load_stage(PoolSettings(source=str(path), holdout=holdout))
    outcome = profiler.runcall(stage.work, job) if profile else stage.work(job)
    seconds, used = time.perf_counter() - began, cpu_seconds() - used
    if profile:
        profiler.dump_stats(folder / f"{path.stem}.profile")
    print(
        f"{path.name}: {outcome.rows_in:,} rows, {outcome.rows_out:,} kept, {outcome.metrics['dropped']}; "
        f"{seconds:.0f} s, {used:.0f} s of CPU, {peak_gib():.2f} GiB ({before:.2f} before)",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--holdout", type=int, default=100)
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.here:
        measure(args.files[0], args.folder, args.holdout, args.profile)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        rest = [f"--folder={folder}", f"--holdout={args.holdout}", *(["--profile"] if args.profile else [])]
        for file in args.files or [made(folder, args.rows, args.seed)]:
            command = [sys.executable, "-m", "scripts.bench.pool", str(file), "--here", *rest]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
