"""Where a word stands in a text as a word of its own. Pure."""

import re

BEFORE, BEHIND = r"(?<![^\W_])", r"(?![^\W_])"
"""No letter or digit; an underscore, as in zorbix_(toy), is a word of its own to CLIP."""


def word_pattern(word: str) -> str:
    """Return the pattern of a word as it is written, and not as a part of others: "sks" is none of "desks"."""
    return f"{BEFORE}{re.escape(word)}{BEHIND}"
