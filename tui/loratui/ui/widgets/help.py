"""All keys on one page, read from the registry."""

from typing import TYPE_CHECKING

from loratui.ui.frame import Frame
from loratui.ui.registry import Action, Scope, shown
from loratui.ui.text import Role, Row, Span, pad
from loratui.ui.widgets.pane import Pane

if TYPE_CHECKING:
    from loratui.ui.shell import Shell

_KEYS = 9
_TWO_COLUMNS = 70


class HelpPane(Pane):
    """Shown over the page, whose keys come first; the status rows stay in sight."""

    def __init__(self, shell: "Shell", *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self._shell = shell

    def title(self, _: Frame) -> list[Span]:
        """Return the name of the page."""
        return [("keys", Role.TITLE)]

    def remark(self, frame: Frame) -> str:
        """Return how to leave."""
        return frame.keys.fill("{help_close} closes")

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:  # noqa: ARG002 - the same at all times
        """Return the actions by scope, in two columns where there is room."""
        entries: list[Row] = []
        for scope in (*self._shell.keyboard.of_page, Scope.GLOBAL):
            entries.append([(f" {scope.value}", Role.STRONG)])
            entries += [_entry(action) for action in self._shell.actions.within(scope)]
        if width < _TWO_COLUMNS:
            return entries
        half = max(height, -(-len(entries) // 2))
        column = width // 2
        left, right = entries[:half], entries[half:]
        right += [[] for _ in range(len(left) - len(right))]
        return [[*pad(one, column - 1), (" ", Role.TEXT), *two] for one, two in zip(left, right, strict=False)]


def _entry(action: Action) -> Row:
    keys = " ".join(shown(key) for key in action.keys)
    return [(f" {keys:<{_KEYS}}", Role.KEY), (f" {action.label}", Role.TEXT)]
