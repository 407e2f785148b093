"""One of several training processes: `torchrun ... -m train.worker SETTINGS.yaml [a.b=c ...]`."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from pathlib import Path

from tacos.config import load
from tacos.errors import ConfigError, TacosError
from tacos.store.files import write_text
from train.launch import FAILURE, LAUNCHER, REFUSAL
from train.processes import rank
from train.settings import TrainRun
from train.sft import train

log = logging.getLogger(__name__)


def end_with(launcher: int | None) -> None:
    """Watch for the end of whoever started this process, and end too.

    A launcher that is killed outright takes no worker along, and one that trains on unseen would write to
    the folder that the next attempt goes on from.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent and (launcher is None or Path(f"/proc/{launcher}").exists()):
            time.sleep(0.5)
        os._exit(1)

    if Path("/proc").is_dir():
        threading.Thread(target=watch, daemon=True).start()


def read(arguments: list[str]) -> TrainRun:
    """Raises: ConfigError for settings that cannot be read, and where none are given."""
    if not arguments:
        raise ConfigError("give a file of settings: torchrun ... -m train.worker SETTINGS.yaml [a.b=c ...]")
    return load(TrainRun, Path(arguments[0]), arguments[1:])


def main(arguments: list[str]) -> int:
    """Exit code 2 for settings that cannot be read; 1 with the reason in `out/error-<rank>.txt`, or in
    `refused-<rank>.txt` for settings that cannot be, which `train.launch` reads. Under a scheduler nobody does, so
    there the log has it too."""
    level = logging.INFO if rank() == 0 else logging.ERROR
    logging.basicConfig(level=level, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stderr)
    arguments = [a for a in arguments if not a.startswith("--local_rank")]  # DeepSpeed's launcher adds it
    try:
        run = read(arguments)
    except ConfigError as error:
        log.error("%s", error)
        return 2
    started_by = os.environ.get(LAUNCHER)
    end_with(int(started_by) if started_by else None)
    try:
        train(run)
    except TacosError as error:
        said = REFUSAL if isinstance(error, ConfigError) else FAILURE
        write_text(Path(run.out) / said.format(rank=rank()), str(error))
        if not started_by:
            log.error("%s", error)
        return 1
    # Of a library, such as DeepSpeed for its own settings; its place is in the output.
    except Exception as error:
        why = f"a training process ended with {type(error).__name__}: {' '.join(str(error).split())}"
        write_text(Path(run.out) / FAILURE.format(rank=rank()), why)
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
