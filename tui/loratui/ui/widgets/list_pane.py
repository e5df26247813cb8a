"""A list that is as long as it likes: only the rows in sight are made."""

from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

from textual.message import Message

from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span, wrap
from loratui.ui.widgets.pane import Pane

T = TypeVar("T")
_WHEEL_LINES = 3
_LONGEST_QUERY = 200


class ListPane(Pane, Generic[T]):
    """A subclass says how an entry is named, found, and drawn. The cursor stays on its entry when others come or go."""

    unit = ""
    """What is counted, where the name of the list does not say it."""

    class Moved(Message):
        """Another entry is chosen now."""

    grammar = ""
    """What a filter may say, where that is more than words."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self.entries: Sequence[T] = ()
        self.found: Sequence[T] = ()
        """The entries that match the filter."""
        self.marked: set[Hashable] = set()
        self.query_text = ""
        self.is_filtering = False
        """Whether printable keys are the filter's now."""
        self.has_cursor = True
        """Whether the keys of lists are this one's: of several on a page one has them."""
        self.page = 1
        self._cursor = 0
        self._first = 0

    # --- what a subclass says ----------------------------------------------------------------------------------------

    def name_of(self, entry: T) -> Hashable:
        """Return what stays the same of an entry while the list is filled anew."""
        raise NotImplementedError

    def matches(self, entry: T, query: str) -> bool:
        """Return whether the filter ``query``, which is not empty, lets the entry through."""
        raise NotImplementedError

    def entry_row(self, entry: T, width: int) -> Row:
        """Return an entry in ``width`` cells, without the sign of the cursor before it."""
        raise NotImplementedError

    def yanked(self, entry: T) -> str:  # noqa: ARG002 - of most it is the run's name that is wanted
        """Return what is worth taking along of an entry; empty: nothing of its own."""
        return ""

    def head(self, frame: Frame, width: int) -> list[Row]:  # noqa: ARG002 - most lists have none
        """Return the rows above the entries: names of columns, say."""
        return []

    def nothing(self, frame: Frame) -> list[Row]:  # noqa: ARG002 - the same at all times in most lists
        """Return what stands in an empty list."""
        return [[(" nothing here yet", Role.DIM)]]

    # --- entries and cursor ------------------------------------------------------------------------------------------

    @property
    def chosen(self) -> T | None:
        """Return the entry under the cursor; None: the list is empty."""
        return self.found[self._cursor] if self._cursor < len(self.found) else None

    @property
    def meant(self) -> list[T]:
        """Return the marked entries in the list's order, else the chosen one."""
        if self.marked:
            return [entry for entry in self.entries if self.name_of(entry) in self.marked]
        return [] if self.chosen is None else [self.chosen]

    def fill(self, entries: Sequence[T]) -> None:
        """Show these entries."""
        before = None if self.chosen is None else self.name_of(self.chosen)
        self.entries = entries
        names = {self.name_of(entry) for entry in entries} if self.marked else set()
        self.marked &= names
        self._find(before)

    def choose(self, name: Hashable) -> None:
        """Put the cursor on the entry of this name, if it is there."""
        self._find(name)

    def _find(self, name: Hashable | None, missing: int | None = None) -> None:
        """Find what matches, and put the cursor on ``name``; without it at ``missing``, None: where it was."""
        default = self._cursor if missing is None else missing
        query = self.query_text.strip()
        self.found = [entry for entry in self.entries if self.matches(entry, query)] if query else self.entries
        at = next((index for index, entry in enumerate(self.found) if self.name_of(entry) == name), default)
        self._cursor = max(0, min(at, len(self.found) - 1))
        self.rebuild()

    def move(self, by: int) -> None:
        """Move the cursor by so many entries."""
        at = max(0, min(len(self.found) - 1, self._cursor + by))
        if at != self._cursor:
            self._cursor = at
            self.rebuild()
            self.post_message(self.Moved())

    def turn(self, by: int) -> None:
        """Move the cursor by so many entries, round the ends."""
        if self.found:
            self.move((self._cursor + by) % len(self.found) - self._cursor)

    def mark(self) -> None:
        """Mark the chosen entry, or unmark it, and go to the next."""
        if self.chosen is not None:
            self.marked ^= {self.name_of(self.chosen)}
            self.rebuild()
            self.move(1)

    def on_mouse_scroll_up(self) -> None:
        """Go up."""
        self.move(-_WHEEL_LINES)

    def on_mouse_scroll_down(self) -> None:
        """Go down."""
        self.move(_WHEEL_LINES)

    # --- filter ------------------------------------------------------------------------------------------------------

    @property
    def is_filtered(self) -> bool:
        """Return whether a filter stands, and is not being typed."""
        return bool(self.query_text) and not self.is_filtering

    def set_query(self, query: str) -> None:
        """Show only what matches ``query``; the cursor stays on its entry if that does, else it goes to the first."""
        before = None if self.chosen is None else self.name_of(self.chosen)
        self.query_text = query[:_LONGEST_QUERY]
        self._find(before, missing=0)
        self.post_message(self.Moved())

    def press(self, key: str, character: str | None) -> bool:
        """Take a key of the filter while it is typed; return whether it was taken."""
        if key == "escape":
            self.is_filtering = False
            self.set_query("")
        elif key == "enter":
            self.is_filtering = False
            self.rebuild()
        elif key == "backspace":
            self.set_query(self.query_text[:-1])
        elif key == "ctrl+u":
            self.set_query("")
        elif key == "ctrl+w":
            self.set_query(self.query_text.rstrip().rpartition(" ")[0])
        elif character is not None and character.isprintable():
            self.set_query(self.query_text + character)
        else:
            return False
        return True

    # --- rows --------------------------------------------------------------------------------------------------------

    def heading(self, frame: Frame) -> list[Span]:
        """Return the name of the list."""
        raise NotImplementedError

    def title(self, frame: Frame) -> list[Span]:
        """Return the name of the list, how many entries are in sight, and the filter."""
        all_entries, found = len(self.entries), len(self.found)
        count = f"  {all_entries}{self.unit}" if found == all_entries else f"  {found} of {all_entries}{self.unit}"
        # None may be as many as are not read yet, or can't be: the list says which.
        spans = [*self.heading(frame), (count if all_entries else "", Role.TEXT)]
        if self.marked:
            spans.append((f"  {len(self.marked)} marked", Role.WARN))
        if self.is_filtering or self.query_text:
            spans += [("  / ", Role.KEY), (self.query_text, Role.STRONG)]
        if self.is_filtering:
            spans.append(("█", Role.KEY))
        elif self.is_filtered and self.has_cursor:
            # One may have come back here, and not remember that something is hidden.
            spans += [("  ", Role.TEXT), (frame.keys.name_of("found_all"), Role.KEY), (" shows all", Role.DIM)]
        return spans

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return the head and the entries in sight."""
        head = self.head(frame, width) if self.entries else []
        room = max(1, height - len(head))
        self.page = room
        if not self.entries:
            return self.nothing(frame)
        if not self.found:
            rows: list[Row] = [
                [(f" {line}", Role.DIM)] for line in wrap(self.grammar and f"it may say: {self.grammar}", width - 2)
            ]
            return [*head, [(" nothing matches the filter", Role.DIM)], *rows]
        self._first = max(0, min(self._first, self._cursor, len(self.found) - room))
        self._first = max(self._first, self._cursor - room + 1)
        return [*head, *(self._line(index, width) for index in self._in_sight(room))]

    def _in_sight(self, room: int) -> range:
        return range(self._first, min(self._first + room, len(self.found)))

    def _line(self, index: int, width: int) -> Row:
        entry = self.found[index]
        sign = ">" if index == self._cursor and self.has_cursor else " "
        mark = "*" if self.marked and self.name_of(entry) in self.marked else " "
        return [(sign, Role.KEY), (mark, Role.WARN), *self.entry_row(entry, width - 2)]
