"""The command line: what people, scripts and tests rely on."""

from loratui.cli.main import main

__all__ = ["main"]
