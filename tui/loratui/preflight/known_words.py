"""Words that a base model knows, by CLIP's vocabulary."""

from loratui.preflight.clip_tokens import COMMON_ID, token_id, word_tokens, words

_WORD_CHARS = 5
"""Of the last 9,000 tokens most are rare, as sks (48136); but one of so many letters is a word: armchair is 45757."""


def known_ids(text: str) -> list[int]:
    """Return the numbers of the words of a text in CLIP's vocabulary; empty if one of them is not known."""
    # Letters and digits that stand alone are no words of their own.
    found = [_known_id(word) for word in [word for word in words(text) if len(word) > 1] or words(text)]
    known = [number for number in found if number is not None]
    return known if len(known) == len(found) else []


def _known_id(word: str) -> int | None:
    tokens = word_tokens(word)
    number = token_id(tokens[0]) if len(tokens) == 1 else None
    return number if number is not None and (number < COMMON_ID or len(word) >= _WORD_CHARS) else None
