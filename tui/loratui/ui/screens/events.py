"""The events screen: what was said in the last row, also while nobody looked, with its time."""

from typing import TYPE_CHECKING

from textual.app import ComposeResult

from loratui.ui.frame import Frame
from loratui.ui.notices import Said
from loratui.ui.page import Page
from loratui.ui.registry import Scope
from loratui.ui.text import Role, Row, Span, plain, wrap
from loratui.ui.widgets.list_pane import ListPane
from loratui.ui.widgets.pane import Pane

if TYPE_CHECKING:
    from loratui.ui.shell import Shell


class EventList(ListPane[Said]):
    """Notices, the newest first."""

    def name_of(self, entry: Said) -> int:
        """Return its number."""
        return entry.number

    def matches(self, entry: Said, query: str) -> bool:
        """Look in its words."""
        return all(word in entry.text.lower() for word in query.lower().split())

    def heading(self, _: Frame) -> list[Span]:
        """Return the name of the list."""
        return [("events", Role.TITLE)]

    def nothing(self, _: Frame) -> list[Row]:
        """Return that nothing was said."""
        return [[(" nothing was said since this was opened", Role.DIM)]]

    def entry_row(self, entry: Said, width: int) -> Row:  # noqa: ARG002 - cut by the caller
        """Return when it was said, and what; an alarm has its sign."""
        times = f" ({entry.times} times)" if entry.times > 1 else ""
        role = Role.ALARM if entry.text.startswith("!") else Role.TEXT
        return [(f"{entry.at:%H:%M:%S}  ", Role.DIM), (plain(entry.text), role), (times, Role.DIM)]


class WholeEvent(Pane):
    """All of the chosen notice: rows are cut."""

    entry: Said | None = None

    def title(self, _: Frame) -> list[Span]:
        """Return when it was said."""
        return [("said" if self.entry is None else f"said {self.entry.at:%Y-%m-%d %H:%M:%S}", Role.TITLE)]

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:  # noqa: ARG002 - the same at all times
        """Return its words."""
        words = [] if self.entry is None else wrap(self.entry.text, width - 2)
        return [[(f" {line}", Role.TEXT)] for line in words[: max(0, height)]]


class EventsPage(Page):
    """Lists what was said."""

    place = "events"
    own_scopes = (Scope.ASIDE,)

    def __init__(self, shell: "Shell") -> None:
        super().__init__(shell)
        self.main_list = self._list = EventList(id="event-list")
        self._whole_event = WholeEvent(id="event")

    def compose(self) -> ComposeResult:
        """Put the list over the chosen one."""
        yield self._list
        yield self._whole_event

    def show(self, frame: Frame) -> None:
        """Fill the list; what comes in is on top, and the cursor stays on its entry."""
        is_on_newest = self._list.chosen is None or self._list.chosen is self._list.entries[0]
        newest_first = self.shell.notices.newest_first()
        self._list.fill(newest_first)
        if is_on_newest and newest_first:
            self._list.choose(newest_first[0].number)
        self._whole_event.entry = self._list.chosen
        super().show(frame)

    def on_list_pane_moved(self) -> None:
        """Show the chosen one whole."""
        self._whole_event.entry = self._list.chosen
        self._whole_event.rebuild()

    def yank_text(self) -> str:
        """Return the chosen notice."""
        return "" if self._list.chosen is None else plain(self._list.chosen.text)
