"""CLIP's tokens without its libraries: how many a caption has, and what a word becomes.

A word is cut into the bytes of its UTF-8, and pairs of them are joined in the order of the merges that CLIP was trained
with. SDXL's two tokenizers have the same merges.
"""

import functools
import gzip
import heapq
import re
import unicodedata
from importlib import resources

_MERGES = "clip_merges.txt.gz"
_END = "</w>"
_NUM_BYTES = 256
COMMON_ID = 40_000
"""Tokens below it are ordinary words and parts of them; of the last 9,000 most are rare: sks is 48136."""
_CACHED_CHARS = 32
_MARKS = re.compile(r"<\|startoftext\|>|<\|endoftext\|>")
"""Read as the tokens that they name, wherever they stand."""


def count_tokens(text: str) -> int:
    """Return how many tokens the text encoder is given, without those of start and end."""
    return len(_MARKS.findall(text)) + sum(
        len(word_tokens(word)) for part in _MARKS.split(text) for word in words(part)
    )


def words(text: str) -> list[str]:
    """Return the words that tokens are made of: letters together, each digit alone, and what is left together."""
    lowered = "".join(map(str.lower, unicodedata.normalize("NFC", text)))
    kinds = lowered.translate(_KINDS)
    return [lowered[found.start() : found.end()] for found in _WORD.finditer(kinds)]


def word_tokens(word: str) -> tuple[str, ...]:
    """Return the tokens of one of the ``words``, as CLIP's vocabulary writes them: the last ends in ``</w>``."""
    return _cached(word) if len(word) <= _CACHED_CHARS else _merged(word)


def token_id(token: str) -> int | None:
    """Return the number of a token that two others became: the lower, the more common in what CLIP has read."""
    return next((2 * _NUM_BYTES + rank for pair, rank in _ranks().items() if pair.replace(" ", "", 1) == token), None)


class _Kinds(dict[int, str]):
    """For each character one of its kind, letter, digit, space or other; those of ASCII stand for themselves."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        if code < 0x80 and not character.isspace():
            kind = character
        elif category[0] in "LN":
            # No contraction begins with an a.
            kind = "a" if category[0] == "L" else "0"
        else:
            # Python also takes the separators of files and records for spaces.
            kind = " " if character.isspace() and not "\x1c" <= character <= "\x1f" else "!"
        self[code] = kind
        return kind


_KINDS = _Kinds()
_WORD = re.compile(r"'(?:s|t|re|ve|m|ll|d)|[a-z]+|[0-9]|[^ a-z0-9]+")


@functools.cache
def _ranks() -> dict[str, int]:
    """Return the rank of every merge, under its two tokens with a space between."""
    packed = resources.files("loratui.preflight").joinpath("data", _MERGES).read_bytes()
    lines = gzip.decompress(packed).decode("utf-8").split("\n")[1:-1]
    return dict(zip(lines, range(len(lines)), strict=True))


@functools.cache
def _byte_characters() -> list[str]:
    """Return the character that stands for each byte: printable ones for themselves, and others for the rest."""
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = iter(range(_NUM_BYTES, 2 * _NUM_BYTES))
    return [chr(byte if byte in printable else next(others)) for byte in range(_NUM_BYTES)]


def _merged(word: str) -> tuple[str, ...]:
    ranks, characters = _ranks(), _byte_characters()
    parts = [characters[byte] for byte in word.encode("utf-8", "replace")]
    parts[-1] += _END
    num_parts = len(parts)
    after, before = [*range(1, num_parts + 1)], [*range(-1, num_parts - 1)]

    def rank_at(left: int) -> int | None:
        right = after[left]
        return None if right == num_parts else ranks.get(f"{parts[left]} {parts[right]}")

    # A heap, since a word may be as long as a file: to look for the best pair anew each time would take minutes.
    heap = [(rank, left) for left in range(num_parts) if (rank := rank_at(left)) is not None]
    heapq.heapify(heap)
    while heap:
        rank, left = heapq.heappop(heap)
        if rank_at(left) != rank:
            # One of the two has been joined with another meanwhile.
            continue
        right = after[left]
        parts[left] += parts[right]
        parts[right] = ""
        after[left] = after[right]
        if after[left] < num_parts:
            before[after[left]] = left
        for start in (before[left], left):
            if start >= 0 and (new := rank_at(start)) is not None:
                heapq.heappush(heap, (new, start))
    return tuple(part for part in parts if part)


_cached = functools.lru_cache(maxsize=1 << 14)(_merged)
