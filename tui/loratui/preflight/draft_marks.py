"""Which captions a model drafted and nobody has read yet: a small file in the folder of the pictures says so.

``{"version": 1, "drafts": {"a.txt": {"by": "wd14", "sha256": "<of the caption's file>", "at": "2026-11-28"}}}``. A
caption that was changed since is a person's, whatever the file says.
"""

import hashlib
import json
import stat
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from loratui.preflight.safe_files import put
from loratui_protocol.caption_files import MAX_CAPTION_BYTES
from loratui_protocol.errors import DatasetError
from loratui_protocol.harmless import clean

FILE_NAME = ".loratui-captions.json"
_VERSION = 1
_MAX_BYTES = 16 << 20
"""A hundred thousand drafts."""
_MAX_TEXT_CHARS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A caption as a model wrote it: which one, the sha256 of the file's bytes, and the day as ISO 8601."""

    by: str
    sha256: str
    at: str


def read(folder: Path) -> dict[str, Draft]:
    """Return the drafts of a folder by the names of their caption files, read or not, edited or not.

    Raises:
        DatasetError: there is a file of marks, and it is none that can be read.
    """
    path = folder / FILE_NAME
    try:
        facts = path.lstat()
    except OSError:
        return {}
    # What waits for a writer, or has no end, is never opened.
    if not stat.S_ISREG(facts.st_mode):
        raise _unreadable(path, "it is no file")
    if facts.st_size > _MAX_BYTES:
        raise _unreadable(path, f"it has {facts.st_size} bytes")
    try:
        document = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, clean(str(error), _MAX_TEXT_CHARS)) from error
    if not isinstance(document, dict) or document.get("version") != _VERSION:
        raise _unreadable(path, "it is of another version")
    drafts = document.get("drafts")
    if not isinstance(drafts, dict):
        raise _unreadable(path, "it has no drafts")
    return {name: draft for name, each in drafts.items() if _is_name(name) and (draft := _draft(each))}


def unreviewed(folder: Path) -> dict[str, Draft]:
    """Return the drafts whose caption files are still as the model wrote them; errors as in ``read``."""
    return {name: draft for name, draft in read(folder).items() if _sha256(folder / name) == draft.sha256}


def mark(folder: Path, drafts: Mapping[str, Draft]) -> None:
    """Mark captions, by the names of their files, as drafts; others stay as they are.

    Raises:
        DatasetError: the marks there are can't be read, or no new ones be written.
    """
    _write(folder, {**read(folder), **drafts})


def review(folder: Path, names: Iterable[str]) -> None:
    """Take the marks off captions that a person has read, and off those that are gone; errors as in ``mark``."""
    marked = read(folder)
    read_now = set(names)
    left = {name: draft for name, draft in marked.items() if name not in read_now and (folder / name).is_file()}
    if left != marked:
        _write(folder, left)


def file_of(drafts: Mapping[str, Draft]) -> bytes:
    """Return what a file of these marks holds."""
    fields = {name: asdict(drafts[name]) for name in sorted(drafts)}
    return json.dumps({"version": _VERSION, "drafts": fields}, indent=1).encode("ascii") + b"\n"


def _draft(fields: Any) -> Draft | None:
    match fields:
        case {"by": str(by), "sha256": str(sha256), "at": str(at)}:
            return Draft(by=clean(by, _MAX_TEXT_CHARS), sha256=sha256, at=clean(at, _MAX_TEXT_CHARS))
    return None


def _is_name(name: str) -> bool:
    """Return whether it can only be a file in the folder itself."""
    return name not in ("", ".", "..") and not {"/", "\\", "\0"}.intersection(name) and ":" not in name


def _sha256(path: Path) -> str:
    try:
        if not path.is_file() or path.stat().st_size > MAX_CAPTION_BYTES:
            return ""
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError):
        return ""


def _write(folder: Path, drafts: Mapping[str, Draft]) -> None:
    path = folder / FILE_NAME
    try:
        if drafts:
            put(path, file_of(drafts))
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise DatasetError(
            f"{path} can't be written ({error.strerror or error}): drafts would pass for captions of yours",
            fix="check the folder's permissions and the room on its disk",
            code="caption.draft_marks",
        ) from error


def _unreadable(path: Path, why: str) -> DatasetError:
    return DatasetError(
        f"{path} can't be read ({why}): which captions are unread drafts is not known",
        fix="remove it; every caption then counts as yours",
        code="caption.draft_marks",
    )
