"""Keeps some of the disk for the day it is full: agent and reaper give it back to write down what then happens.

Standard library only.
"""

import contextlib
import os
import shutil
from pathlib import Path

_NAME = "loratui.ballast"
_BYTES = 8 << 20
_BLOCK = bytes(1 << 20)
_MIN_FREE_BYTES = 64 << 20
"""On a disk with less it would do more harm than good."""


def keep_ballast(run: Path) -> None:
    """Have the ballast in the home's folder ``run``, where there is room for it."""
    path = run / _NAME
    with contextlib.suppress(OSError):
        if path.exists() or shutil.disk_usage(run).free < _MIN_FREE_BYTES:
            return
        temporary = path.with_suffix(".tmp")
        # Written, not only allocated: not every file system takes an allocation for a promise.
        with temporary.open("wb") as file:
            for _ in range(_BYTES // len(_BLOCK)):
                file.write(_BLOCK)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)


def drop_ballast(run: Path) -> bool:
    """Give the room back; return whether there was any."""
    with contextlib.suppress(OSError):
        (run / _NAME).unlink()
        return True
    return False
