"""Copies a LoRA to where a program looks for it: whole, hashed again, and never over something else."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from loratui.sessions.export import export
from loratui_protocol.errors import StorageError

State = Literal["copied", "renamed", "there"]


@dataclass(frozen=True, slots=True)
class Installed:
    """Where a file is now; ``renamed``: another one has its name there, and it got a number."""

    source: Path
    path: Path
    sha256: str
    state: State


def install_file(source: Path, folder: Path) -> Installed:
    """Copy a file into the folder, which is made where it isn't there.

    Raises:
        StorageError: it can't be read or written (``install.unreadable``, ``export.failed``), or what was written is
            not what was read (``install.damaged``), and is removed again.
    """
    try:
        before = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
        sha256 = _sha256(source)
    except OSError as error:
        raise StorageError(f"{source} can't be copied: {error.strerror}", code="install.unreadable") from error
    path = export(source, sha256, folder)
    if path.name in before:
        return Installed(source, path, sha256, "there")
    if _sha256(path) != sha256:
        path.unlink()
        raise StorageError(
            f"{path} was written, and is not what {source} is: it was removed again",
            fix="see that the file is not being written, and that the disk is sound; then install it again",
            code="install.damaged",
        )
    return Installed(source, path, sha256, "copied" if path.name == source.name else "renamed")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
