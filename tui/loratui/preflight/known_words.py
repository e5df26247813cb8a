"""Words that a base model knows, by CLIP's vocabulary."""

from loratui.preflight.clip_tokens import token_id, word_tokens, words

_COMMON_ID = 40_000
"""Tokens below it are ordinary words and parts of them."""
_WORD_CHARS = 5
"""Of the last 9,000 tokens most are rare, as sks (48136); but one of so many letters is a word: armchair is 45757."""


def known_ids(text: str) -> list[int]:
    """Return the numbers of the words of a text in CLIP's vocabulary; empty if one of them is not known."""
    found = [_known_id(word) for word in words(text)]
    known = [number for number in found if number is not None]
    return known if len(known) == len(found) else []


def _known_id(word: str) -> int | None:
    tokens = word_tokens(word)
    number = token_id(tokens[0]) if len(tokens) == 1 else None
    return number if number is not None and (number < _COMMON_ID or len(word) >= _WORD_CHARS) else None
