"""The records that edits are taken back by: JSON files in the dataset, numbered, of which the newest are kept.

A record holds what each text was, and the sha256 of each before and after. It may come with a dataset from a stranger:
its size is looked at before it is read, and its names are checked where they are used (``places``).
"""

import base64
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from loratui.preflight.changes import Created, Deed, Edit, MakeFolder, Move, Wrote, deed_of
from loratui.preflight.places import UNDO_FOLDER
from loratui.preflight.safe_files import create, sync_folder
from loratui_protocol.errors import DatasetError, StorageError
from loratui_protocol.harmless import clean

MAX_RECORDS = 50
_MAX_RECORD_BYTES = 64 << 20
_NAME = re.compile(r"\d{8}T\d{6}Z-(\d{1,9})-[a-z0-9-]{0,40}(\.json|\.left\.json)")
_TITLE_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An edit that was made, or begun."""

    path: Path
    title: str
    deeds: tuple[Deed, ...]


def write_record(root: Path, edit: Edit) -> Path:
    """Write the record of an edit that is about to be made, so that it survives whatever happens then.

    Raises:
        DatasetError: it would be too large to be read again.
    """
    document = {
        "version": 1,
        "title": edit.title,
        "changes": [_fields(deed_of(change)) for change in edit.changes],
    }
    content = json.dumps(document, indent=1).encode("ascii") + b"\n"
    if len(content) > _MAX_RECORD_BYTES:
        raise DatasetError(
            f"{edit.title}: what {len(edit.changes)} files were does not fit into a record of "
            f"{_MAX_RECORD_BYTES >> 20} MiB",
            fix="edit fewer files at a time",
            code="edit.too_large",
        )
    folder = root / UNDO_FOLDER
    number = max((_number(path) for path in _files(root)), default=0) + 1
    slug = re.sub(r"[^a-z0-9]+", "-", edit.title.lower())[:40].strip("-")
    # The number decides which is the newest: a clock may go back.
    path = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{number:04}-{slug}.json"
    create(path, content, folder)
    sync_folder(folder)
    sync_folder(root)
    return path


def newest(root: Path) -> Record | None:
    """Return the record of the last edit that was not taken back.

    Raises:
        StorageError: it is no record that can be read.
    """
    path = max(records(root), key=_number, default=None)
    if path is None:
        return None
    try:
        title, deeds = _read(path)
        return Record(path=path, title=title, deeds=deeds)
    except (OSError, ValueError, RecursionError) as error:
        raise StorageError(
            f"{path} can't be read ({clean(str(error), _TITLE_CHARS)}): what it would take back stays as it is",
            fix="remove it; older edits can then be taken back",
            code="edit.record",
        ) from error


def _read(path: Path) -> tuple[str, tuple[Deed, ...]]:
    if path.is_symlink() or not path.is_file() or path.stat().st_size > _MAX_RECORD_BYTES:
        raise ValueError("no file of a usual size")
    match json.loads(path.read_bytes()):
        case {"version": 1, "title": str(title), "changes": list(changes)}:
            return clean(title, _TITLE_CHARS), tuple(_deed(fields) for fields in changes)
    raise ValueError("no record of this version")


def put_aside(record: Record) -> Path:
    """Keep a record of which something could not be taken back, where the next one to be taken back is not it."""
    left = record.path.with_suffix(".left.json")
    record.path.replace(left)
    return left


def forget_old(root: Path) -> None:
    """Remove all but the newest ``MAX_RECORDS``."""
    for path in sorted(_files(root), key=_number)[:-MAX_RECORDS]:
        path.unlink(missing_ok=True)


def has_records(root: Path) -> bool:
    """Return whether there is an edit that can be taken back."""
    return bool(records(root))


def records(root: Path) -> set[Path]:
    """Return the records of the edits that can be taken back."""
    return {path for path in _files(root) if not _is_left(path)}


def _files(root: Path) -> list[Path]:
    folder = root / UNDO_FOLDER
    if folder.is_symlink() or not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]


def _number(path: Path) -> int:
    found = _NAME.fullmatch(path.name)
    return int(found[1]) if found else 0


def _is_left(path: Path) -> bool:
    return path.name.endswith(".left.json")


def _fields(deed: Deed) -> dict[str, Any]:
    match deed:
        case Wrote(path, old, after):
            before = sha256(old).hexdigest()
            return {"did": "write", "path": path, "sha256_before": before, "sha256_after": after, **_contents(old)}
        case Created(path, after):
            return {"did": "create", "path": path, "sha256_after": after}
        case Move(path, to):
            return {"did": "move", "path": path, "to": to}
        case MakeFolder(path):
            return {"did": "make_folder", "path": path}


def _contents(old: bytes) -> dict[str, str]:
    """Return a text as it can be read in the record, or bytes that are none in letters."""
    try:
        return {"old": old.decode()}
    except UnicodeDecodeError:
        return {"old_base64": base64.b64encode(old).decode()}


def _deed(fields: Any) -> Deed:
    match fields:
        case {"did": "write", "path": str(path), "sha256_after": str(after), "sha256_before": str(before)}:
            text, coded = fields.get("old"), str(fields.get("old_base64"))
            old = text.encode() if isinstance(text, str) else base64.b64decode(coded, validate=True)
            if sha256(old).hexdigest() != before:
                raise ValueError(f"{path} was something else before")
            return Wrote(path, old, after)
        case {"did": "create", "path": str(path), "sha256_after": str(after)}:
            return Created(path, after)
        case {"did": "move", "path": str(path), "to": str(to)}:
            return Move(path, to)
        case {"did": "make_folder", "path": str(path)}:
            return MakeFolder(path)
    raise ValueError("a change that is not known")
