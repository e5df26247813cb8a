"""A widget that draws rows of text and repaints only the rows that changed."""

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.events import Resize
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, fit, row_width, to_ascii


class Rows(Widget):
    """Base of all widgets here: a subclass says in ``compose_rows`` what its rows are.

    ``show`` is called with every new frame, and the rows are made again when the size changes.
    """

    ALLOW_SELECT = False
    is_pane: ClassVar[bool] = False
    """Whether it is a part of a page that one can go to."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self.frame: Frame | None = None
        self.drawn: list[Row] = []
        self.letter = ""
        """Stands in the first cell, to be jumped to."""
        self._base: Style | None = None
        self._looks: dict[Role, Style] = {}

    def compose_rows(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return what to draw; rows that are missing are blank, text too long is cut."""
        raise NotImplementedError

    def show(self, frame: Frame) -> None:
        """Take a new frame and repaint the rows that it changes."""
        self.frame = frame
        self.rebuild()

    @property
    def room(self) -> Size:
        """Return how many columns and rows there are to draw in."""
        return self.size

    def rebuild(self) -> None:
        """Make the rows again and repaint those that differ."""
        columns, lines = self.room
        if self.frame is None or not columns or not lines:
            return
        rows = [fit(row, columns) for row in self.compose_rows(self.frame, columns, lines)[:lines]]
        rows += [[] for _ in range(lines - len(rows))]
        if self.letter:
            rows[0] = lettered(rows[0], self.letter)
        before, self.drawn = self.drawn, rows
        if len(before) != len(rows):
            self.refresh()
        elif changed := [Region(0, y, columns, 1) for y, row in enumerate(rows) if row != before[y]]:
            self.refresh(*changed)

    def on_resize(self, _: Resize) -> None:
        """Draw for the new size."""
        self.drawn = []
        self.rebuild()

    def render_line(self, y: int) -> Strip:
        """Return one row as Textual draws it."""
        base = self._base = self._base or self.rich_style
        row = self.drawn[y] if y < len(self.drawn) else []
        only_ascii = self.frame is not None and self.frame.options.ascii
        segments = [Segment(to_ascii(text, role) if only_ascii else text, self._look(role, base)) for text, role in row]
        return Strip(segments, row_width(row)).adjust_cell_length(self.size.width, base)

    def _look(self, role: Role | Style, base: Style) -> Style:
        if isinstance(role, Style):
            # A pixel says all of its look; a sum would be kept of each.
            return role if role.color and role.bgcolor else base + role
        if role not in self._looks:
            # Kept by the screen alone: Textual works out all component classes of each widget, 30 ms of a start.
            known = self.screen.get_component_rich_style(f"role--{role.value}", partial=True)
            self._looks[role] = base + known
        return self._looks[role]

    def notify_style_update(self) -> None:
        """Work the looks out again."""
        super().notify_style_update()
        self._base = None
        self._looks.clear()


def lettered(row: Row, letter: str) -> Row:
    """Return the row with a letter in its first cell."""
    (text, role), *more = row or [(" ", Role.TEXT)]
    return [(letter, Role.ALARM), (text[1:], role), *more]
