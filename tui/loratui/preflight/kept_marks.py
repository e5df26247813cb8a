"""Keeps drafts marked while edits change and move their files: no bulk edit is somebody's reading of them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from loratui.preflight.changes import Change, CreateFile, Move, WriteFile
from loratui.preflight.draft_marks import FILE_NAME, Draft, file_of, read, unreviewed


def with_marks(root: Path, changes: Sequence[Change]) -> tuple[Change, ...]:
    """Return the changes and those of the marks that go with them; errors as in ``draft_marks.read``."""
    before: dict[str, dict[str, Draft]] = {}
    after: dict[str, dict[str, Draft]] = {}

    def marks(folder: str) -> dict[str, Draft]:
        if folder not in after:
            before[folder] = read(root / folder)
            after[folder] = dict(before[folder])
        return after[folder]

    for change in changes:
        folder, name = _split(change.path)
        draft = marks(folder).get(name)
        if draft is None:
            continue
        if isinstance(change, WriteFile) and draft.sha256 == sha256(change.old).hexdigest():
            marks(folder)[name] = replace(draft, sha256=sha256(change.new).hexdigest())
        elif isinstance(change, Move):
            target, new_name = _split(change.to)
            del marks(folder)[name]
            marks(target)[new_name] = draft
    changed = [folder for folder in after if after[folder] != before[folder]]
    return (*changes, *(_change(root, folder, after[folder]) for folder in changed))


def reviewed(root: Path, folders: Iterable[Path]) -> tuple[Change, ...]:
    """Return the changes that take the marks off all drafts in these folders; errors as in ``draft_marks.read``."""
    return tuple(_change(root, folder.relative_to(root).as_posix(), {}) for folder in folders if unreviewed(folder))


def _change(root: Path, folder: str, marks: dict[str, Draft]) -> Change:
    name = FILE_NAME if folder in ("", ".") else f"{folder}/{FILE_NAME}"
    path = root / name
    return WriteFile(name, path.read_bytes(), file_of(marks)) if path.exists() else CreateFile(name, file_of(marks))


def _split(name: str) -> tuple[str, str]:
    folder, _, file = name.rpartition("/")
    return folder, file
