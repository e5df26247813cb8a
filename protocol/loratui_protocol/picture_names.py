"""Pictures under names that are not read: without an extension, with a space at the end, or with an odd one."""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from loratui_protocol.findings import Finding
from loratui_protocol.harmless import clean

PICTURE_EXTENSIONS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
_HEAD_BYTES = 18
_NOT_OPENED = (*PICTURE_EXTENSIONS, ".txt", ".caption", ".json", ".npz", ".bak", ".orig", ".old", ".thm", ".part")
"""Names that are read, what lies beside pictures by the thousand, and ends of copies, previews and half downloads."""
_NAMES_SHOWN = 3
_NAME_CHARS = 80
_ODD = re.compile(
    r"\.(jpe?g|png|webp|bmp|jfif|jpe|pjpeg|pjp|dib|heic|heif|avif|gif|tiff?)(?![a-z0-9]{2})[^.]*$", re.IGNORECASE
)
"""An extension of a picture, whatever a site put after it: ``.jpg_large``, ``.jpg!d``, ``.jpeg?w=80``."""
_BMP_HEADERS = (12, 40, 52, 56, 64, 108, 124)


def misnamed(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the pictures directly in a folder whose names are not read, by name, and a free name that is.

    What programs keep beside a picture of the same name is none of them. Raises:
        OSError: the folder can't be read.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    taken = {path.name.casefold() for path in files}
    for path in files:
        if path.suffix.lower() in _NOT_OPENED or path.name.endswith("~"):
            continue
        if extension := _extension(path):
            name = _free(_name(path.name, extension), taken)
            taken.add(name.casefold())
            yield path, name


def misnamed_findings(folder: Path, found: Sequence[tuple[Path, str]]) -> Iterator[Finding]:
    """Yield a warning of the pictures in a folder that are skipped for their names."""
    if not found:
        return
    # In quotes: a space at the end is what there is to see.
    names = ", ".join(repr(clean(path.name, _NAME_CHARS)) for path, _ in found[:_NAMES_SHOWN])
    more = f" and {len(found) - _NAMES_SHOWN} more" if len(found) > _NAMES_SHOWN else ""
    are = "picture is" if len(found) == 1 else "pictures are"
    yield Finding(
        code="dataset.picture_names",
        severity="warning",
        what=f"{len(found)} {are} skipped, as only names that end in {', '.join(PICTURE_EXTENSIONS)} are read: "
        f"{names}{more}",
        fix=f"rename them, the first to {clean(found[0][1], _NAME_CHARS)!r}; all: "
        f"loratui check {shlex.quote(str(folder))} --fix",
        path=str(found[0][0]),
        fixable=True,
    )


def _extension(path: Path) -> str:
    """Return the usual extension of what a file is by its first bytes; nothing if that is no picture that is read."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        # No name that is read: whatever it is, nothing depends on it.
        return ""
    if head.startswith(b"\xff\xd8\xff"):
        return ".jpg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return ".png"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return ".webp"
    # Two letters could begin any text.
    is_bmp = head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS
    return ".bmp" if is_bmp else ""


def _name(name: str, extension: str) -> str:
    bare = name.rstrip(" .")
    if Path(bare).suffix.lower() in PICTURE_EXTENSIONS:
        return bare
    inner = Path(bare).stem.rstrip(" .")
    if Path(inner).suffix.lower() in PICTURE_EXTENSIONS:
        return inner
    return _ODD.sub("", bare).rstrip(" .") + extension


def _free(name: str, taken: set[str]) -> str:
    """Return the name, with a number where it is taken."""
    path, free, number = Path(name), name, 2
    while free.casefold() in taken:
        free, number = f"{path.stem}-{number}{path.suffix}", number + 1
    return free
