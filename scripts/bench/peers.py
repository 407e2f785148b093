"""Ours beside its peers, in one run on the same inputs: a Markdown table.

    python -m scripts.bench.peers ASSETS alpaca_data.json [--rounds 3] [--venv DIR] [--only WORD ...]

ASSETS holds the `alpaca_eval` folder of the benchmark assets. The peers are installed from PyPI into an environment of
their own, made in DIR, or in a temporary folder that is removed; it sees this environment's packages, and
constraints.txt holds, so that both sides run on the same torch and numpy. Everything runs on one core with one thread,
but for the chat server. CPU seconds are counted, of the process and its children: wall time would count the work of
others on a shared machine, and nothing here waits for long. Ours and its peers take turns, and medians of the rounds
are told, with the range of the ratio over them. A peer that cannot be installed or run is a row that says why.

Each measurement is of the module that measures it alone: `alpaca_eval`, `selection`, `llm` and `train` of this folder.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from scripts.bench.usage import cpu_seconds

PACKAGES = {"alpaca_eval": "alpaca_eval", "submodlib-py": "submodlib-py", "distilabel": "distilabel[openai]"}
"""Distribution -> what pip is asked for."""
Turn = Callable[[], tuple[float, Any]]
"""-> CPU seconds, and what came out."""
LOOPS = {
    "cosine_filter": (52_000, 6000),
    "k_center": (20_000, 300),
    "mig": (20_000, 200),
    "novelty": (5000, 200),
}
"""Allocator -> rows and budget, for its plain loop."""
COVERED = (5000, 500)
"""The same for facility location."""


class Peer(NamedTuple):
    """package: whose version is told; "" for code of this folder."""

    name: str
    package: str
    turn: Turn


class Race(NamedTuple):
    """outcome: what ours and the peer gave, compared."""

    what: str
    size: str
    ours: Turn
    peers: tuple[Peer, ...]
    outcome: Callable[[Any, Any], str]


def spent(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds, of children that have ended too, and what came out."""
    before = cpu_seconds()
    made = work()
    return cpu_seconds() - before, made


def win_rate(folder: Path) -> Race:
    from scripts.bench import alpaca_eval

    name = alpaca_eval.MODELS[0]
    file = folder / "annotations" / f"{name}.json"
    rows = len(json.loads(file.read_text(encoding="utf-8")))

    def turn(command: list[str]) -> Turn:
        return lambda: spent(lambda: alpaca_eval.timed(command)[1])

    def apart(mine: str, other: str) -> str:
        return f"{abs(json.loads(mine)[name] - float(other)):.0e} points apart"

    peer = Peer("its own", "alpaca_eval", turn(alpaca_eval.reference(sys.executable, folder, file)))
    what, ours = "length-controlled win rate, whole process", turn(alpaca_eval.ours(folder, [file]))
    return Race(what, f"{rows} annotations", ours, (peer,), apart)


def allocations() -> Iterator[Race]:
    from scripts.bench import selection

    n, budget = COVERED
    ours, _ = selection.CASES["facility_location"].make(n, 384)
    made = cache(lambda: selection.lazy_greedy(n, 384))

    def lazy() -> tuple[float, Any]:
        theirs = made()
        return spent(lambda: theirs(budget))

    peer = Peer("lazy greedy", "submodlib-py", lazy)
    size = f"{n:,} to {budget:,}"
    yield Race("`facility_location`", size, lambda: spent(lambda: ours(budget)), (peer,), selection.same)
    for name, (n, budget) in LOOPS.items():
        yield loop(name, n, budget)


def loop(name: str, n: int, budget: int) -> Race:
    from scripts.bench.selection import CASES, same

    ours, plain = CASES[name].make(n, 384)
    peer = Peer("its plain loop", "", lambda: spent(lambda: plain(budget)))
    return Race(f"`{name}`", f"{n:,} to {budget:,}", lambda: spent(lambda: ours(budget)), (peer,), same)


def asking(base: str) -> Race:
    """Seconds of 1,000 requests."""
    from scripts.bench import llm

    def turn(way: llm.Way) -> Turn:
        def thousand() -> tuple[float, None]:
            way.measure(base, way.count)
            return 1000 * way.cpu[-1], None

        return thousand

    ways = {way.name: way for way in llm.WAYS}
    packages = {
        "openai, 64 at once": "openai",
        "aiohttp, 64 at once": "aiohttp",
        "distilabel, 64 a batch": "distilabel",
    }
    peers = tuple(
        Peer(name.partition(", ")[2], package, turn(ways[name])) for name, package in packages.items()
    )
    what = "1,000 requests to a chat server; ours with cache, ledger, parsing"
    counts = {ways[name].count for name in packages}
    size = f"of {min(counts):,} to {max(counts):,}"
    return Race(what, size, turn(ways["tacos, 64 at once"]), peers, lambda a, b: "each reply is its row's")


def training(pool: str, rows: int) -> Race:
    from scripts.bench import train

    options = [pool, "--rows", str(rows), "--device", "cpu", "--micro-batch-tokens", "1024"]

    def turn(arm: str) -> Turn:
        def trained() -> tuple[float, float]:
            found = train.in_a_process(options, arm)
            return found["cpu_s"], found["loss"]

        return trained

    peers = (
        Peer("SFTTrainer as it comes", "trl", turn("trl")),
        Peer("SFTTrainer in float32, without checkpointing", "trl", turn("trl-plain")),
    )
    what, size = "fine-tuning a LLaMA, 8 layers of 256", f"{rows} rows, 1 epoch"
    return Race(what, size, turn("ours"), peers, lambda a, b: f"mean loss {a:.2f} and {b:.2f}")


def run(race: Race, rounds: int, lost: Mapping[str, str]) -> Iterator[str]:
    """The rows of the table. lost: package -> why it could not be installed."""
    mine: list[tuple[float, Any]] = []
    theirs: dict[Peer, list[tuple[float, Any]]] = {peer: [] for peer in race.peers}
    failed = {peer: lost[peer.package] for peer in race.peers if peer.package in lost}
    for _ in range(rounds):
        mine.append(race.ours())
        for peer in race.peers:
            if peer not in failed:
                try:
                    theirs[peer].append(peer.turn())
                except (Exception, SystemExit) as error:
                    failed[peer] = f"failed: {why(error)}"
    for peer, turns in theirs.items():
        known = peer.package and peer.package not in lost
        name = f"{peer.package} {version(peer.package)}, {peer.name}" if known else peer.name
        told = f" | | {failed[peer]}" if peer in failed else beside(mine, turns, race.outcome)
        yield f"| {race.what} | {race.size} | {name} | {seconds(mine)} | {told} |"


def beside(
    mine: Sequence[tuple[float, Any]],
    theirs: Sequence[tuple[float, Any]],
    outcome: Callable[[Any, Any], str],
) -> str:
    """The peer's seconds, the ratio, and what came out."""
    ratios = sorted(b / a for (a, _), (b, _) in zip(mine, theirs, strict=True))
    middle, least, most = (brief(ratio) for ratio in (statistics.median(ratios), ratios[0], ratios[-1]))
    return f"{seconds(theirs)} | {middle} ({least} to {most}) | {outcome(mine[-1][1], theirs[-1][1])}"


def seconds(turns: Sequence[tuple[float, Any]]) -> str:
    return f"{statistics.median(taken for taken, _ in turns):.2f} s"


def brief(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.1f}" if ratio >= 1 else f"{ratio:.2f}"


def why(error: BaseException) -> str:
    """The last line that tells what went wrong."""
    said = error.stderr if isinstance(error, subprocess.CalledProcessError) else str(error)
    lines = [line.strip() for line in str(said or error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[-1][:200].replace("|", "/")


def install(folder: Path) -> tuple[str, dict[str, str]]:
    """The python of an environment that has the peers, and why one is not there: package -> the reason."""
    python = str(folder / "bin" / "python")
    if not Path(python).exists():
        venv.create(folder, with_pip=True, symlinks=True)
    asked = [python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"]
    own = Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())
    host = sysconfig.get_paths()["purelib"]
    (own / "host.pth").write_text(f"import site; site.addsitedir({host!r})\n", encoding="utf-8")
    lost = {}
    for package, wanted in PACKAGES.items():
        print(f"installing {wanted}", file=sys.stderr, flush=True)
        command = [python, "-m", "pip", "install", "--quiet", "-c", "constraints.txt", wanted]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            lost[package] = "not installed: " + (errors or ["pip failed"])[-1].replace("|", "/")[:200]
    return python, lost


def compare(args: argparse.Namespace, lost: Mapping[str, str]) -> None:
    """In the environment of the peers."""
    from threadpoolctl import threadpool_limits

    from scripts.bench.llm import cores, mock_server

    server, client = cores()
    if client is not None:
        os.sched_setaffinity(0, {client})
    print("| what | size | peer | ours | peer's | ratio (range over rounds) | what came out |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)
    with threadpool_limits(1), mock_server(sys.executable, server) as mock:
        makers: dict[str, Callable[[], Iterator[Race] | tuple[Race, ...]]] = {
            "win-rate": lambda: (win_rate(args.assets / "alpaca_eval"),),
            "allocations": allocations,
            "asking": lambda: (asking(mock.base),),
            "training": lambda: (training(str(args.pool), args.rows),),
        }
        for name, races in makers.items():
            if name in (args.only or makers):
                for race in races():
                    for row in run(race, args.rounds, lost):
                        print(row, flush=True)
    print("| Deita's released filter | | not on PyPI; `cosine_filter`'s plain loop is its rule | | | | |")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("assets", type=Path)
    parser.add_argument("pool", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=128, help="of the pool, to fine-tune on")
    parser.add_argument("--venv", type=Path, help="where the environment is made, or is already")
    parser.add_argument("--only", nargs="*", choices=("win-rate", "allocations", "asking", "training"))
    parser.add_argument("--lost", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.lost is not None:
        return compare(args, args.lost)
    with tempfile.TemporaryDirectory() as scratch:
        python, lost = install(args.venv or Path(scratch))
        command = [
            python,
            "-W",
            "ignore",
            "-m",
            "scripts.bench.peers",
            *sys.argv[1:],
            "--lost",
            json.dumps(lost),
        ]
        one = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
        sys.exit(subprocess.run(command, env=os.environ | one, check=False).returncode)


if __name__ == "__main__":
    main()
