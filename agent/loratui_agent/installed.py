"""Where this very code came from: a bundle that a client pushed here, or an installation. Standard library only."""

from pathlib import Path

MARKER = ".ok"
"""The file that is written into a bundle last: one without it is half there."""


def own_bundle() -> str:
    """Return the name of the bundle that this code is part of; empty when it is installed otherwise."""
    folder = Path(__file__).resolve().parent.parent
    return folder.name if (folder / MARKER).exists() else ""
