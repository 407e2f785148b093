"""AlpacaEval's length-controlled win rate: seconds of a whole process, ours against `alpaca_eval`'s own.

    python -m scripts.bench.alpaca_eval ASSETS [--reference-python VENV/bin/python] [--rounds 5]

ASSETS holds the `alpaca_eval` folder of the benchmark assets. The reference runs in an environment of its own
(`pip install alpaca_eval`), told to take its tables from ASSETS and not from the hub; without one, only ours is
measured. Rounds take turns, and the fastest counts: import, reading, fit and printing, from start to exit.

Then ours scores 1, 10, 50 and 200 models in one process. The models are links to the real files without
their names, so each is read and fitted anew.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODELS = ("alpaca-7b", "claude-2", "FuseChat-Gemma-2-9B-Instruct")
COUNTS = (1, 10, 50, 200)
REFERENCE = """
import sys, pandas as pd
from alpaca_eval.metrics import glm_winrate
glm_winrate.hf_hub_download = lambda filename, **_: sys.argv[1] + "/" + filename
found = glm_winrate.get_length_controlled_winrate(pd.read_json(sys.argv[2]), save_weights_dir=None)
print(found["length_controlled_winrate"])
"""


def main() -> None:
    args = arguments()
    folder = args.assets / "alpaca_eval"
    if args.files:
        print(json.dumps(score(folder, args.files)))
        return
    one_model(folder, args.reference_python, args.rounds)
    many_models(folder, args.rounds)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("assets", type=Path)
    parser.add_argument("--reference-python", help="python of an environment that has alpaca_eval")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--files", type=Path, nargs="+", help="score these and stop: one measurement")
    return parser.parse_args()


def score(folder: Path, files: list[Path]) -> dict[str, float | None]:
    """Length-controlled win rate by model."""
    from eval.alpaca_eval.files import load_reference
    from eval.alpaca_eval.score import score_files

    reference = load_reference(
        folder / "gpt4_1106_preview_outputs.json",
        folder / "instruction_difficulty.csv",
        folder / "df_gamed.csv",
    )
    models = score_files(files, reference).models
    return {name: model.length_controlled_winrate for name, model in models.items()}


def one_model(folder: Path, reference_python: str | None, rounds: int) -> None:
    for name in MODELS:
        file = folder / "annotations" / f"{name}.json"
        commands = {"ours": ours(folder, [file])}
        if reference_python:
            commands["alpaca_eval"] = reference(reference_python, folder, file)
        seconds: dict[str, list[float]] = {arm: [] for arm in commands}
        said: dict[str, str] = {}
        for _ in range(rounds):
            for arm, command in commands.items():
                took, said[arm] = timed(command)
                seconds[arm].append(took)
        for arm, times in seconds.items():
            print(f"{name:30} {arm:12} {min(times):6.2f} s  {said[arm]}")
        if reference_python:
            print(f"{name:30} {'ratio':12} {min(seconds['alpaca_eval']) / min(seconds['ours']):6.1f}")


def many_models(folder: Path, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        nameless = [without_name(folder, name, Path(scratch)) for name in MODELS]
        links = [Path(scratch) / f"model-{number}.json" for number in range(max(COUNTS))]
        for number, link in enumerate(links):
            link.symlink_to(nameless[number % len(nameless)])
        first = 0.0
        for count in COUNTS:
            times = []
            for _ in range(rounds if count < max(COUNTS) else 1):
                times.append(timed(ours(folder, links[:count]))[0])
            first = first or min(times)
            more = 1000 * (min(times) - first) / max(1, count - 1)
            each = f", {more:.1f} ms for each after the first"
            print(f"{count:4} models {min(times):6.2f} s{each if count > 1 else ''}")


def without_name(folder: Path, name: str, scratch: Path) -> Path:
    """The real annotations without `generator_2`: they go by the name of the file."""
    rows = json.loads((folder / "annotations" / f"{name}.json").read_text(encoding="utf-8"))
    path = scratch / f"nameless-{name}.json"
    kept = [{key: value for key, value in row.items() if key != "generator_2"} for row in rows]
    path.write_text(json.dumps(kept), encoding="utf-8")
    return path


def ours(folder: Path, files: list[Path]) -> list[str]:
    return [
        sys.executable,
        "-m",
        "scripts.bench.alpaca_eval",
        str(folder.parent),
        "--files",
        *map(str, files),
    ]


def reference(python: str, folder: Path, file: Path) -> list[str]:
    return [python, "-W", "ignore", "-c", REFERENCE, str(folder), str(file)]


def timed(command: list[str]) -> tuple[float, str]:
    """Seconds of a whole process, and what it printed."""
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.perf_counter() - started, done.stdout.strip()


if __name__ == "__main__":
    main()
