"""The keys of a config under their sections, and what one of them means."""

from collections.abc import Sequence

from loratui.sessions.config_form import FormRow, default_of, help_texts
from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span, cut, wrap
from loratui.ui.widgets.list_pane import ListPane
from loratui.ui.widgets.pane import Pane
from loratui_protocol.config_help import CHOICES

_KEY = 27
_LONGEST_KEY = 33
_STATES = ("set", "changed", "error")
_HOW_TO_BEGIN = (
    ("config_open", "open a config: of ours, of sd-scripts, kohya's GUI or OneTrainer"),
    ("config_new", "make one from a folder of pictures and a preset"),
)


class KeyList(ListPane[FormRow]):
    """All keys, under the names of their sections."""

    unit = " keys"
    name_of_file = ""
    trouble: Sequence[str] = ()
    """Why the file could not be opened, and what helps."""
    is_read = True
    is_dirty = False
    is_stale = False
    """Whether somebody else has changed the file since it was read."""

    def name_of(self, entry: FormRow) -> str:
        """Return the key."""
        return entry.key

    def yanked(self, entry: FormRow) -> str:
        """Return the key with its value."""
        return f"{entry.key} = {entry.value}" if entry.value else entry.key

    def matches(self, entry: FormRow, query: str) -> bool:
        """Look for words in the key and its section; ``set``, ``changed`` and ``error`` are states."""
        states = {"set": entry.is_set, "changed": entry.is_changed, "error": entry.trouble is not None}
        return all(
            states[word] if word in _STATES else word in entry.key or entry.section.startswith(word)
            for word in query.lower().split()
        )

    def heading(self, _: Frame) -> list[Span]:
        """Return the name of the file, and whether it is as it was read."""
        spans: list[Span] = [("config", Role.TITLE)]
        if self.name_of_file:
            spans.append((f"  {cut(self.name_of_file, 24)}", Role.STRONG))
        if self.is_dirty:
            spans.append((" *not written", Role.WARN))
        if self.is_stale:
            spans.append((" !changed on disk", Role.ALARM))
        return spans

    def nothing(self, frame: Frame) -> list[Row]:
        """Return what can be done, or why a file could not be opened."""
        if not self.is_read:
            return [[(" reading…", Role.DIM)]]
        if self.trouble:
            rows = [line for text in self.trouble for line in wrap(text, max(20, self.size.width - 2))]
            return [[(f" {line}", Role.ALARM if not at else Role.TEXT)] for at, line in enumerate(rows)]
        rows_of_keys: list[Row] = [
            [(f"   {frame.keys.name_of(action_id)}  ", Role.KEY), (about, Role.TEXT)]
            for action_id, about in _HOW_TO_BEGIN
        ]
        return [[(" No config is open.", Role.STRONG)], [], *rows_of_keys]

    def entry_row(self, entry: FormRow, width: int) -> Row:
        """Return the key and its value: ``=`` what the file sets, ``.`` a default."""
        mark = "!" if entry.trouble else "*" if entry.is_changed else " "
        sign, role = ("=", Role.STRONG) if entry.is_set else ("·", Role.DIM)
        value = entry.value if entry.value or entry.is_set else "unset"
        key = max(_KEY, min(_LONGEST_KEY, width // 2))
        return [
            (mark, Role.ALARM if entry.trouble else Role.WARN),
            (f"{cut(entry.key, key):<{key}}", Role.TEXT),
            (f" {sign} ", Role.DIM),
            (cut(value, max(1, width - key - 4)), role),
        ]

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return the keys in sight, and over each section its name."""
        if not self.found:
            return super().lines(frame, width, height)
        self.page = max(1, height - 2)
        self._first = min(self._first, self._cursor)
        while self._first and self._fits(self._first - 1, len(self.found) - 1, height):
            self._first -= 1
        while not self._fits(self._first, self._cursor, height):
            self._first += 1
        rows: list[Row] = []
        for index in range(self._first, len(self.found)):
            rows += [*self._section(index), self._line(index, width)]
        return rows[:height]

    def _fits(self, first: int, last: int, height: int) -> bool:
        return first >= last or sum(1 + len(self._section(at, first)) for at in range(first, last + 1)) <= height

    def _section(self, index: int, first: int | None = None) -> list[Row]:
        section = self.found[index].section
        is_first = index == (self._first if first is None else first)
        if not is_first and self.found[index - 1].section == section:
            return []
        return [[(f" [{section}]", Role.TITLE)]]


class KeyHelp(Pane):
    """What the chosen key means; in one row where there is no more room."""

    row: FormRow | None = None
    refused = ""
    """Why a value that was typed for it was not taken."""

    def title(self, _: Frame) -> list[Span]:
        """Return the key."""
        return [(self.row.key if self.row else "help", Role.TITLE)]

    def remark(self, _: Frame) -> str:
        """Return whether the file sets it, and its default."""
        if self.row is None:
            return ""
        return f"{'set' if self.row.is_set else 'not set'}; default: {cut(default_of(self.row.key) or 'unset', 16)}"

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:  # noqa: ARG002 - the same at all times
        """Return what is wrong with it, what it means, and the values that it takes."""
        if self.row is None:
            return []
        rows: list[Row] = []
        if told := self._told():
            rows += [[(f" {line}", Role.ALARM)] for line in wrap(f"! {told}", width - 2)]
        text = help_texts()[self.row.key]
        if choices := CHOICES.get(self.row.key):
            text = f"{text} One of: {', '.join(map(str, choices))}."
        rows += [[(f" {line}", Role.TEXT)] for line in wrap(text, width - 2)]
        return rows[:height]

    def compose_rows(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return title and text, or as much of the text as one row holds."""
        if height > 1 or self.row is None:
            return super().compose_rows(frame, width, height)
        told = self._told()
        text = f"! {told}" if told else help_texts()[self.row.key]
        return [[(f" {self.row.key}: ", Role.TITLE), (text, Role.ALARM if told else Role.TEXT)]]

    def _told(self) -> str:
        trouble = self.row.trouble if self.row else None
        return self.refused or (f"{trouble.what}: {trouble.fix}" if trouble else "")
