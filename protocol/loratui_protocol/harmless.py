"""What another machine may say: text that commands no terminal, numbers that can be reckoned with.

Whatever arrives goes through here where it is decoded (``codec``, ``framing``), and nowhere else has to remember it.
"""

import math
import re
from typing import Annotated, Any

MAX_TEXT_CHARS = 16_384
MAX_INT = 1 << 53
"""Larger ones are exact in no float, do not fit into SQLite, or overflow somewhere else."""
MAX_SECONDS = 1e11
"""Three thousand years: a moment after the year 5000, or a wait until then, is nonsense."""

Seconds = Annotated[float, "a moment or a duration: 0 to MAX_SECONDS"]
Count = Annotated[int, "0 to MAX_INT"]

# C0 but \n and \t, DEL, C1, zero-width and bidi controls, line separators, BOM, lone surrogates.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_CODE = re.compile(r"[a-z][a-z0-9_]{0,30}(\.[a-z0-9_]{1,60}){0,3}")


def clean(text: str, max_chars: int = MAX_TEXT_CHARS) -> str:
    """Return the text without control, escape and bidi characters, cut to ``max_chars``."""
    return _UNSAFE.sub("", text[: max_chars * 2])[:max_chars]


def code(text: str, *families: str) -> str:
    """Return an error's code if it is one, of these families ("host." or "host.disk"); else nothing.

    What a machine says of itself must not pass for what we find out about it: ``ssh.host_key_changed``, for one.
    """
    return text if _CODE.fullmatch(text) and text.startswith(families) else ""


def whole(value: int) -> int:
    """Return the number.

    Raises:
        ValueError: it is beyond ``MAX_INT``.
    """
    if not -MAX_INT <= value <= MAX_INT:
        raise ValueError("a whole number is out of range")
    return value


def count(value: int) -> int:
    """Return the number; ``ValueError`` if it is no ``Count``."""
    if not 0 <= value <= MAX_INT:
        raise ValueError("a count is out of range")
    return value


def seconds(value: float) -> float:
    """Return the number; ``ValueError`` if it is no ``Seconds``."""
    # NaN compares as false.
    if not 0 <= value <= MAX_SECONDS:
        raise ValueError("a time is out of range")
    return value


def finite(value: float) -> float:
    """Return the number; ``ValueError`` if it is none, or infinite."""
    if not math.isfinite(value):
        raise ValueError("a number is not finite")
    return value


def clean_json(value: Any) -> Any:
    """Return what was read as JSON with all its texts cleaned, the names of fields among them."""
    match value:
        case str():
            return clean(value)
        case list():
            return [clean_json(each) for each in value]
        case dict():
            return {clean(name): clean_json(each) for name, each in value.items()}
    return value
