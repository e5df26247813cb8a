"""The last row: the keys of this screen, or for a few seconds what an action came to."""

from loratui.ui.actions import ACTIONS
from loratui.ui.frame import Frame
from loratui.ui.registry import Scope
from loratui.ui.text import Role, Row, row_width, spread
from loratui.ui.widgets.rows import Rows


class Footer(Rows):
    """Key hints, read from the registry; what can't be done now is dim."""

    def compose_rows(self, frame: Frame, width: int, height: int) -> list[Row]:  # noqa: ARG002 - always one row
        """Return one row."""
        palette, help_ = ACTIONS["palette"], ACTIONS["help"]
        right: Row = [(palette.key, Role.KEY), (" Cmds ", Role.TEXT), (help_.key, Role.KEY), (" Help ", Role.TEXT)]
        if frame.notice:
            return [spread([(f" {frame.notice}", Role.STRONG)], right, width)]
        return [spread(_hints(frame, width), right, width)]


def _hints(frame: Frame, limit: int) -> Row:
    """Return as many hints as fit, the important ones being first in the registry."""
    hints: Row = []
    room = limit - 17
    for action in ACTIONS.within(Scope.RUN):
        label = action.footer(frame)
        if not label:
            continue
        off = bool(action.why_not(frame))
        hint: Row = [(f" {action.key}", Role.DIM if off else Role.KEY), (f" {label}", Role.DIM if off else Role.TEXT)]
        room -= row_width(hint)
        if room < 0:
            break
        hints += hint
    return hints
