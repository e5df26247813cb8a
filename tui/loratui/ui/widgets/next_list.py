"""What to try after a run: the findings as a list, and the change of the config that the chosen one stands for."""

from typing import TYPE_CHECKING

from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span, cut, wrap
from loratui.ui.widgets.list_pane import ListPane
from loratui.ui.widgets.pane import Pane

if TYPE_CHECKING:
    from loratui.sessions.next_steps import Change


class NextList(ListPane["Change"]):
    """The findings, the one that causes others first."""

    is_read = False
    trouble = ""
    """Why nothing can be said of the run; empty: it can."""

    def name_of(self, entry: "Change") -> str:
        """Return the finding's code."""
        return entry.remedy.code

    def matches(self, entry: "Change", query: str) -> bool:
        """Look in code and words."""
        words = f"{entry.remedy.code} {entry.remedy.what} {entry.remedy.fix}".lower()
        return all(word in words for word in query.lower().split())

    def heading(self, _: Frame) -> list[Span]:
        """Return what the list is."""
        return [("what to try next", Role.TITLE)]

    def remark(self, frame: Frame) -> str:
        """Return the keys that work here."""
        goes_on = self.chosen is not None and self.chosen.command
        does = "has the run go on" if goes_on else "writes a config"
        return frame.keys.fill(f"{{next_write}} {does} · {{next_close}} back")

    def nothing(self, _: Frame) -> list[Row]:
        """Return that nothing is found, or not yet."""
        if self.trouble:
            return [[(f" {self.trouble}", Role.WARN)]]
        said = "nothing that was measured asks for a change" if self.is_read else "reading…"
        return [[(f" {said}", Role.DIM)]]

    def entry_row(self, entry: "Change", width: int) -> Row:
        """Return the code and the finding."""
        code = f"{entry.remedy.code}  "
        return [(code, Role.STRONG), (cut(entry.remedy.what, max(1, width - len(code))), Role.TEXT)]


class NextPane(Pane):
    """The chosen finding whole: its evidence, what to do, the lines of the config that change, and what it costs."""

    change: "Change | None" = None

    def title(self, _: Frame) -> list[Span]:
        """Return the code."""
        acts = self.change is not None and (self.change.text or self.change.command)
        return [("the change" if acts else "the finding", Role.TITLE)]

    def lines(self, _: Frame, width: int, height: int) -> list[Row]:
        """Return sentences and changed lines."""
        if self.change is None:
            return []
        remedy = self.change.remedy
        rows: list[Row] = [[(f" {line}", Role.STRONG)] for line in wrap(remedy.what, width - 2)]
        rows += [[(f" {line}", Role.TEXT)] for line in wrap(remedy.fix, width - 2)]
        for said in self.change.price:
            rows += [[(f" {line}", Role.TEXT)] for line in wrap(said, width - 2)]
        rows += [[(f" {line}", Role.KEY)] for line in wrap(self.change.command, width - 2) if line]
        # The two lines with names above say nothing here.
        changed = self.change.diff.splitlines()[2:]
        rows += [[(f"   {line}", _LOOKS.get(line[:1], Role.DIM))] for line in changed if not line.startswith("@@")]
        return rows[:height]


_LOOKS = {"+": Role.GOOD, "-": Role.WARN}
