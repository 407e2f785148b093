"""Commands in this process, and what they print for programs."""

from __future__ import annotations

import json
from typing import Any

from typer.testing import CliRunner, Result

from tacos.cli.app import app


def tacos(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def last_json(result: Result, code: int = 0) -> dict[str, Any]:
    """What a command with `--json` ends with. code: of its exit."""
    assert result.exit_code == code, result.stderr
    return json.loads(result.stdout.splitlines()[-1])  # type: ignore[no-any-return]
