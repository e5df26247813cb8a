"""Copies of finished files for the user, in the folder that the config names; what is there already stays."""

import hashlib
import os
import shutil
from pathlib import Path

from loratui.domain.local_names import numbered
from loratui_protocol.errors import ConfigError, StorageError
from loratui_protocol.messages import ArtifactKind

EXPORTED_KINDS = (
    ArtifactKind.LORA,
    ArtifactKind.CHECKPOINT_LORA,
    ArtifactKind.CONTACT_SHEET,
    ArtifactKind.EVALUATION,
)


def output_folder(config_toml: str) -> Path | None:
    """Return the folder that a resolved config wants finished files in."""
    from loratui_protocol.config_file import parse_config

    try:
        folder = parse_config(config_toml, Path.cwd()).config.output_dir
    except ConfigError:
        # The agent says what is wrong with it.
        return None
    return Path(folder) if folder else None


def export(source: Path, sha256: str, folder: Path) -> Path:
    """Copy the verified file into ``folder`` and return the copy, complete or not there at all.

    A different file of that name is left alone and the copy gets a number; the same one is the copy.

    Raises:
        StorageError: the folder can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        number, target = 2, folder / source.name
        while not _placed(source, sha256, target):
            number, target = number + 1, folder / numbered(source.name, number)
    except OSError as error:
        raise StorageError(
            f"{source.name} could not be copied to {folder}: {error.strerror}",
            fix=f"it is at {source}",
            code="export.failed",
        ) from error
    return target


def _placed(source: Path, sha256: str, target: Path) -> bool:
    """Return whether ``target`` now is, or was before, a copy of the source."""
    if os.path.lexists(target):
        return target.is_file() and target.stat().st_size == source.stat().st_size and _sha256(target) == sha256
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with source.open("rb") as reader, unfinished.open("wb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
            writer.flush()
            os.fsync(writer.fileno())
        return _named(unfinished, target)
    finally:
        unfinished.unlink(missing_ok=True)


def _named(unfinished: Path, target: Path) -> bool:
    """Give the file its name unless that is taken: a link, other than a rename, never replaces anything."""
    try:
        target.hardlink_to(unfinished)
    except FileExistsError:
        return False
    except OSError:
        # A file system without links, as on memory sticks.
        unfinished.rename(target)
    return True


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
