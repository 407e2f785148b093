"""The command line, one file a family of commands; `tacos.cli.app` holds them together."""

from __future__ import annotations


def main() -> None:
    from tacos.cli.app import app

    app()
