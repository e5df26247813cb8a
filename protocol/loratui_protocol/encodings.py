"""Which text the bytes of a caption are: UTF-8, or what editors wrote instead of it."""

import codecs
import re

from loratui_protocol.likely_encodings import is_likely_western

_MARKED = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    # Before UTF-16, whose mark it begins with.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_FOREIGN = re.compile(rb"[\x80-\xff]{3}")
"""Western languages have letters with accents one or two at a time. More in a row are another script's."""
_WESTERN = re.compile(
    "[\t\r\n\x20-\x7e\u00a0\u00a1\u00ab\u00b0\u00b4\u00b7\u00bb\u00c0-\u00cf\u00d1-\u00d6\u00d8-\u00dc\u00df-\u00ef\u00f1-\u00f6"
    "\u00f8-\u00fc\u0152\u0153\u0160\u0161\u017d\u017e\u2013\u2014\u2018-\u201e\u2026\u20ac]*"
)
"""Letters with accents, and the marks that people write around them. Signs as £ and ¹ in a caption are letters of an
encoding of Central Europe."""


def guessed(content: bytes) -> str | None:
    """Return the text, without a byte order mark; None where no encoding is likely enough to be taken for it."""
    for mark, encoding in _MARKED:
        if content.startswith(mark):
            return _decoded(content, encoding)
    if b"\0" in content:
        return _unmarked_utf16(content)
    text = _decoded(content, "utf-8")
    if text is not None or _FOREIGN.search(content):
        return text
    text = _decoded(content, "cp1252")
    is_western = text is not None and _WESTERN.fullmatch(text) and is_likely_western(content)
    return text if is_western else None


def _unmarked_utf16(content: bytes) -> str | None:
    """Return Western text in UTF-16 without its mark: every second byte of it is NUL, and no other is."""
    first, second = content[::2].count(0), content[1::2].count(0)
    if min(first, second) or 2 * max(first, second) < len(content) // 2:
        return None
    return _decoded(content, "utf-16-le" if second else "utf-16-be")


def is_utf8(content: bytes) -> bool:
    """Return whether the bytes are text as it is read in training."""
    text = _decoded(content, "utf-8")
    return text is not None and "\0" not in text


def _decoded(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None
