"""Which other run the open one is compared with."""

from loratui.domain import formatting
from loratui.domain.overview import RunLine
from loratui.domain.run_stop import goes_to
from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span, spread
from loratui.ui.widgets.list_pane import ListPane
from loratui.ui.widgets.status import STATE_WORDS


class RunChoice(ListPane[RunLine]):
    """The runs that have trained, but for the open one, newest first."""

    def name_of(self, entry: RunLine) -> str:
        """Return its id."""
        return entry.id

    def matches(self, entry: RunLine, query: str) -> bool:
        """Look in name, place and id."""
        words = f"{entry.name} {entry.target} {entry.id}".lower()
        return all(word in words for word in query.lower().split())

    def heading(self, _: Frame) -> list[Span]:
        """Return what is asked."""
        return [("compare the loss with that of", Role.TITLE)]

    def remark(self, frame: Frame) -> str:
        """Return how to choose and leave."""
        return frame.keys.fill("{compare_choose} compares · {compare_close} closes")

    def nothing(self, _: Frame) -> list[Row]:
        """Return that there is none."""
        return [[(" no other run has made a step", Role.DIM)]]

    def entry_row(self, entry: RunLine, width: int) -> Row:
        """Return name, state, steps and day."""
        words, role = STATE_WORDS[entry.state]
        left: Row = [(entry.name, Role.STRONG), (f"  {words}  ", role), (f"{entry.step}/{goes_to(entry)}", Role.TEXT)]
        return spread(left, [(f"{formatting.day_and_time(entry.created_ts)} ", Role.DIM)], width)
