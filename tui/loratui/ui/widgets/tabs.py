"""The row of the screens, with their keys; the one that is shown is marked."""

from collections.abc import Mapping
from dataclasses import dataclass

from textual.events import Click
from textual.message import Message

from loratui.ui.frame import Frame
from loratui.ui.places import PLACES
from loratui.ui.text import Role, Row, row_width
from loratui.ui.widgets.rows import Rows


class TabsRow(Rows):
    """One row; where all titles don't fit, the others are their keys alone."""

    @dataclass
    class Chosen(Message):
        """A tab was clicked."""

        place: str

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self.letters: Mapping[str, str] = {}
        """Instead of the keys, while one is jumped to."""
        self._tabs: list[tuple[range, str]] = []

    def compose_rows(self, frame: Frame, width: int, height: int) -> list[Row]:  # noqa: ARG002 - always one row
        """Return the row."""
        row = self._row(frame, with_titles=True)
        return [row if row_width(row) <= width else self._row(frame, with_titles=False)]

    def _row(self, frame: Frame, *, with_titles: bool) -> Row:
        row: Row = []
        self._tabs = []
        for place in PLACES:
            start, key = row_width(row), self.letters.get(place.name) or frame.keys.name_of(f"go_{place.name}")
            sign = Role.ALARM if self.letters else Role.KEY
            if place.name == frame.place:
                of_key = sign if self.letters else Role.TITLE
                row += [("▌", Role.TITLE), (key, of_key), (f"{place.title}▐", Role.TITLE)]
            else:
                row += [(" ", Role.TEXT), (key, sign), (f"{place.title if with_titles else ''} ", Role.DIM)]
            self._tabs.append((range(start, row_width(row)), place.name))
        return row

    def on_click(self, event: Click) -> None:
        """Tell which tab was clicked."""
        for place, name in self._tabs:
            if event.x in place:
                self.post_message(self.Chosen(name))
