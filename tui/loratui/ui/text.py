"""Rows of styled text: what every widget draws, and the one place where text becomes safe to draw.

A row is a list of spans. Nothing here is ever parsed: a bracket in a log line is a bracket. ``plain`` makes every
character one or two cells wide, but for the few marks that a letter carries, so that the number of cells of a row is
known on every terminal.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

from rich.cells import get_character_cell_size
from rich.style import Style


class Role(StrEnum):
    """What a span means; ``loratui.tcss`` gives each its look."""

    TEXT = "text"
    DIM = "dim"
    STRONG = "strong"
    TITLE = "title"
    KEY = "key"
    GOOD = "good"
    WARN = "warn"
    ALARM = "alarm"
    RAW = "raw"
    MEAN = "mean"
    MARK = "mark"
    OTHER = "other"


Span = tuple[str, Role | Style]
Row = list[Span]

# One cell wide on every terminal: no look at each character needed.
_SAFE = re.compile(
    "[ -~\u00a1-\u00ac\u00ae-\u02ff\u2013-\u2016\u2018-\u201d\u2026\u2190-\u2193\u2248"
    "\u2500-\u25fc\u25ff\u2800-\u28ff]*"
)
_UNSUITABLE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Mn", "Me"))
_SPACES = "\n\r\t\u2028\u2029"
# They choose how the letter before them looks, and how wide.
_SELECTORS = re.compile("[\u034f\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_MOST_MARKS = 3
"""On one letter. Thai has a vowel and a tone, Hebrew up to three; a pile of more reaches into other rows."""
_MOST_VOWELS = 3
"""Signs beside a letter, as the vowels of Indic scripts; Burmese has up to three. Where a terminal gives them a cell of
their own, ``FrameDiff`` puts what follows in its place all the same."""
_MOST = {"Mn": _MOST_MARKS, "Mc": _MOST_VOWELS}

_ASCII = str.maketrans(
    {
        **dict.fromkeys("─\u2013\u2014", "-"),
        **dict.fromkeys("│▏", "|"),
        **dict.fromkeys("┬├└┤┴", "+"),
        **dict.fromkeys("█▉▊▋▌▐", "#"),
        **dict.fromkeys("▍▎", ":"),
        **dict.fromkeys("·…", "."),
        **dict(zip("●○◐◆■‖≈↓↑←→▕°", "*o~+#=~v^<>[ ", strict=True)),
    }
)
_BRAILLE = 0x2800
_DOTS_OF_LINE = 3
_LINES = {Role.MEAN: "*", Role.OTHER: "o"}
"""How a line looks in ASCII where it is not known by its dots."""


def plain(text: str) -> str:
    """Return the text on one line, with only characters of one or two cells and none that controls the terminal.

    A letter keeps the marks on it and the vowels beside it, without which Thai, pointed Hebrew or Hindi is other words.
    """
    return text if _SAFE.fullmatch(text) else _shown(unicodedata.normalize("NFC", text))


def retyped(before: str, typed: str) -> str:
    """Return what is meant by who was shown ``plain(before)`` and made ``typed`` of it.

    What was not touched stays as it was, whatever of it no terminal shows: the joiners of an emoji, say.
    """
    if typed == plain(before):
        return before
    parts = [*_parts(before)]
    looks = [plain(part) for part in parts]
    start = _num_alike(looks, typed)
    rest = typed[sum(map(len, looks[:start])) :]
    end = _num_alike([look[::-1] for look in looks[start:]][::-1], rest[::-1])
    new = rest[: len(rest) - sum(map(len, looks[len(looks) - end :]))]
    return "".join((*parts[:start], new, *parts[len(parts) - end :]))


def _num_alike(looks: Sequence[str], text: str) -> int:
    """Return of how many of the looks, one after the other, the text begins."""
    at = 0
    for number, look in enumerate(looks):
        if not text.startswith(look, at):
            return number
        at += len(look)
    return len(looks)


def _parts(text: str) -> Iterator[str]:
    """Yield the text in pieces that look the same alone as they do together."""
    piece = ""
    for char in text:
        if plain(piece) and plain(char) and plain(piece + char) == plain(piece) + plain(char):
            yield piece
            piece = ""
        piece += char
    if piece:
        yield piece


def _shown(text: str) -> str:
    shown, left = list[str](), dict.fromkeys(_MOST, 0)
    for char in text:
        if (category := unicodedata.category(char)) in _MOST:
            if left[category] and not _SELECTORS.match(char):
                shown.append(char)
                left[category] -= 1
        elif harmless := _harmless(char):
            shown.append(harmless)
            left = dict.fromkeys(_MOST, 0) if harmless == " " else {**_MOST}
    return "".join(shown)


def _harmless(char: str) -> str:
    if char in _SPACES:
        return " "
    # Two of these make a flag of a width that terminals disagree about; a flag is named by its country's letters.
    if "\U0001f1e6" <= char <= "\U0001f1ff":
        return chr(ord("A") + ord(char) - 0x1F1E6)
    # Skin tones join with what is before them, or do not.
    is_tone = "\U0001f3fb" <= char <= "\U0001f3ff"
    if is_tone or unicodedata.category(char) in _UNSUITABLE or get_character_cell_size(char) < 1:
        return ""
    return char


def to_ascii(text: str, role: Role | Style) -> str:
    """Return plain text of the same width in ASCII: charts out of ``. : * o``, é as e, what is unknown as ``?``."""
    if text.isascii():
        return text
    return "".join(_ascii_char(char, role) for char in text.translate(_ASCII))


def _ascii_char(char: str, role: Role | Style) -> str:
    if char.isascii():
        return char
    dots = ord(char) - _BRAILLE
    if 0 <= dots <= 0xFF:
        if isinstance(role, Role) and role in _LINES:
            return _LINES[role]
        return ":" if dots.bit_count() >= _DOTS_OF_LINE else "."
    letter = unicodedata.normalize("NFD", char)[0]
    return letter if letter.isascii() else "?" * get_character_cell_size(char)


def row_width(row: Iterable[Span]) -> int:
    """Return the number of cells of a row whose text is plain."""
    return sum(cells(text) for text, _ in row)


def cells(text: str) -> int:
    """Return the number of cells of plain text."""
    if text.isascii() or _SAFE.fullmatch(text):
        return len(text)
    return sum(get_character_cell_size(char) for char in text)


def cut(text: str, limit: int) -> str:
    """Return plain text of at most ``limit`` cells; an ellipsis says that something is missing."""
    if len(text) <= limit and _SAFE.fullmatch(text):
        return text
    text = plain(text)
    if cells(text) <= limit:
        return text
    kept, used = [], 0
    for char in text:
        used += get_character_cell_size(char)
        if used > limit - 1:
            break
        kept.append(char)
    return "".join(kept) + "…" if limit > 0 else ""


def wrap(text: str, limit: int) -> list[str]:
    """Return the text made plain, in lines of at most ``limit`` cells, two at least; only longer words are broken."""
    limit, lines, line = max(2, limit), list[str](), ""
    for word in plain(text).split():
        joined = f"{line} {word}" if line else word
        if cells(joined) <= limit:
            line = joined
            continue
        lines += [line] if line else []
        line = ""
        for char in word:
            if cells(line + char) > limit:
                lines.append(line)
                line = ""
            line += char
    return [*lines, line] if line else lines


def fit(row: Iterable[Span], limit: int) -> Row:
    """Return the row made plain and cut to ``limit`` cells."""
    fitted: Row = []
    for text, role in row:
        piece = cut(text, limit)
        limit -= cells(piece)
        if piece:
            fitted.append((piece, role))
    return fitted


def pad(row: Iterable[Span], columns: int) -> Row:
    """Return the row cut or filled to ``columns`` cells."""
    row = fit(row, columns)
    return [*row, (" " * (columns - row_width(row)), Role.TEXT)]


def spread(left: Sequence[Span], right: Sequence[Span], limit: int) -> Row:
    """Return one row of ``limit`` cells with ``right`` at its right end; ``left`` is cut before ``right`` is."""
    end = fit(right, limit)
    start = fit(left, limit - row_width(end) - (1 if end else 0))
    gap = limit - row_width(start) - row_width(end)
    return [*start, (" " * max(0, gap), Role.TEXT), *end]


def rule(title: Sequence[Span], limit: int, right: str = "") -> Row:
    """Return a horizontal line of ``limit`` cells with a title in it and a remark at its end."""
    end: Row = [(f" {right} ", Role.DIM), ("─", Role.DIM)] if right else []
    if row_width(end) + row_width(title) + 4 > limit:
        end = []
    start = fit([("─ ", Role.DIM), *title, (" ", Role.DIM)], limit - row_width(end))
    return [*start, ("─" * max(0, limit - row_width(start) - row_width(end)), Role.DIM), *end]


def bar(share: float, limit: int) -> str:
    """Return a bar of ``limit`` cells, its two caps included, filled to ``share`` (0 to 1)."""
    inner = max(1, limit - 2)
    eighths = round(min(1.0, max(0.0, share)) * inner * 8)
    full, part = divmod(eighths, 8)
    filled = "█" * full + (" ▏▎▍▌▋▊▉"[part] if part else "")
    return f"▕{filled:<{inner}}▏"


def dump(rows: Iterable[Row]) -> str:
    """Return the rows as text without style."""
    return "\n".join("".join(text for text, _ in row) for row in rows)
