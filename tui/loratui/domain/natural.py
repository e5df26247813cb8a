"""Names in the order in which people count: 2 before 10. Pure."""

import re

_NUMBER = re.compile(r"([0-9]+)")
Key = tuple[tuple[tuple[int, int, str], ...], str]


def natural(name: str) -> Key:
    """Return what names are sorted by: their numbers as numbers, their letters whatever their case."""
    return tuple(_piece(piece) for piece in _NUMBER.split(name) if piece), name


def _piece(text: str) -> tuple[int, int, str]:
    if text[0] in "0123456789":
        # Of any length, so not as an int: the more digits, the greater.
        digits = text.lstrip("0")
        return 0, len(digits), digits
    return 1, 0, text.casefold()
