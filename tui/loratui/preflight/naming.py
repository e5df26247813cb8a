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
    """Return a text as Python writes it, which shows what can't be seen; cut where it is very long."""
    return repr(text if len(text) <= _QUOTED_CHARS else f"{text[:_QUOTED_CHARS]}…")
