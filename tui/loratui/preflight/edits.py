"""Makes edits of a dataset and takes them back, whatever ends the program in between.

The record with all that was there before is on disk before the first change. To take an edit back, each of its changes
is looked at by itself: one that was not made yet needs nothing, and a file that somebody changed since stays theirs.
"""

import errno
import hashlib
import os
import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

from loratui.preflight import safe_files
from loratui.preflight.changes import (
    Change,
    Created,
    CreateFile,
    Deed,
    Edit,
    MakeFolder,
    Move,
    WriteFile,
    Wrote,
    deed_of,
    touched,
)
from loratui.preflight.places import UNDO_FOLDER, check_inside, located, opened
from loratui.preflight.undo_records import forget_old, newest, put_aside, write_record
from loratui_protocol.errors import DatasetError, LoratuiError, StorageError
from loratui_protocol.harmless import clean

_NAMES_SHOWN = 3
_NAME_CHARS = 200
_IN_THE_WAY = (errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR)
"""What a file system answers where somebody has put, moved or removed something."""


class _Stands(Enum):
    """How far a change has come."""

    BEFORE = auto()
    HALF = auto()
    AFTER = auto()
    CHANGED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Undone:
    """What became of an edit that was taken back."""

    title: str
    num_restored: int
    left: tuple[str, ...]
    """Files and folders that stay as they are, because somebody changed them since."""
    record: Path | None
    """Where it says what was in them before; None: nothing was left."""


def apply(edit: Edit, folder: Path, told: Callable[[int], None] = lambda _: None) -> Path:
    """Make an edit and return the record of it; ``told`` hears how many changes are made.

    Raises:
        DatasetError: a file is not as it was when the edit was made up, a name is taken or leads out of the folder.
            Nothing was changed.
        StorageError: the disk does not take it. All is as before, or the message says how that is to be had.
    """
    root = opened(folder)
    _check_ready(root, edit.title, edit.changes)
    deeds = [deed_of(change) for change in edit.changes]
    scratch = _made_scratch(root)
    record: Path | None = None
    try:
        safe_files.sweep(scratch)
        record = write_record(root, edit)
        try:
            for number, change in enumerate(edit.changes, 1):
                # Somebody may be at work in the folder.
                _check_ready(root, edit.title, [change])
                _make(root, change, scratch)
                told(number)
            _sync(root, deeds)
        except BaseException:
            if not _taken_back(root, deeds, scratch)[1]:
                record.unlink()
            raise
        forget_old(root)
    except OSError as error:
        is_whole = record is None or not record.exists()
        outcome = (
            "nothing was changed"
            if is_whole
            else f"take back what was done: loratui caption {shlex.quote(str(folder))} --undo"
        )
        raise _failed(edit.title, error, outcome) from error
    finally:
        _leave_nothing(scratch)
    return record


def undo(folder: Path) -> Undone | None:
    """Take back the newest edit; None if there is none.

    Raises:
        DatasetError: the record names files that are not in the dataset; nothing was changed.
        StorageError: the record is damaged, or the disk does not take it; the same again goes on from there.
    """
    root = opened(folder)
    scratch = root / UNDO_FOLDER
    record = newest(root)
    if record is None:
        _leave_nothing(scratch)
        return None
    for deed in record.deeds:
        check_inside(root, *touched(deed))
    try:
        num_restored, left = _taken_back(root, record.deeds, scratch)
        _sync(root, record.deeds)
        aside = put_aside(record) if left else None
        if not left:
            record.path.unlink()
        safe_files.sync_folder(scratch)
    except OSError as error:
        raise _failed(record.title, error, "a part of it may be taken back already") from error
    finally:
        _leave_nothing(scratch)
    return Undone(title=record.title, num_restored=num_restored, left=left, record=aside)


def _check_ready(root: Path, title: str, changes: Sequence[Change]) -> None:
    made = {change.path for change in changes if isinstance(change, MakeFolder)}
    wrong = []
    for change in changes:
        name = touched(change)[-1]
        is_placed = name.rpartition("/")[0] in made or located(root, name).parent.is_dir()
        if not is_placed or _stands(root, deed_of(change)) is not _Stands.BEFORE:
            wrong.append(clean(change.path, _NAME_CHARS))
    if wrong:
        raise DatasetError(
            f"{title}: nothing was changed, because {len(wrong)} files are not as they were looked at, or their new "
            f"names are taken (first: {', '.join(wrong[:_NAMES_SHOWN])})",
            fix="run it again, and look at what it shows",
            code="edit.changed",
        )


def _stands(root: Path, deed: Deed) -> _Stands:
    path = located(root, deed.path)
    match deed:
        case Wrote(_, old, after):
            found = _sha256(path)
            if found == after:
                return _Stands.AFTER
            return _Stands.BEFORE if found == hashlib.sha256(old).hexdigest() else _Stands.CHANGED
        case Created(_, after):
            if not os.path.lexists(path):
                return _Stands.BEFORE
            return _Stands.AFTER if _sha256(path) == after else _Stands.CHANGED
        case MakeFolder():
            if not os.path.lexists(path):
                return _Stands.BEFORE
            return _Stands.AFTER if path.is_dir() else _Stands.CHANGED
        case Move(_, to):
            return _move_stands(path, located(root, to))


def _move_stands(source: Path, target: Path) -> _Stands:
    there, here = os.path.lexists(source), os.path.lexists(target)
    if there and here and safe_files.is_respelling(source, target):
        here = target in target.parent.iterdir()
        there = not here
    if there and here:
        return _Stands.HALF if source.is_file() and source.samefile(target) else _Stands.CHANGED
    if there:
        return _Stands.BEFORE
    return _Stands.AFTER if here else _Stands.CHANGED


def _make(root: Path, change: Change, scratch: Path) -> None:
    path = located(root, change.path)
    match change:
        case WriteFile(_, _, new):
            safe_files.write_over(path, new, scratch)
        case CreateFile(_, content):
            safe_files.create(path, content, scratch)
        case Move(_, to):
            safe_files.move(path, located(root, to))
        case MakeFolder():
            path.mkdir()


def _taken_back(root: Path, deeds: Sequence[Deed], scratch: Path) -> tuple[int, tuple[str, ...]]:
    """Take back what was made of an edit, the last first; return how many changes, and the names of what is left."""
    num_restored, left = 0, []
    for deed in reversed(deeds):
        try:
            stands = _stands(root, deed)
            if stands is _Stands.CHANGED:
                left.append(touched(deed)[-1])
            elif stands is not _Stands.BEFORE:
                _take_back(root, deed, stands, scratch)
                num_restored += 1
        except OSError as error:
            if error.errno not in _IN_THE_WAY:
                raise
            left.append(touched(deed)[-1])
        except DatasetError:
            # Somebody put a link in its place.
            left.append(touched(deed)[-1])
    return num_restored, tuple(reversed(left))


def _take_back(root: Path, deed: Deed, stands: _Stands, scratch: Path) -> None:
    path = located(root, deed.path)
    match deed:
        case Wrote(_, old, _):
            safe_files.write_over(path, old, scratch)
        case Created():
            path.unlink()
        case MakeFolder():
            path.rmdir()
        case Move(_, to) if stands is _Stands.HALF:
            located(root, to).unlink()
        case Move(_, to):
            safe_files.move(located(root, to), path)


def _sha256(path: Path) -> str:
    """Return the hash of a file; nothing of what is none, or is gone."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        if error.errno not in _IN_THE_WAY:
            raise
        return ""


def _made_scratch(root: Path) -> Path:
    scratch = root / UNDO_FOLDER
    if scratch.is_symlink():
        raise DatasetError(f"{scratch} is a link", fix="remove it", code="edit.link")
    try:
        scratch.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise _failed("the record", error, "nothing was changed") from error
    return scratch


def _sync(root: Path, deeds: Iterable[Deed]) -> None:
    names = {name for deed in deeds for name in touched(deed)}
    for folder in {(root / name).parent for name in names}:
        if folder.is_dir():
            safe_files.sync_folder(folder)


def _leave_nothing(scratch: Path) -> None:
    """Remove what is unfinished, and the folder if there are no records in it."""
    if scratch.is_symlink():
        return
    try:
        safe_files.sweep(scratch)
        scratch.rmdir()
    except OSError:
        return


def _failed(what: str, error: OSError, outcome: str) -> LoratuiError:
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return StorageError(
        f"{what}: {error.filename or 'the disk'}: {error.strerror or error}; {outcome}",
        fix="free space on the disk of the dataset" if is_full else "check the permissions of the dataset's folders",
        code="disk.full" if is_full else "edit.failed",
    )
