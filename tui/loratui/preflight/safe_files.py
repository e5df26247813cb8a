"""Files that are never half there and never put over others. What is unfinished lies in a scratch folder of its own."""

import os
import secrets
import stat
import sys
from pathlib import Path

_UNFINISHED = ".tmp"


def write_over(path: Path, content: bytes, scratch: Path) -> None:
    """Replace what a file holds; who may read it stays."""
    unfinished = _written(content, scratch)
    unfinished.chmod(stat.S_IMODE(path.stat().st_mode))
    unfinished.replace(path)


def put(path: Path, content: bytes) -> None:
    """Write a file for this user alone, in one piece: whatever comes between, it holds all of this or what it did."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}{_UNFINISHED}")
    try:
        unfinished.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(unfinished, flags, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def create(path: Path, content: bytes, scratch: Path) -> None:
    """Write a file that is not there yet.

    Raises:
        FileExistsError: it is.
    """
    unfinished = _written(content, scratch)
    try:
        move(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def move(source: Path, target: Path) -> None:
    """Give a file or folder another name.

    Killed in between, a file has both names for once. Raises:
        FileExistsError: something has the name already.
    """
    if is_respelling(source, target):
        source.rename(target)
    elif source.is_dir() or not _linked(source, target):
        # Links are what never replaces anything; a memory stick may have none.
        if os.path.lexists(target):
            raise FileExistsError(f"{target} is there already")
        source.rename(target)
    else:
        source.unlink()


def is_respelling(one: Path, other: Path) -> bool:
    """Return whether two names that differ are one file's: where case, or the way of an accent, does not count."""
    if one.parent != other.parent or not (one.exists() and other.exists()):
        return False
    return one.samefile(other) and len({one, other}.intersection(one.parent.iterdir())) == 1


def sync_folder(folder: Path) -> None:
    """Make a folder's list of names survive a crash of the machine."""
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sweep(scratch: Path) -> None:
    """Remove what was left unfinished."""
    for path in scratch.glob(f"*{_UNFINISHED}"):
        path.unlink(missing_ok=True)


def _written(content: bytes, scratch: Path) -> Path:
    path = scratch / f"{secrets.token_hex(8)}{_UNFINISHED}"
    try:
        with path.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def _linked(source: Path, target: Path) -> bool:
    """Give the file a second name; return False where there are no links."""
    try:
        target.hardlink_to(source)
    except FileExistsError:
        raise
    except OSError:
        return False
    return True
