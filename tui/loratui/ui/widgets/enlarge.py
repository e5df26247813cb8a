"""What a window that is too small for a screen shows."""

from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row
from loratui.ui.widgets.rows import Rows


class Enlarge(Rows):
    """Stands in for a body that has no room."""

    def compose_rows(self, frame: Frame, width: int, height: int) -> list[Row]:  # noqa: ARG002 - one row
        """Return one row."""
        return [[(" enlarge the window to 60x16", Role.WARN)]]
