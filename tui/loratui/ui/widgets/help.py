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
        self._page = 0
        self._num_pages = 1

    def open(self) -> None:
        """Begin with the first page."""
        self._page = 0

    def press(self, key: str) -> bool:
        """Turn the page, where not all keys have room on one; return whether that is what the key does here."""
        if key not in _PAGING:
            return False
        self._page = max(0, min(self._num_pages - 1, self._page + _PAGING[key]))
        self.rebuild()
        return True

    def title(self, _: Frame) -> list[Span]:
        """Return the name of the page."""
        return [("keys", Role.TITLE)]

    def remark(self, frame: Frame) -> str:
        """Return how to leave, and how to see the rest."""
        of = f"page {self._page + 1} of {self._num_pages} · pgdn pgup · " if self._num_pages > 1 else ""
        return of + frame.keys.fill("{help_close} closes")

    def compose_rows(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return the title and a page of keys; how many pages there are is known before the title says so."""
        num_entries, on_page = len(self._entries()), max(1, height - 1) * _num_columns(width)
        self._num_pages = -(-num_entries // on_page)
        self._page = min(self._page, self._num_pages - 1)
        return super().compose_rows(frame, width, height)

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:  # noqa: ARG002 - the same at all times
        """Return the actions by scope, in two columns where there is room."""
        height = max(1, height)
        columns = _num_columns(width)
        entries = self._entries()[self._page * height * columns :]
        if columns == 1:
            return entries[:height]
        # All on one page stand in columns of one length.
        rows = height if self._num_pages > 1 else -(-len(entries) // 2)
        left, right = entries[:rows], entries[rows : rows * 2]
        right += [[] for _ in range(len(left) - len(right))]
        return [[*pad(one, width // 2 - 1), (" ", Role.TEXT), *two] for one, two in zip(left, right, strict=True)]

    def _entries(self) -> list[Row]:
        entries: list[Row] = []
        for scope in (*self._shell.keyboard.of_page, Scope.GLOBAL):
            entries.append([(f" {scope.value}", Role.STRONG)])
            entries += [_entry(action) for action in self._shell.actions.within(scope)]
        return entries


def _num_columns(width: int) -> int:
    return 1 if width < _TWO_COLUMNS else 2


def _entry(action: Action) -> Row:
    keys = " ".join(shown(key) for key in action.keys)
    return [(f" {keys:<{_KEYS}}", Role.KEY), (f" {action.label}", Role.TEXT)]
