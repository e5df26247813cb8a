"""Which word a LoRA is likely called by: a rare one in front of captions or in a folder's name, else a made-up one.

A word that the base knows is never proposed, however often it stands there: what it means would mix with the concept.
"""

import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from loratui.preflight.clip_tokens import COMMON_ID, token_id, word_tokens, words
from loratui.preflight.generic_captions import is_generic

_FIRST_WORDS = 5
"""Of what stands before the first comma: ``photo of zorbix``. Rare words behind are mostly things that are shown."""
_MOST = 0.5
_IN_CAPTIONS = re.compile(r"[A-Za-z0-9][\w-]*", re.ASCII)
_IN_NAMES = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{3,20}\d{0,2}(?![A-Za-z0-9])")
_OF_FOLDERS = frozenset(
    (
        *("img", "imgs", "image", "images", "jpg", "jpgs", "jpeg", "png", "pngs", "webp", "pic", "pics", "pictures"),
        *("data", "dataset", "datasets", "train", "training", "captions", "captioned", "txt", "lora", "loras", "kohya"),
        *("sdxl", "sd15", "tmp", "temp", "output", "outputs", "desktop", "downloads", "cropped", "resized", "untitled"),
    )
)
"""Words that name folders of pictures, and nothing in them."""
_MIN_CHARS, _MAX_CHARS, _MAX_TOKENS = 3, 40, 3
_FORM = ("kvxz", "aeiou", "bdlmnrtvx", "aiou", "krz")
"""Letters of made-up words, which can be said and look like none."""

Origin = Literal["captions", "folder", "made up"]


@dataclass(frozen=True, slots=True)
class Likely:
    """A word, and where it is from."""

    word: str
    origin: Origin


def likely_trigger(captions: Sequence[str], names: Iterable[str], seed: str) -> Likely:
    """Return the word to propose; ``names`` are of folders. A ``seed`` always makes up the same word."""
    if found := _begins_most(captions):
        return Likely(found, "captions")
    for name in names:
        named = [word for word in _IN_NAMES.findall(name) if word.casefold() not in _OF_FOLDERS and is_rare(word)]
        if named:
            return Likely(named[0], "folder")
    return Likely(_made_up(seed), "made up")


def is_rare(word: str) -> bool:
    """Return whether a part of a word is none that the base knows, as in ``zorbix`` and ``ohwx_woman``."""
    return not is_generic(word) and any(len(part) > 1 and part.isalpha() and _is_unknown(part) for part in words(word))


def _is_unknown(part: str) -> bool:
    """Return whether CLIP has no common token for it, nor for the words that it is put together of, as ``hairclip``."""
    ids = [token_id(f"{token.removesuffix('</w>')}</w>") for token in word_tokens(part)]
    return any(number is None or number >= COMMON_ID for number in ids)


def _begins_most(captions: Sequence[str]) -> str:
    """Return the rare word that stands in front in most captions, as it is mostly written; empty: there is none."""
    written: Counter[str] = Counter()
    holding: Counter[str] = Counter()
    for caption in captions:
        front = _IN_CAPTIONS.findall(caption.partition(",")[0])[:_FIRST_WORDS]
        inside = {word.rstrip("_-") for word in front if len(word) <= _MAX_CHARS}
        written.update(inside)
        holding.update({word.casefold() for word in inside if len(word) >= _MIN_CHARS})
    often = [word for word, count in holding.most_common() if count > _MOST * len(captions) and is_rare(word)]
    return max((word for word in written if word.casefold() == often[0]), key=written.__getitem__) if often else ""


def _made_up(seed: str) -> str:
    rng = random.Random(seed)
    while True:
        word = "".join(map(rng.choice, _FORM))
        if is_rare(word) and len(word_tokens(word)) <= _MAX_TOKENS:
            return word
