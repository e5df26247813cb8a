"""A page of sentences, broken into lines of the width that there is."""

from collections.abc import Sequence

from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span, wrap
from loratui.ui.widgets.pane import Pane

Paragraph = tuple[str, Role]


class Paper(Pane):
    """Says what its owner writes on it; of more than there is room for the beginning, or with ``is_tail`` the end."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self.heading = ""
        self.paragraphs: Sequence[Paragraph] = ()
        self.is_tail = False
        self.reserved = 0
        """Rows at the foot that something else covers."""

    def title(self, _: Frame) -> list[Span]:
        """Return the heading."""
        return [(self.heading, Role.TITLE)]

    def remark(self, frame: Frame) -> str:
        """Return how to leave."""
        return frame.keys.fill("{offers_back} closes")

    def lines(self, _: Frame, width: int, height: int) -> list[Row]:
        """Return the paragraphs."""
        rows: list[Row] = []
        for text, role in self.paragraphs:
            rows += [[(f" {line}", role)] for line in wrap(text, width - 2)] if text else [[]]
        room = max(0, height - self.reserved)
        return rows[max(0, len(rows) - room) :] if self.is_tail else rows[:room]
