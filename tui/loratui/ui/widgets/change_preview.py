"""The edit that is asked about: what becomes of the first files, in the place of the page."""

from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span
from loratui.ui.widgets.data_lists import shortened
from loratui.ui.widgets.pane import Pane

_LOOKS = {"-": Role.WARN, "+": Role.GOOD}


class ChangePreview(Pane):
    """Shows names, and lines that go (``-``) and come (``+``)."""

    said: tuple[str, ...] = ()

    def title(self, _: Frame) -> list[Span]:
        """Return what is shown."""
        return [("what would change", Role.TITLE)]

    def lines(self, _: Frame, width: int, height: int) -> list[Row]:
        """Return as many lines as there is room for over the question."""
        return [[(f" {shortened(line, width - 1)}", _LOOKS.get(line[:1], Role.TEXT))] for line in self.said[:height]]
