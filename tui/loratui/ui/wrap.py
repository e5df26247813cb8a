"""Text of any length in lines of a width that is known."""

from loratui.ui.text import cells, plain

_MOST_CHARS = 4096


def wrapped(text: str, width: int) -> list[str]:
    """Return the text, of a very long one the beginning, made plain and broken between words into ``width`` cells."""
    width = max(1, width)
    lines, line = [], ""
    for word in plain(text[:_MOST_CHARS]).split():
        for piece in _pieces(word, width):
            joined = f"{line} {piece}" if line else piece
            if cells(joined) <= width:
                line = joined
            else:
                lines.append(line)
                line = piece
    return [*lines, line] if line else lines


def _pieces(word: str, width: int) -> list[str]:
    """Return a word in pieces that fit."""
    if cells(word) <= width:
        return [word]
    pieces, piece, used = [], "", 0
    for char in word:
        size = cells(char)
        if used + size > width and piece:
            pieces.append(piece)
            piece, used = "", 0
        piece += char
        used += size
    return [*pieces, piece]
