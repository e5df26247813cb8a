"""Writes a file of the report whole, or not at all."""

import errno
from pathlib import Path

from loratui_protocol.errors import StorageError

_FULL = (errno.ENOSPC, errno.EDQUOT)


def write_whole(path: Path, content: bytes, *, called: str, aside: str = "", again: str) -> None:
    """Write the file, which errors speak of as ``called``; ``aside`` is what they add, ``again`` the command to repeat.

    Raises:
        StorageError: it can't be written; what was there before stays.
    """
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        first = "free some space" if error.errno in _FULL else "correct the path or its permissions"
        raise StorageError(
            f"the {called} {path} can't be written: {error.strerror}{aside}",
            fix=f"{first}, then: {again}",
            code="report.write",
        ) from error
