"""Ids of jobs, commands and clients: ULIDs, which sort by the time they were made."""

import secrets
import time

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 26


def new_id() -> str:
    """Return a fresh ULID: 48 bits of milliseconds and 80 random bits, 26 characters in Crockford's base 32."""
    # The wall clock only orders ids for people; nothing is decided by it.
    value = (time.time_ns() // 1_000_000) << 80 | secrets.randbits(80)
    return "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))


def is_id(text: str) -> bool:
    """Return whether the text is an id, and so safe as a file name."""
    return len(text) == LENGTH and set(text) <= set(_ALPHABET)
