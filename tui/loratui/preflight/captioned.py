"""The pictures of a dataset's folder with the caption files that lie beside them, as edits need them."""

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from loratui.preflight.places import opened
from loratui_protocol.caption_files import CAPTION_EXTENSIONS, MAX_CAPTION_BYTES
from loratui_protocol.dataset_folders import folders, pictures_in
from loratui_protocol.errors import DatasetError
from loratui_protocol.harmless import clean

_NAMES_SHOWN = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Captioned:
    """A picture, its caption's file (None: it has none), and what it is told to be without one."""

    picture: Path
    caption: Path | None
    class_tokens: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """The pictures that are trained of a folder, which is given by its real path, and the extension of new captions."""

    root: Path
    all: tuple[Captioned, ...]
    extension: str
    is_leaf: bool = False
    """Whether they lie in the folder itself, whatever its name and whatever is in it."""

    @property
    def folders(self) -> list[Path]:
        """Return the folders that they lie in."""
        return list(dict.fromkeys(each.picture.parent for each in self.all))

    @property
    def caption_files(self) -> list[Path]:
        """Return the files, each once: pictures whose names differ only in their ends share theirs."""
        return list(dict.fromkeys(each.caption for each in self.all if each.caption is not None))

    @property
    def uncaptioned(self) -> dict[Path, str]:
        """Return where captions are missing, and what is read there instead."""
        return {each.picture.with_suffix(self.extension): each.class_tokens for each in self.all if not each.caption}

    def name(self, path: Path) -> str:
        """Return the name that an edit has for a file."""
        return path.relative_to(self.root).as_posix()


def captioned_pictures(folder: Path, caption_extension: str | None = None, *, is_leaf: bool = False) -> Pictures:
    """Return the pictures under a folder, numbered or flat.

    A config's ``image_dir`` is a leaf. ``caption_extension`` None means each of ``CAPTION_EXTENSIONS``; the one that
    most captions have is for new ones.

    Raises:
        DatasetError: the folder is missing, has no pictures, or can't be read.
    """
    root = opened(folder)
    extensions = (caption_extension,) if caption_extension else CAPTION_EXTENSIONS
    try:
        found = [
            Captioned(picture=picture, caption=_caption_of(picture, extensions), class_tokens=class_tokens)
            for inside, _, class_tokens in ([(root, 1, "")] if is_leaf else folders(root)[0])
            for picture in pictures_in(inside)
        ]
    except OSError as error:
        raise DatasetError(
            f"the folder {folder} can't be read: {error}", fix="check its permissions", code="dataset.unreadable"
        ) from error
    used = Counter(each.caption.suffix for each in found if each.caption)
    extension = used.most_common(1)[0][0] if used else extensions[0]
    return Pictures(root=root, all=tuple(found), extension=extension, is_leaf=is_leaf)


def caption_texts(files: Iterable[Path]) -> dict[Path, tuple[bytes, str]]:
    """Return the bytes and the text of each file.

    Raises:
        DatasetError: one is too large for a caption, is no UTF-8, or can't be read.
    """
    texts, foreign = {}, []
    for path in files:
        content = caption_bytes(path)
        try:
            texts[path] = content, content.decode("utf-8-sig")
        except UnicodeDecodeError:
            foreign.append(path)
    if foreign:
        raise DatasetError(
            f"{len(foreign)} captions are not UTF-8 text: nothing was changed (first: {named(foreign)})",
            fix=f"loratui check {shlex.quote(str(foreign[0].parent))} --fix writes them anew",
            code="dataset.caption_encoding",
        )
    return texts


def caption_bytes(path: Path) -> bytes:
    """Return what is in a caption's file; errors as in ``caption_texts``."""
    try:
        if path.stat().st_size <= MAX_CAPTION_BYTES:
            return path.read_bytes()
    except OSError as error:
        raise DatasetError(
            f"the caption file {path} can't be read: {error.strerror or error}",
            fix="check its permissions",
            code="dataset.unreadable",
        ) from error
    raise DatasetError(
        f"the caption file {path} has {path.stat().st_size} bytes; {MAX_CAPTION_BYTES} is the limit",
        fix="put a sentence or some tags there",
        code="dataset.caption_too_long",
    )


def named(paths: Sequence[Path]) -> str:
    """Return the names of the first few files."""
    return ", ".join(clean(path.name, 80) for path in paths[:_NAMES_SHOWN])


def _caption_of(picture: Path, extensions: Iterable[str]) -> Path | None:
    return next((path for ext in extensions if (path := picture.with_suffix(ext)).is_file()), None)
