"""Writes files that were not there before: what a person has is never written over."""

import os
from pathlib import Path

from loratui_protocol.errors import StorageError


def write_new(path: Path, text: str, newline: str = "\n") -> bool:
    """Write a file whole, and return True; False if there is something under its name already.

    Raises:
        StorageError: it can't be written; nothing of it is left then.
    """
    try:
        file = path.open("x", encoding="utf-8", newline=newline)
    except FileExistsError:
        return False
    except OSError as error:
        raise _unwritten(path, error) from error
    try:
        with file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _unwritten(path, error) from error
        raise
    return True


def _unwritten(path: Path, error: OSError) -> StorageError:
    what = f"{path} can't be written: {error.strerror or error}"
    return StorageError(what, fix="name another place, or make room there", code="disk.write")
