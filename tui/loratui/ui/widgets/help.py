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


_PAGING = {"pagedown": 1, "space": 1, "down": 1, "j": 1, "pageup": -1, "up": -1, "k": -1}


class HelpPane(Pane):
    """Shown over the page, whose keys come first; the status rows stay in sight."""

    def __init__(self, shell: "Shell", *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self._shell = shell
        self.first = 0
        """The number of the first entry that is shown."""

    def title(self, _: Frame) -> list[Span]:
        """Return the name of the page."""
        return [("keys", Role.TITLE)]

    def remark(self, frame: Frame) -> str:
        """Return which page it is, and how to leave."""
        page, num_pages = self._page
        pages = f"page {page + 1} of {num_pages} · {{help_further}} · " if num_pages > 1 else ""
        return frame.keys.fill(pages + "{help_close} closes")

    def do_help_further(self) -> None:
        """Show the next page."""
        self._turn(1)

    def do_help_before(self) -> None:
        """Show the page before."""
        self._turn(-1)

    def _turn(self, by: int) -> None:
        page, num_pages = self._page
        self.first = max(0, min(num_pages - 1, page + by)) * self._room
        self.rebuild()

    @property
    def _room(self) -> int:
        """Return how many entries one page has."""
        columns, rows = self.room
        return max(1, rows - 1) * (2 if columns >= _TWO_COLUMNS else 1)

    @property
    def _page(self) -> tuple[int, int]:
        """Return which page is shown, and of how many; a window that grows has fewer."""
        num_pages = -(-len(self._entries()) // self._room)
        return min(self.first // self._room, num_pages - 1), num_pages

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:  # noqa: ARG002 - the same at all times
        """Return a page of the actions by scope, in two columns where there is room."""
        start = self._page[0] * self._room
        entries = self._entries()[start : start + self._room]
        if width < _TWO_COLUMNS:
            return entries
        column = width // 2
        left, right = entries[:height], entries[height:]
        right += [[] for _ in range(len(left) - len(right))]
        return [[*pad(one, column - 1), (" ", Role.TEXT), *two] for one, two in zip(left, right, strict=False)]

    def _entries(self) -> list[Row]:
        entries: list[Row] = []
        for scope in (*self._shell.keyboard.of_page, Scope.GLOBAL):
            entries.append([(f" {scope.value}", Role.STRONG)])
            entries += [_entry(action) for action in self._shell.actions.within(scope)]
        return entries


def _entry(action: Action) -> Row:
    keys = " ".join(shown(key) for key in action.keys)
    return [(f" {keys:<{_KEYS}}", Role.KEY), (f" {action.label}", Role.TEXT)]
