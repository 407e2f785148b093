"""Every goal of speed and memory in one table: its command, the goal, and what this machine gives.

    python -m scripts.bench.goals [WORD ...] [--pool alpaca_data.json] [--write]

WORD: only the rows whose name holds one. Commands run one after the other, each in a process of its own and in an empty
folder, so that nothing is finished before; all of it takes about half an hour on two free cores. `--write` puts the
table into scripts/bench/README.md, where rows that were not run stay as they are. A command that tells its own figures
("10 s of CPU, 2.2 GiB") is taken at its word; else its process is measured, with those that it waits for.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "scripts" / "bench" / "README.md"
BEGIN, END = "<!-- goals: made by scripts.bench.goals -->\n", "<!-- end of goals -->\n"
TOLD = {"cpu": re.compile(r"([\d,.]+) s of CPU"), "gib": re.compile(r"([\d.]+) GiB")}
WORDS = {"wall": "s", "cpu": "s of CPU", "gib": "GiB"}


class Goal(NamedTuple):
    """command: {python}, {tacos}, {configs} and {pool} are filled. most: figure -> what it may be. own: whether the
    command tells its figures. busy: processes that keep cores busy beside it."""

    name: str
    command: str
    most: dict[str, float]
    own: bool = False
    busy: int = 0


MILLION = "{python} -m scripts.bench.million {name} --threads 1"
SELECT = "{tacos} select {pool} --method tacos --budget 1000"
GOALS = [
    Goal(
        "a pool of 1,000,000 rows read, cleaned, deduplicated",
        "{python} -m scripts.bench.pool",
        {"cpu": 120, "gib": 3},
        own=True,
    ),
    *(
        Goal(f"1,000,000 rows: {what}", f"{{python}} -m scripts.bench.stages {name}", {"gib": 6}, True)
        for name, what in {
            "tags": "half as many tags normalized and clustered",
            "clusters": "k-means, k 50",
            "clusters_1k": "k-means, k 1,000",
            "plan": "comparisons planned",
            "comparisons": "comparisons written and read",
            "readout": "comparisons read out",
            "selection": "a fifth selected and written",
        }.items()
    ),
    *(
        Goal(f"1,000,000 rows: {name} of 10,000", MILLION.replace("{name}", name), {"gib": 6}, True)
        for name in ("cosine_filter", "k_center", "mig", "zip")
    ),
    Goal("TACOS with embedded parts on Alpaca-52k, cold", SELECT, {"wall": 180}),
    Goal(
        "the same in bfloat16, where the CPU has it",
        f"{SELECT} embedder.dtype=auto",
        {"wall": 180},
    ),
    Goal("quickstart, after the install", "{tacos} run {configs}/quickstart.yaml", {"wall": 120}),
    Goal(
        "quickstart beside two busy processes", "{tacos} run {configs}/quickstart.yaml", {"wall": 300}, busy=2
    ),
    Goal("`tacos --help`", "{tacos} --help", {"wall": 0.25}),
    Goal(
        "`tacos plan` of the ablation",
        "{tacos} plan {configs}/experiments/ablation_builtin.yaml",
        {"wall": 1.5},
    ),
]


class Figures(NamedTuple):
    """wall: seconds; cpu: seconds of all its processes; gib: of the largest. failed: what it said last, "" for none."""

    wall: float
    cpu: float
    gib: float
    failed: str = ""


@contextmanager
def kept_busy(processes: int) -> Iterator[None]:
    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def measure(goal: Goal, places: dict[str, str]) -> Figures:
    words = shlex.split(goal.command.format(**places))
    more = {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "offline", "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as folder, kept_busy(goal.busy):
        started = time.perf_counter()
        process = subprocess.Popen(
            words,
            cwd=folder,
            env=os.environ | more,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        wall, failed = time.perf_counter() - started, os.waitstatus_to_exitcode(status)
    reason = said.strip().splitlines()[-1][:80] if failed else ""
    found = Figures(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 2**20, reason)
    if not goal.own or failed:
        return found
    return found._replace(
        **{name: float(form.findall(said)[-1].replace(",", "")) for name, form in TOLD.items()}
    )


def row(goal: Goal, found: Figures, places: dict[str, str]) -> str:
    """Name, goal, result, whether it is met, date and command."""
    shown = {**places, "python": "python", "tacos": "tacos", "configs": "configs", "pool": "alpaca_data.json"}
    wanted = ", ".join(f"{most:g} {WORDS[figure]}" for figure, most in goal.most.items())
    met = "yes" if all(getattr(found, figure) <= most for figure, most in goal.most.items()) else "**no**"
    number = "{:.2f}" if found.wall < 10 else "{:,.0f}"
    said = {"wall": number.format(found.wall), "cpu": number.format(found.cpu), "gib": f"{found.gib:.1f}"}
    result = ", ".join(f"{said[figure]} {word}" for figure, word in WORDS.items())
    if found.failed:
        result, met = f"failed: {found.failed}", "**no**"
    return (
        f"| {goal.name} | {wanted} | {result} | {met} | {date.today()} | `{goal.command.format(**shown)}` |"
    )


def written(rows: dict[str, str]) -> None:
    """Into the page, over the rows of the same names."""
    text = PAGE.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    table, after = rest.split(END)
    lines = [line for line in table.splitlines() if line.startswith("|")]
    known = {line.split(" | ")[0].removeprefix("| "): line for line in lines[2:]} | rows
    ordered = [known[goal.name] for goal in GOALS if goal.name in known]
    PAGE.write_text(before + BEGIN + "\n".join(["", *HEAD, *ordered, "", ""]) + END + after, encoding="utf-8")


HEAD = ("| what | goal | here | met | date | command |", "| --- | --- | --- | --- | --- | --- |")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--pool", type=Path, default=Path("alpaca_data.json"))
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args(arguments)
    places = {
        "python": sys.executable,
        "tacos": f"{sys.executable} -m tacos",
        "configs": str(ROOT / "configs"),
        "pool": str(args.pool.resolve()),
    }
    rows = {}
    print("\n".join(HEAD), flush=True)
    for goal in GOALS:
        if not args.words or any(word in goal.name for word in args.words):
            rows[goal.name] = row(goal, measure(goal, places), places)
            print(rows[goal.name], flush=True)
    if args.write:
        written(rows)


if __name__ == "__main__":
    main()
