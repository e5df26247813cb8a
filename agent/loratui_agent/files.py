"""Files that are never half there: temporary name, fsync, rename, fsync of the folder. Imports no torch."""

import errno
import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from loratui_agent.ballast import drop_ballast
from loratui_agent.disk_wait import disk_wait
from loratui_protocol.errors import LoratuiError, StorageError

log = logging.getLogger(__name__)


def sha256_of(path: Path) -> str:
    """Return the file's sha256 in hex, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fsync_path(path: Path) -> None:
    """Make a file's content, or a folder's list of names, survive a crash of the machine."""
    with disk_wait():
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then put it in place.

    Raises:
        StorageError: the disk is full; ``path`` is as it was before and nothing half-written is left.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with disk_wait():
            write(temporary)
            fsync_path(temporary)
            temporary.replace(path)
            fsync_path(path.parent)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        full = disk_full_error(error, path)
        if full is not None:
            raise full from error
        raise


def write_json(path: Path, content: object) -> None:
    """Write ``content`` as JSON, atomically."""
    write_text(path, json.dumps(content, indent=1, sort_keys=True) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write ``text`` in UTF-8, atomically; errors as in ``write_atomically``."""

    def write(temporary: Path) -> None:
        temporary.write_text(text, "utf-8")

    write_atomically(path, write)


def with_ballast(run: Path, write: Callable[[], None]) -> None:
    """Write what must not be lost: on a full disk once more, in the room that was kept in the home's folder ``run``.

    Raises:
        StorageError: the disk is full, and there was none.
    """
    try:
        write()
    except StorageError as error:
        if error.code != "disk.full" or not drop_ballast(run):
            raise
        log.warning("the ballast is spent: %s", error.what)
        write()


@contextmanager
def full_disk_named(path: Path) -> Iterator[None]:
    """Do what writes to ``path``.

    Raises:
        StorageError: the disk is full.
    """
    try:
        yield
    except OSError as error:
        full = disk_full_error(error, path)
        if full is not None:
            raise full from error
        raise


def disk_full_error(error: BaseException, path: Path) -> LoratuiError | None:
    """Return the error to raise when ``error`` means that the disk of ``path`` is full, else None.

    safetensors reports a full disk in the text of an exception of its own.
    """
    is_full = (isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)) or "os error 28" in str(
        error
    )
    if not is_full:
        return None
    free_mib = shutil.disk_usage(path.parent).free >> 20
    return StorageError(
        f"the disk is full: {path.name} could not be written, {free_mib} MiB are free. Earlier saves are intact.",
        fix=f"free space on the disk of {path.parent}, then resume the run",
        code="disk.full",
    )
