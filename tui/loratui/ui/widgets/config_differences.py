"""What differs: from another config, key by key, and from the file on the disk, line by line."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span, cells, cut
from loratui.ui.widgets.list_pane import ListPane
from loratui.ui.widgets.pane import Pane

if TYPE_CHECKING:
    from loratui.sessions.config_compare import Difference, Other

_KEY = 27


class OtherList(ListPane["Other"]):
    """What the config can be compared with."""

    def name_of(self, entry: "Other") -> tuple[str, str]:
        """Return its kind and name."""
        return entry.kind, entry.name

    def matches(self, entry: "Other", query: str) -> bool:
        """Look in kind, title and description."""
        words = f"{entry.kind} {entry.title} {entry.about}".lower()
        return all(word in words for word in query.lower().split())

    def heading(self, _: Frame) -> list[Span]:
        """Return what is asked."""
        return [("compare with", Role.TITLE)]

    def entry_row(self, entry: "Other", width: int) -> Row:  # noqa: ARG002 - cut by the caller
        """Return kind, title and description."""
        title = cut(entry.title, 24)
        return [
            (f"{entry.kind:<8}", Role.DIM),
            (title + " " * (26 - cells(title)), Role.STRONG),
            (entry.about, Role.TEXT),
        ]


class DifferenceList(ListPane["Difference"]):
    """What differs from another config: key, here, there."""

    there = ""

    def name_of(self, entry: "Difference") -> str:
        """Return the key."""
        return entry.key

    def matches(self, entry: "Difference", query: str) -> bool:
        """Look in the key."""
        return all(word in entry.key for word in query.lower().split())

    def heading(self, _: Frame) -> list[Span]:
        """Return what it is compared with."""
        return [("here against ", Role.TITLE), (cut(self.there, 40), Role.STRONG)]

    def yanked(self, entry: "Difference") -> str:
        """Return the key with both values."""
        return f"{entry.key}: {entry.here or 'unset'} here, {entry.there or 'unset'} there"

    def head(self, frame: Frame, width: int) -> list[Row]:  # noqa: ARG002 - the same at all times
        """Return the names of the columns."""
        return [[(row, Role.DIM) for row in _columns("  key", "  here", "  there", width)]]

    def nothing(self, _: Frame) -> list[Row]:
        """Return that nothing differs."""
        return [[(" nothing differs", Role.GOOD)]]

    def entry_row(self, entry: "Difference", width: int) -> Row:
        """Return the key and both values."""
        key, here, there = _columns(entry.key, entry.here or "unset", entry.there or "unset", width)
        return [(key, Role.TEXT), (here, Role.STRONG), (there, Role.TEXT)]


def _columns(key: str, here: str, there: str, width: int) -> tuple[str, str, str]:
    room = max(4, (width - _KEY - 2) // 2)
    return _padded(key, _KEY + 1), _padded(here, room), cut(there, room)


def _padded(text: str, columns: int) -> str:
    text = cut(text, columns - 1)
    return text + " " * (columns - cells(text))


class ChangePane(Pane):
    """How the file will differ, line by line."""

    changed: Sequence[str] = ()
    about = ""

    def title(self, _: Frame) -> list[Span]:
        """Return the file."""
        return [("what is written", Role.TITLE), (f"  {self.about}", Role.STRONG)]

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:  # noqa: ARG002 - the same at all times
        """Return the lines; where they are too many, those that change alone, and how many more of them there are.

        The question covers the last rows.
        """
        room = max(1, height - 3)
        roles = {"+": Role.GOOD, "-": Role.WARN, "@": Role.DIM}
        changed = self.changed
        if len(changed) > room:
            changed = [line for line in changed if line[:1] in ("+", "-") and line[:3] not in ("+++", "---")]
        rows: list[Row] = [[(f" {line}", roles.get(line[:1], Role.TEXT))] for line in changed]
        if len(rows) <= room:
            return rows
        return [*rows[: room - 1], [(f" and {len(rows) - room + 1} more lines", Role.DIM)]]
