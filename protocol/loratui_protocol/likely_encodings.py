"""Which encoding captions likely are in that are no UTF-8: by how often languages have their letters.

The captions of a dataset are mostly of one hand: together they tell what a single short one does not. Libraries that
do the same are made for pages: of a line of Hebrew they say that it is Russian, or Chinese.
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Protocol

_MARGIN = 5.0
"""In nats, by which a text must be likelier than the next."""
_LEAST = -5.5
"""In nats a byte; what is less likely is text in none of these languages."""
_CONTENTS, _CHARS = 200, 2000
"""What is looked at: that many files, and of each that many characters."""
_FALL = 10.0
"""In most alphabets a letter is this part rarer than the one that is the next more frequent."""
_CAPITAL, _MARK, _STRANGE = -2.3, -7.0, -12.0
_ALONE = 4.0
"""In nats, against Western letters between others, and letters of another alphabet that stand among Western ones."""
_ASCII = {**dict.fromkeys(" abcdefghijklmnopqrstuvwxyz", -3.0), **dict.fromkeys(",.-'0123456789\r\n", -5.0)}
_RARE_ASCII = -7.0
_AMONG_WESTERN = re.compile(r"(?<=[A-Za-z])[^\W\d_A-Za-z]|[^\W\d_A-Za-z](?=[A-Za-z])")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Likely:
    """An encoding as iconv and Python name it, and what is written in it."""

    encoding: str
    language: str


class _Model(Protocol):
    def score(self, text: str) -> float:
        """Return the logarithm of how likely the text is, in nats."""


@dataclass(frozen=True, slots=True)
class _Alphabet:
    """Letters of a byte each, the most frequent first."""

    letters: str
    is_western: bool = False

    def score(self, text: str) -> float:
        among = len(_AMONG_WESTERN.findall(text))
        counts = Counter(text)
        alone = sum(counts[each] for each in counts if _is_foreign(each)) - among if self.is_western else among
        return sum(count * self._of(each) for each, count in counts.items()) - alone * _ALONE

    def _of(self, letter: str) -> float:
        if letter.isascii():
            return _of_ascii(letter)
        place = self.letters.find(letter.lower())
        if place < 0:
            return _MARK if _is_mark(letter) else _STRANGE
        return -place / _FALL - math.log(_FALL) + (0 if letter in self.letters else _CAPITAL)


@dataclass(frozen=True, slots=True)
class _Thousands:
    """A script of thousands of letters, two bytes each; those in use have their first in ``rows`` of a standard."""

    standard: str
    rows: range
    number: int
    frequent: str

    def score(self, text: str) -> float:
        return sum(count * self._of(letter) for letter, count in Counter(text).items())

    def _of(self, letter: str) -> float:
        if letter.isascii():
            return _of_ascii(letter)
        if letter in self.frequent:
            return -math.log(2 * len(self.frequent))
        if _is_mark(letter):
            return _MARK
        try:
            is_usual = letter.encode(self.standard)[0] in self.rows
        except UnicodeEncodeError:
            return 2 * _STRANGE
        return -math.log(2 * self.number) + (0 if is_usual else _MARK)


def _is_foreign(letter: str) -> bool:
    return letter.isalpha() and not letter.isascii()


def _is_mark(letter: str) -> bool:
    return unicodedata.category(letter)[0] in "PSZ"


def _of_ascii(letter: str) -> float:
    return _ASCII.get(letter.lower(), _RARE_ASCII)


_WESTERN = _Alphabet("éñąęłóśżćńźèàčřšžýáíäöüůěúßťďňçőűêôîâåæøăş", is_western=True)
_HEBREW = _Alphabet("יוהלארתבמשנדעכקחפסםטגצזןךףץ")
_CYRILLIC = _Alphabet("оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфёъіїєґ")
_GREEK = _Alphabet("αοιετσνηυρπκμλςώίάόέήωγθδύχφβξζψ")
_ARABIC = _Alphabet("اليمونرتبةعدسفهكقحجشطصأخذضزءئغىظثإؤآ")
_KANA = "".join(map(chr, (*range(0x3041, 0x3094), *range(0x30A1, 0x30F7))))
_JAPANESE = _Thousands("cp932", range(0x88, 0x98), 2965, _KANA)
_CHINESE = _Thousands(
    "gb2312",
    range(0xB0, 0xD8),
    3755,
    "的一是在不了有和人这中大上个国我以要他时来用们生到作地于出就分对成会可主发年动女男子孩头长短发眼睛黑白红蓝绿黄色光背景"
    "站坐穿着衣服裙帽手里看花草树山水天空海边风格画照片微笑夜城市",
)
_TAIWANESE = _Thousands(
    "big5",
    range(0xA4, 0xC7),
    5401,
    "的一是在不了有和人這中大上個國我以要他時來用們生到作地於出就分對成會可主發年動女男子孩頭長短髮眼睛黑白紅藍綠黃色光背景"
    "站坐穿著衣服裙帽手裡看花草樹山水天空海邊風格畫照片微笑夜城市",
)
_KOREAN = _Thousands(
    "euc-kr",
    range(0xB0, 0xC9),
    2350,
    "이다의는에가한고을하사로기어자리지나은대도아를인해서여장그니라일위있과수보부시소정원스들만제안구전주상남운머색얀",
)
_BYTES: tuple[tuple[str, str, _Model], ...] = (
    ("CP1252", "Western", _WESTERN),
    ("CP1255", "Hebrew", _HEBREW),
    ("CP1251", "Cyrillic", _CYRILLIC),
    ("KOI8-R", "Cyrillic", _CYRILLIC),
    ("CP1253", "Greek", _GREEK),
    ("CP1256", "Arabic", _ARABIC),
    ("CP1250", "Central European", _WESTERN),
    ("CP932", "Japanese", _JAPANESE),
    ("GB18030", "Chinese", _CHINESE),
    ("BIG5", "Chinese", _TAIWANESE),
    ("CP949", "Korean", _KOREAN),
)
_PAIRS: tuple[tuple[str, str, _Model], ...] = tuple(
    (encoding, language, model)
    for encoding in ("UTF-16LE", "UTF-16BE")
    for language, model in (
        ("Hebrew", _HEBREW),
        ("Cyrillic", _CYRILLIC),
        ("Greek", _GREEK),
        ("Arabic", _ARABIC),
        ("Japanese", _JAPANESE),
        ("Chinese", _CHINESE),
        ("Korean", _KOREAN),
    )
)


def likely_encodings(contents: Sequence[bytes]) -> list[Likely | None]:
    """Return for each content what it likely is in; None where the bytes allow no fair guess."""
    own = [_likely([content]) for content in contents[:_CONTENTS]]
    known = Counter(filter(None, own))
    shared = _likely(contents) if len(known) < 2 else None
    usual = shared or (known.most_common(1)[0][0] if known else None)
    return [
        each or (usual if usual and _texts([content], usual.encoding) else None)
        for each, content in zip_longest(own, contents)
    ]


def is_likely_western(content: bytes) -> bool:
    """Return whether no other language's letters are likelier, however little that says."""
    found = _scores([content])
    return bool(found) and found[0][1].encoding in ("CP1252", "CP1250")


def _likely(contents: Sequence[bytes]) -> Likely | None:
    """Return what all of them are in."""
    looked_at = contents[:_CONTENTS]
    found = _scores(looked_at)
    if not found:
        return None
    score, best = found[0]
    num_bytes = sum(len(content[:_CHARS]) for content in looked_at)
    others = [other for other, likely in found if likely.encoding != best.encoding]
    is_sure = score >= _LEAST * num_bytes and all(score - other >= _MARGIN for other in others)
    return best if is_sure else None


def _scores(contents: Sequence[bytes]) -> list[tuple[float, Likely]]:
    """Return how likely they are in each encoding that they can be in, the likeliest first."""
    found = [
        (model.score(text), Likely(encoding, language))
        for encoding, language, model in (*_BYTES, *_PAIRS)
        if (text := _texts(contents, encoding))
    ]
    return sorted(found, key=lambda each: -each[0])


def _texts(contents: Sequence[bytes], encoding: str) -> str:
    """Return what they are in an encoding; empty if one can't be."""
    try:
        text = "\n".join(content.decode(encoding)[:_CHARS] for content in contents)
    except UnicodeDecodeError:
        return ""
    return "" if _CONTROLS.search(text) else text
