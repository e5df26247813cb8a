"""Knows what must never be opened: a named pipe waits for somebody to write into it, and a device may have no end."""

import stat
from collections.abc import Callable
from pathlib import Path

_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def special(path: Path) -> str:
    """Return what a path names that is neither a file nor a folder; empty: it is one of these, or nothing is there."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return "a link to nothing" if _is_link(path) else ""
    return next((kind for is_kind, kind in _KINDS if is_kind(mode)), "")


def check_no_special(path: Path) -> None:
    """Return if the path may be opened.

    Raises:
        OSError: it is a pipe, a socket or a device.
    """
    if (kind := special(path)) and path.exists():
        raise OSError(f"it is {kind}, no file")


def _is_link(path: Path) -> bool:
    try:
        return path.is_symlink()
    except (OSError, ValueError):
        return False
