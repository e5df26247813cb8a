"""What an edit of a dataset does, as data: it can be shown before, carried out, and taken back.

Names of files are relative to the dataset's folder, with forward slashes (``places``).
"""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256

from loratui.domain.formatting import size
from loratui.preflight.draft_marks import FILE_NAME
from loratui_protocol.encodings import guessed, is_utf8
from loratui_protocol.harmless import clean

_LINE_CHARS = 1000


@dataclass(frozen=True, slots=True)
class WriteFile:
    """A text file gets other contents."""

    path: str
    old: bytes
    new: bytes


@dataclass(frozen=True, slots=True)
class CreateFile:
    """There is a new text file."""

    path: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Move:
    """A file has another name, or lies in another folder."""

    path: str
    to: str


@dataclass(frozen=True, slots=True)
class MakeFolder:
    """There is a new folder; the one that it lies in is there."""

    path: str


@dataclass(frozen=True, slots=True)
class Wrote:
    """What is remembered of a text file that got other contents."""

    path: str
    old: bytes
    sha256_after: str


@dataclass(frozen=True, slots=True)
class Created:
    """What is remembered of a new text file."""

    path: str
    sha256_after: str


Change = WriteFile | CreateFile | Move | MakeFolder
Deed = Wrote | Created | Move | MakeFolder
"""A change as it is remembered: what it takes to take it back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Changes that are made and taken back together, in this order; no two of them are of one file."""

    title: str
    changes: tuple[Change, ...]

    def __post_init__(self) -> None:
        names = [name for change in self.changes for name in touched(change)]
        if len(set(names)) < len(names):
            raise ValueError(f"{self.title}: two changes of one file")

    @property
    def files(self) -> tuple[Change, ...]:
        """Return the changes that people care about: no folders, and no marks of drafts."""
        return tuple(change for change in self.changes if not _is_aside(change))


def deed_of(change: Change) -> Deed:
    """Return what is remembered of a change."""
    match change:
        case WriteFile(path, old, new):
            return Wrote(path, old, sha256(new).hexdigest())
        case CreateFile(path, content):
            return Created(path, sha256(content).hexdigest())
    return change


def touched(change: Change | Deed) -> tuple[str, ...]:
    """Return the names that a change takes away or brings."""
    return (change.path, change.to) if isinstance(change, Move) else (change.path,)


def preview(edit: Edit, limit: int | None = None) -> Iterator[str]:
    """Yield lines that show the edit: a unified diff of each text, ``old -> new`` of each move; ``limit`` counts files.

    What marks of drafts become is left out: it follows from the rest.
    """
    shown = edit.files if limit is None else edit.files[:limit]
    for change in shown:
        yield from _lines(change)
    if more := len(edit.files) - len(shown):
        yield f"... and {more} more"


def _is_aside(change: Change) -> bool:
    return isinstance(change, MakeFolder) or change.path.rpartition("/")[2] == FILE_NAME


def _lines(change: Change) -> Iterator[str]:
    match change:
        case WriteFile(path, old, new):
            before, after = _text(old), _text(new)
            if before != after:
                yield from _diff(_shown(path), _shown(path), before, after)
            elif is_utf8(old):
                yield f"{_shown(path)}: {size(len(old))} -> {size(len(new))} for the same text"
            else:
                # Which encoding it was is a guess: whoever wrote the caption sees at once if it is wrong.
                yield f"{_shown(path)}: {size(len(old))} -> {size(len(new))}, read as {clean(after, _LINE_CHARS)!r}"
        case CreateFile(path, content):
            yield from _diff("/dev/null", _shown(path), "", _text(content))
        case Move(path, to):
            yield f"{_shown(path)} -> {_shown(to)}"


def _diff(old_name: str, new_name: str, old: str, new: str) -> Iterator[str]:
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), old_name, new_name, lineterm="")
    return (clean(line, _LINE_CHARS) for line in lines)


def _text(content: bytes) -> str:
    return guessed(content) or ""


def _shown(name: str) -> str:
    return clean(name.replace("\n", " "), _LINE_CHARS)
