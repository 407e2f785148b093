from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def assets(shared: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Upstream's files, where commands look for them."""
    monkeypatch.setenv("TACOS_ASSETS", str(shared / "assets"))
    return shared / "assets"
