"""Whether W&B can track at all, asked before anything is paid."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pydantic import ValidationError

from tacos.errors import first_line, nearest

MODES = ("online", "offline", "disabled", "shared", "dryrun", "run")


def chosen_mode(mode: str) -> str:
    """WANDB_MODE, and where it is unset or empty that of the settings."""
    return os.environ.get("WANDB_MODE") or mode


def wandb_problem(mode: str, folder: Path) -> str | None:
    """Why W&B could not track a run into `folder`; None where nothing is in its way. Cheap, to be asked before anything
    is paid: whether its server answers is found out later.

    mode: where WANDB_MODE is unset.
    """
    chosen = chosen_mode(mode)
    if chosen not in MODES:
        return f"WANDB_MODE is {chosen!r}: {nearest(chosen, MODES)}"
    if chosen == "disabled":
        return None
    try:
        (folder / "wandb").mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder / "wandb").close()
    except OSError as error:
        return f"{folder / 'wandb'} takes no files ({error.strerror or error}); set WANDB_MODE=disabled"
    try:
        _check_environment()
        if chosen in ("offline", "dryrun") or _logged_in():
            return None
    except Exception as error:  # of whatever kind, it is what `init` would say after all was paid
        return f"{first_line(error).rstrip('.')}: correct it, or set WANDB_MODE=disabled"
    return "no login: run `wandb login`, or set WANDB_MODE=offline"


def _check_environment() -> None:
    """Raises: ValueError for a variable that wandb refuses; an empty one is as good as none."""
    import wandb

    try:
        wandb.Settings().update_from_env_vars({name: value for name, value in os.environ.items() if value})
    except ValidationError as error:
        wrong = error.errors()[0]
        raise ValueError(f"WANDB_{str(wrong['loc'][0]).upper()}: {wrong['msg']}") from error


def _logged_in() -> bool:
    import wandb

    return bool(wandb.login(prompt=False, verify=False))
