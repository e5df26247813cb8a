"""Words that say of a picture only what it is."""

import re

_GENERIC = frozenset(
    (
        *("a", "an", "the", "of", "and", "with", "in"),
        *("picture", "photo", "photograph", "image", "painting", "drawing", "illustration", "portrait"),
        *("art", "artwork", "style", "fantasy", "anime", "digital", "character", "object", "face"),
        *("woman", "man", "girl", "boy", "person", "people", "lady", "guy"),
        *("beautiful", "nice", "good", "best", "high", "quality", "masterpiece"),
    )
)


def words_of(text: str) -> list[str]:
    """Return what a person calls words."""
    return re.findall(r"[^\W_]+", text)


def is_generic(text: str) -> bool:
    """Return whether a text could be that of any picture, as "a woman" or "fantasy art"."""
    words = words_of(text.casefold())
    return bool(words) and _GENERIC.issuperset(words)
