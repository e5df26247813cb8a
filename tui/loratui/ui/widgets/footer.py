"""The last row: the keys of this screen, or for a few seconds what an action came to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.events import Click
from textual.message import Message

from loratui.ui.frame import Frame
from loratui.ui.over import Over
from loratui.ui.registry import Action, Scope
from loratui.ui.text import Role, Row, row_width, spread, wrap
from loratui.ui.widgets.rows import Rows

if TYPE_CHECKING:
    from loratui.ui.shell import Shell

_MOST_ROWS = 5
"""Of a notice."""


class Footer(Rows):
    """Key hints, read from the registry, which a mouse may click; what can't be done now is dim and in brackets."""

    @dataclass
    class Chosen(Message):
        """A hint was clicked."""

        action: Action

    def __init__(self, shell: "Shell", *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self._shell = shell
        self._places: list[tuple[range, Action]] = []
        self.whole = WholeNotice(id="notice")

    def show(self, frame: Frame) -> None:
        """Take a new frame, and show all of a notice that one row is too short for."""
        self.whole.columns = 0 if self._shell.is_asking else self.size.width
        self.whole.show(frame)
        super().show(frame)

    def compose_rows(self, frame: Frame, width: int, height: int) -> list[Row]:  # noqa: ARG002 - always one row
        """Return one row: as many hints as fit, of what can be done now before the rest, in the registry's order."""
        right = [
            *_hint(self._shell.actions["palette"], "Cmds"),
            *_hint(self._shell.actions["help"], "Help"),
            (" ", Role.TEXT),
        ]
        self._places = []
        if frame.notice:
            notice: Row = [(f" {frame.notice}", Role.STRONG)]
            # What may bill ends with what to do about it, which must not be cut.
            return [spread(notice, right if row_width([*notice, *right]) < width else [], width)]
        if self._shell.over is Over.PALETTE:
            # What is typed is looked for; the palette itself says how.
            return [spread([], right, width)]
        if self._shell.keyboard.is_filtering:
            return [spread([*_keys("enter", "Keep the filter"), *_keys("esc", "Show all")], right, width)]
        left: Row = []
        for action, hint in self._fitting(frame, width - row_width(right)):
            start = row_width(left)
            left += hint
            self._places.append((range(start, row_width(left)), action))
        return [spread(left, right, width)]

    def _fitting(self, frame: Frame, room: int) -> list[tuple[Action, Row]]:
        """Return the hints for which there is room, in the registry's order."""
        keyboard = self._shell.keyboard
        scopes = keyboard.of_page if self._shell.over is Over.NOTHING else keyboard.unasked
        hints = list[tuple[tuple[bool, bool], Action, Row]]()
        for action in self._shell.actions.within(*scopes, Scope.GLOBAL):
            if label := "" if keyboard.is_hidden(action) else action.footer(frame):
                is_off = bool(keyboard.why_not(action, frame))
                # While a filter stands, what ends that comes first.
                hints.append(((is_off, action.scope is not Scope.FOUND), action, _hint(action, label, off=is_off)))
        fitting = set[str]()
        for _, action, hint in sorted(hints, key=lambda each: each[0]):
            if row_width(hint) < room:
                room -= row_width(hint)
                fitting.add(action.id)
        return [(action, hint) for _, action, hint in hints if action.id in fitting]

    def on_click(self, event: Click) -> None:
        """Tell which hint was clicked."""
        for place, action in self._places:
            if event.x in place:
                self.post_message(self.Chosen(action))


class WholeNotice(Rows):
    """A notice in as many rows as it takes, over the footer and what is above; out of sight where one row holds it."""

    columns = 0
    """As wide as the screen; 0: a question stands there."""
    _lines: Sequence[str] = ()

    def show(self, frame: Frame) -> None:
        """Take a new frame, and as much room as its notice needs."""
        lines = wrap(frame.notice, self.columns - 2)[:_MOST_ROWS] if self.columns else []
        self.display = len(lines) > 1
        if self.display:
            self._lines, self.styles.height = lines, len(lines)
        super().show(frame)

    def compose_rows(self, frame: Frame, width: int, height: int) -> list[Row]:  # noqa: ARG002 - as high as it is
        """Return the notice."""
        return [[(f" {line}", Role.STRONG)] for line in self._lines]


def _hint(action: Action, label: str, *, off: bool = False) -> Row:
    # Brackets, for where there is no colour.
    return [(f" ({action.key} {label})", Role.DIM)] if off else _keys(action.key, label)


def _keys(key: str, label: str) -> Row:
    return [(f" {key}", Role.KEY), (f" {label}", Role.TEXT)]
