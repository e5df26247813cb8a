"""A widget with a titled line on top and, where it stands to the right of others, an edge on its left."""

from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span, rule
from loratui.ui.widgets.rows import Rows


class Pane(Rows):
    """A subclass says what stands in the title and in the lines."""

    is_pane = True
    edge = ""
    """The glyph where the title meets the edge; empty without an edge."""

    def title(self, frame: Frame) -> list[Span]:
        """Return the words in the titled line."""
        raise NotImplementedError

    def remark(self, frame: Frame) -> str:  # noqa: ARG002 - most panes have none
        """Return what stands at the end of the titled line."""
        return ""

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return the rows under the title."""
        raise NotImplementedError

    def compose_rows(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return the title and the lines, behind the edge if there is one; a pane that is alone has none."""
        if not self.edge or self.has_class("-whole"):
            return [rule(self.title(frame), width, self.remark(frame)), *self.lines(frame, width, height - 1)]
        lines = self.lines(frame, width - 1, height - 1)[: height - 1]
        lines += [[] for _ in range(height - 1 - len(lines))]
        title = rule(self.title(frame), width - 1, self.remark(frame))
        return [[(self.edge, Role.DIM), *title], *([("│", Role.DIM), *line] for line in lines)]
