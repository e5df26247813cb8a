"""How findings name files and quote texts: a few of many, and nothing that commands a terminal."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from loratui_protocol.harmless import clean

_NAMES_SHOWN = 3
_NAME_CHARS = 80
_QUOTED_CHARS = 500


def first(paths: Iterable[Path]) -> str:
    """Return the names of the first few files."""
    return "first: " + ", ".join(clean(path.name, _NAME_CHARS) for path in islice(paths, _NAMES_SHOWN))


def quoted(text: str) -> str:
    """Return a text in quotation marks, cut where it is very long."""
    shown = clean(" ".join(text.split()))
    return repr(shown if len(shown) <= _QUOTED_CHARS else f"{shown[:_QUOTED_CHARS]}…")
