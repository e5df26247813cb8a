"""Names of files: which captions are called like which pictures, how findings name a few of many, and quote texts."""

import unicodedata
from collections.abc import Iterable
from pathlib import Path

from loratui_protocol.caption_files import CAPTION_EXTENSIONS
from loratui_protocol.harmless import clean
from loratui_protocol.picture_names import PICTURE_EXTENSIONS

LIKE_CAPTIONS = (*CAPTION_EXTENSIONS, ".text", ".captions", ".tags", ".cap")
"""What captions' names end in, also where no trainer reads them."""

_NAMES_SHOWN = 3
_NAME_CHARS = 80
_QUOTED_CHARS = 500


def first(paths: Iterable[Path]) -> str:
    """Return the names of the first few files, and how many more there are."""
    names = [clean(path.name, _NAME_CHARS) for path in paths]
    rest = len(names) - _NAMES_SHOWN
    return f"first: {', '.join(names[:_NAMES_SHOWN])}" + (f" and {rest} more" if rest > 0 else "")


def quoted(text: str) -> str:
    """Return a text as Python writes it, which shows what can't be seen; cut where it is very long."""
    return repr(text if len(text) <= _QUOTED_CHARS else f"{text[:_QUOTED_CHARS]}…")


def bare_stem(path: Path) -> str:
    """Return the name of a file without all that looks like an extension: of ``a.jpg.txt`` and ``a.caption.txt`` a."""
    name = path.stem
    while Path(name).suffix.lower() in (*PICTURE_EXTENSIONS, *LIKE_CAPTIONS):
        name = Path(name).stem
    return name


def alike(stem: str) -> str:
    """Return what names have in common that differ by case, or by how a system writes an accent."""
    return unicodedata.normalize("NFC", stem).casefold()
