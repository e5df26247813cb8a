"""Sends only the cells that changed.

Textual writes the whole region of every widget that changed, tens of times what the change needs, and it waits for
the terminal to take it: a terminal that stalls (a laptop asleep at the other end of SSH) stops the event loop. Here
the screen that is wanted and the screen that was sent are kept as cells. A frame is the difference between the two,
and while the terminal is behind no frame is sent at all; the next one makes up for those that were left out.

This reads Textual's compositor, which is not a public interface: pyproject.toml pins Textual to a minor version,
``UiOptions.frame_diff`` turns this off, and a test compares both ways on the same screens.
"""

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

from rich.cells import get_character_cell_size
from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.strip import Strip

Cell = tuple[str, Style | None]
"""A character and its look; the second half of a wide character is the empty text."""

_BLANK: Cell = (" ", None)
_GAP = 6
"""Unchanged cells that cost less to send again than to jump over."""


class FrameDiff:
    """The screen as it is wanted and as the terminal has it."""

    def __init__(self) -> None:
        self._wanted: list[list[Cell]] = []
        self._sent: list[list[Cell | None]] = []

    def resize(self, width: int, height: int) -> None:
        """Start over: nothing is known of what the terminal shows."""
        self._wanted = [[_BLANK] * width for _ in range(height)]
        self._sent = [[None] * width for _ in range(height)]

    @property
    def size(self) -> tuple[int, int]:
        """Return the columns and rows of the screen."""
        return (len(self._wanted[0]) if self._wanted else 0), len(self._wanted)

    def take(self, update: CompositorUpdate) -> None:
        """Change the wanted screen as Textual's update says."""
        for y, x, strip in _pieces(update):
            if 0 <= y < len(self._wanted):
                row = self._wanted[y]
                cells = _cells(strip)[: len(row) - x]
                row[x : x + len(cells)] = cells

    def changes(self, console: Console) -> str:
        """Return what makes the terminal show the wanted screen, and take it as sent."""
        pen = _Pen(console)
        for y, (wanted, sent) in enumerate(zip(self._wanted, self._sent, strict=True)):
            if wanted == sent:
                continue
            for start, end in _runs(sent, wanted):
                pen.move(start, y)
                has_marks = False
                for x, (char, look) in enumerate(wanted[start:end], start):
                    if has_marks and char:
                        # Not every terminal sets the marks on a letter into the letter's own cell.
                        pen.move(x, y)
                    has_marks = len(char) > 1 or (has_marks and not char)
                    pen.write(char, look)
            sent[:] = wanted
        return pen.finish()


def _pieces(update: CompositorUpdate) -> Iterator[tuple[int, int, Strip]]:
    """Yield row, column and content of everything that the update draws."""
    if isinstance(update, LayoutUpdate):
        for y, line in enumerate(update.strips, update.region.y):
            yield y, update.region.x, Strip.join(line)
    elif isinstance(update, ChopsUpdate):
        for y, x1, x2 in update.spans:
            for end, (x, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
                if strip is not None and x <= x2 and end > x1:
                    yield y, x, strip.crop(0, min(end, x2) - x)


def _cells(strip: Strip) -> list[Cell]:
    cells: list[Cell] = []
    for text, style, control in strip:
        if control:
            continue
        if text.isascii():
            cells += [(char, style) for char in text]
            continue
        for char in text:
            columns = get_character_cell_size(char)
            if columns:
                cells.append((char, style))
                cells += [("", style)] * (columns - 1)
            elif cells:
                # A mark that joins the letter before it takes no cell of its own.
                at = next((at for at in (-1, -2) if cells[at][0]), -1)
                cells[at] = (cells[at][0] + char, cells[at][1])
    return cells


def _runs(sent: list[Cell | None], wanted: list[Cell]) -> Iterator[tuple[int, int]]:
    """Yield start and end of the stretches to send; neither cuts a wide character, old or new, in half."""
    at, width = 0, len(wanted)
    while at < width:
        if sent[at] == wanted[at]:
            at += 1
            continue
        start, end, ahead = at, at + 1, at + 1
        while ahead < width and ahead - end < _GAP:
            ahead += 1
            if sent[ahead - 1] != wanted[ahead - 1]:
                end = ahead
        while start > 0 and (_is_half(sent[start]) or _is_half(wanted[start])):
            start -= 1
        while end < width and (_is_half(sent[end]) or _is_half(wanted[end])):
            end += 1
        yield start, end
        at = end


def _is_half(cell: Cell | None) -> bool:
    return cell is not None and not cell[0]


@lru_cache(maxsize=1024)
def _turn(before: str, after: str) -> str:
    """Return the shortest way from one look to another, both given as SGR parameters: colours are most of a frame."""
    (had, *old), (has, *new) = _parts(before), _parts(after)
    is_lost = any(one and not other for one, other in zip(old, new, strict=True))
    if (had and had != has) or is_lost:
        return f"\x1b[0;{after}m" if after else "\x1b[0m"
    changed = [other for one, other in zip(old, new, strict=True) if other != one]
    return f"\x1b[{';'.join(([has] if has != had else []) + changed)}m"


def _parts(sgr: str) -> tuple[str, str, str]:
    """Return the attributes, the colour of the text, and that behind it."""
    attributes, text, behind = [], "", ""
    codes = iter(sgr.split(";") if sgr else ())
    for code in codes:
        colour = code
        if code in ("38", "48"):
            kind = next(codes)
            colour = ";".join((code, kind, *islice(codes, 1 if kind == "5" else 3)))
        number = int(code)
        if 30 <= number <= 39 or 90 <= number <= 97:
            text = colour
        elif 40 <= number <= 49 or 100 <= number <= 107:
            behind = colour
        else:
            attributes.append(code)
    return ";".join(attributes), text, behind


class _Pen:
    """Writes cells; says how they look only where it differs from the cell before."""

    def __init__(self, console: Console) -> None:
        # As Strip.render does it; a console tells of its colours in no other way.
        self._color_system = console._color_system or ColorSystem.TRUECOLOR
        self._output: list[str] = []
        self._look: Style | None = None
        self._sgr = ""

    def move(self, x: int, y: int) -> None:
        self._output.append(f"\x1b[{y + 1};{x + 1}H")

    def write(self, char: str, look: Style | None) -> None:
        if look is not self._look:
            self._look = look
            sgr = "" if look is None else self._sgr_of(look)
            if sgr != self._sgr:
                self._output.append(_turn(self._sgr, sgr))
                self._sgr = sgr
        self._output.append(char)

    def finish(self) -> str:
        if self._sgr:
            self._output.append("\x1b[0m")
        return "".join(self._output)

    def _sgr_of(self, look: Style) -> str:
        return look._ansi if look._ansi is not None else Strip.render_ansi(look, self._color_system)
