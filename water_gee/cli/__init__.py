"""The command line: one file per command, `main` is the entry point."""

from __future__ import annotations

from water_gee.cli.app import main

__all__ = ["main"]
