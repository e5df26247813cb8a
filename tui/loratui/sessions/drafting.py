"""Lets a model draft the captions of a dataset. A caption of a person stays, unless it is said that it may go."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from loratui.captioning.captioner import Captioner
from loratui.preflight.changes import Edit, WriteFile
from loratui.preflight.draft_marks import Draft, mark, read
from loratui.preflight.edits import apply
from loratui.preflight.safe_files import put
from loratui_protocol.caption_files import CAPTION_EXTENSIONS, MAX_CAPTION_BYTES
from loratui_protocol.dataset_folders import folders, pictures_in
from loratui_protocol.errors import DatasetError, StorageError
from loratui_protocol.harmless import clean


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a picture: a caption was written into ``path``, or ``why`` not; ``is_kept``: it has a person's.

    ``replaces``: a person's caption is still in ``path``, until ``replace_captions``.
    """

    picture: Path
    path: Path | None = None
    caption: str = ""
    why: str = ""
    is_kept: bool = False
    replaces: bool = False


def pictures_of(folder: Path) -> list[Path]:
    """Return the pictures of a dataset, of those that share a caption file the first one.

    Raises:
        DatasetError: the folder is missing or has no pictures.
    """
    found: dict[Path, Path] = {}
    for leaf, _, _ in folders(folder)[0]:
        for picture in pictures_in(leaf):
            found.setdefault(picture.with_suffix(""), picture)
    return list(found.values())


def persons_caption(picture: Path) -> Path | None:
    """Return the caption file of a picture that a person wrote, or has changed since a model did; None: there is none.

    A file with nothing in it is no caption.

    Raises:
        DatasetError: it can't be told which captions are drafts.
    """
    there = [path for each in CAPTION_EXTENSIONS if (path := picture.with_suffix(each)).is_file()]
    drafts = read(picture.parent) if there else {}
    for path in there:
        content = _content(path)
        marked = drafts.get(path.name)
        if content.strip() and (marked is None or marked.sha256 != hashlib.sha256(content).hexdigest()):
            return path
    return None


def draft(picture: Path, captioner: Captioner, trigger: str = "", *, may_replace: bool = False) -> Outcome:
    """Write a caption for a picture, marked as a draft; a picture that can't be read costs no more than its caption.

    ``may_replace``: also think of one where a person wrote one, and leave that there for ``replace_captions``.

    Raises:
        DatasetError: the marks can't be read or written.
        StorageError: the caption can't be written.
    """
    if persons_caption(picture) and not may_replace:
        return Outcome(picture=picture, why="it has a caption of yours", is_kept=True)
    try:
        described = " ".join(clean(captioner.caption(picture)).split())
    except DatasetError as error:
        return Outcome(picture=picture, why=error.what)
    if not described:
        return Outcome(picture=picture, why=f"{captioner.name} has nothing to say of it")
    caption = with_trigger(described, trigger)
    # A model takes seconds, in which somebody may have written one.
    own = persons_caption(picture)
    if own and not may_replace:
        return Outcome(picture=picture, why="it has a caption of yours by now", is_kept=True)
    path = own or picture.with_suffix(CAPTION_EXTENSIONS[0])
    if own is None:
        _put(path, caption, captioner.name)
    return Outcome(picture=picture, path=path, caption=caption, replaces=own is not None)


def replace_captions(folder: Path, outcomes: Iterable[Outcome], by: str) -> Path | None:
    """Put drafts into the place of a person's captions, all together, once there are all; errors as in ``draft``.

    Return the record with which ``preflight.edits.undo`` takes it back; None: there was nothing to replace.
    """
    root = folder.resolve()
    changes = []
    for each in outcomes:
        if each.replaces and each.path is not None:
            path = each.path.resolve()
            new = _text(each.caption)
            mark(path.parent, {path.name: _marked(new, by)})
            changes.append(WriteFile(path.relative_to(root).as_posix(), _content(path), new))
    return apply(Edit(title=f"captions replaced by {by}'s drafts", changes=tuple(changes)), root) if changes else None


def with_trigger(caption: str, trigger: str) -> str:
    """Return the caption with the trigger in front, and as a tag there alone."""
    if not trigger:
        return caption
    others = [tag for tag in caption.split(",") if tag.strip().casefold() != trigger.casefold()]
    return f"{trigger}, {','.join(others).strip()}" if others else trigger


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_CAPTION_BYTES + 1)
    except OSError as error:
        raise DatasetError(
            f"the caption file {path} can't be read: {error.strerror or error}",
            fix="check its permissions",
            code="dataset.unreadable",
        ) from error


def _text(caption: str) -> bytes:
    return f"{caption}\n".encode()


def _marked(content: bytes, by: str) -> Draft:
    today = datetime.now().astimezone().date().isoformat()
    return Draft(by=by, sha256=hashlib.sha256(content).hexdigest(), at=today)


def _put(path: Path, caption: str, by: str) -> None:
    """Write a draft in one piece, marked first: whatever comes between, it does not pass for a person's caption."""
    content = _text(caption)
    mark(path.parent, {path.name: _marked(content, by)})
    try:
        put(path, content)
    except OSError as error:
        raise StorageError(
            f"{path} can't be written: {error.strerror or error}",
            fix="check the folder's permissions and the room on its disk",
            code="disk.unwritable",
        ) from error
