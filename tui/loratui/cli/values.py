"""How what is typed on the command line is read: durations, counts, versions, places, shares."""

import argparse
import re

from loratui.domain.offers import read_share

_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_VERSION = re.compile(r"(\d{1,2})\.(\d{1,2})")
_REGION = re.compile(r"[A-Z]{2}(-[A-Z0-9-]+)?")


def duration(text: str) -> float:
    """Return the seconds in "90s", "30m", "3h" or "1h30m"."""
    found = _DURATION.fullmatch(text.strip().lower())
    hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    total_s = hours * 3600 + minutes * 60 + seconds
    if not total_s:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration; write 90s, 30m, 3h or 1h30m")
    return float(total_s)


def positive(text: str) -> int:
    """Return a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def version(text: str) -> tuple[int, int]:
    """Return the numbers of "12.4"."""
    found = _VERSION.fullmatch(text.strip())
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no version; write two numbers, as in 12.4")
    return int(found[1]), int(found[2])


def regions(text: str) -> frozenset[str]:
    """Return the places in "se,no": countries' two letters, or a provider's own names ("EU-RO-1")."""
    found = [part.strip().upper() for part in text.split(",")]
    if not all(_REGION.fullmatch(each) for each in found):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of places; write countries by two letters, as in SE,NO")
    return frozenset(found)


def reliability(text: str) -> float:
    """Return a share between 0 and 1."""
    try:
        return read_share(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no share; write 0.99 for 99 %") from error


def share(text: str) -> float:
    """Return a share above 0, at most 1."""
    try:
        found = read_share(text)
    except ValueError:
        found = 0.0
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no share; write 0.9 for nine in ten")
    return found
