"""A log of any length: a window of it is held here, and only what is in sight is drawn."""

from collections.abc import Callable, Sequence

from loratui.sessions.run_log import LEVELS, LogPage, StoredLine
from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span, cells, cut, plain, row_width
from loratui.ui.widgets.log_pane import line_row
from loratui.ui.widgets.pane import Pane

MOST_LINES = 2_000
"""That are held; beyond them the window slides."""
_EDGE_LINES = 150
"""So near to an end of the window the next page is asked for."""
_WHEEL_LINES = 3
_LEVEL_WORDS = dict(zip(LEVELS, ("all lines", "warnings and errors", "errors"), strict=True))


class LogLines(Pane):
    """Shows a window of the log that slides with what is looked at; ``wanting`` is called after each move."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self.wanting: Callable[[], None] = lambda: None
        self.least = LEVELS[0]
        self.is_wrapped = False
        self.is_following = True
        self.found_seq: int | None = None
        self.trouble = ""
        self.is_read = False
        self.window: list[StoredLine] = []
        self.first_seq = 0
        """Records from here to ``last_seq`` were read for the window."""
        self.last_seq = 0
        self.has_older = self.has_newer = False
        self._top = 0
        """The first line in sight, while nothing is followed."""
        self._num_shown = 1

    # --- the window --------------------------------------------------------------------------------------------------

    def clear(self) -> None:
        """Forget everything: another run, or another level."""
        self.window, self.is_read, self.trouble = [], False, ""
        self.has_older = self.has_newer = False
        self.first_seq = self.last_seq = self._top = 0
        self.is_following = True
        self.rebuild()

    def put(self, older: LogPage | None, newer: LogPage | None, *, top_seq: int | None) -> None:
        """Hold what was read instead, older lines before newer ones; ``top_seq`` comes into sight; None: the newest."""
        pages = [page for page in (older, newer) if page is not None]
        self.window = [line for page in pages for line in page.lines]
        self.first_seq, self.last_seq = pages[0].first_seq, pages[-1].last_seq
        self.has_older = older is not None and not older.is_end
        self.has_newer = newer is not None and not newer.is_end
        self.is_read, self.is_following = True, top_seq is None
        self._top = 0
        if top_seq is not None:
            self.show_seq(top_seq)
        self.rebuild()

    def add_older(self, page: LogPage) -> None:
        """Put a page before the window, and let go of as much at its end."""
        self.window[:0] = page.lines
        self._top += len(page.lines)
        self.first_seq, self.has_older = page.first_seq, not page.is_end
        if len(self.window) > MOST_LINES and not self.is_following:
            del self.window[MOST_LINES:]
            self.last_seq, self.has_newer = self.window[-1].seq, True
        self.rebuild()

    def add_newer(self, page: LogPage) -> None:
        """Put a page behind the window, and let go of as much at its beginning."""
        self.window += page.lines
        self.last_seq, self.has_newer = page.last_seq, not page.is_end
        if (surplus := len(self.window) - MOST_LINES) > 0:
            del self.window[:surplus]
            self._top = max(0, self._top - surplus)
            self.first_seq, self.has_older = self.window[0].seq, True
        self.rebuild()

    @property
    def wants_older(self) -> bool:
        """Return whether lines before the window may soon be looked at."""
        return self.has_older and self.top < _EDGE_LINES

    @property
    def wants_newer(self) -> bool:
        """Return whether lines behind the window may soon be looked at."""
        return self.has_newer and self.top + self._num_shown > len(self.window) - _EDGE_LINES

    # --- moving ------------------------------------------------------------------------------------------------------

    @property
    def page(self) -> int:
        """Return how many lines a page key moves by."""
        return max(1, self._num_shown - 1)

    @property
    def top(self) -> int:
        """Return the first line in sight."""
        return max(0, len(self.window) - self._num_shown) if self.is_following else self._top

    def move(self, by: int) -> None:
        """Move by lines; whoever comes to the end follows."""
        last_top = max(0, len(self.window) - self._num_shown)
        at = max(0, self.top + by)
        self.is_following = at >= last_top and not self.has_newer and (by > 0 or not last_top)
        self._top = min(at, last_top)
        self.rebuild()
        self.wanting()

    def follow(self) -> None:
        """Show the newest lines."""
        self.is_following, self.found_seq = True, None
        self.rebuild()

    def show_seq(self, seq: int) -> bool:
        """Bring a line into sight and return whether it is in the window."""
        at = next((index for index, line in enumerate(self.window) if line.seq >= seq), None)
        if at is None or self.window[at].seq != seq:
            return False
        self.is_following = False
        if not self._top <= at < self._top + self._num_shown:
            self._top = max(0, at - self._num_shown // 3)
        self.rebuild()
        return True

    def seq_in_sight(self) -> int:
        """Return the record of the line that was found, else of the first in sight."""
        if self.found_seq is not None:
            return self.found_seq
        return self.window[self.top].seq if self.window else 0

    def line_in_sight(self) -> str:
        """Return the line that was found; else the newest where it is followed, and the first in sight elsewhere."""
        if not self.window:
            return ""
        found = next((line for line in self.window if line.seq == self.found_seq), None)
        return (found or self.window[-1 if self.is_following else self.top]).text

    def on_mouse_scroll_up(self) -> None:
        """Show older lines."""
        self.move(-_WHEEL_LINES)

    def on_mouse_scroll_down(self) -> None:
        """Show newer lines."""
        self.move(_WHEEL_LINES)

    # --- rows --------------------------------------------------------------------------------------------------------

    def title(self, frame: Frame) -> list[Span]:
        """Return whose log it is, and which lines of it."""
        spans: list[Span] = [("log", Role.TITLE)]
        if frame.run is not None:
            spans.append((f"  {cut(frame.run.name, 30)}", Role.TEXT))
        return [*spans, (f"  {_LEVEL_WORDS[self.least]}", Role.TEXT if self.least == LEVELS[0] else Role.WARN)]

    def remark(self, frame: Frame) -> str:
        """Return whether new lines are followed."""
        return "follow" if self.is_following else frame.keys.fill("scrolled · {line_last} follows")

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return the lines in sight."""
        if height <= 0:
            return []
        if self.trouble:
            return [[(f" ! the log can't be read: {self.trouble}", Role.ALARM)]]
        if not self.window:
            return [[(self._nothing(frame), Role.DIM)]]
        rows = [] if self.is_following else self._from_top(width, height)
        if len(rows) < height:
            rows = self._to_the_end(width, height)
        return rows

    def _nothing(self, frame: Frame) -> str:
        if frame.run is None:
            return frame.keys.fill(" No run is open. {go_home} lists all runs; {open_run} opens one.")
        if not self.is_read:
            return " reading…"
        return (
            frame.keys.fill(" no such lines; {line_level} shows others")
            if self.least != LEVELS[0]
            else " nothing was logged yet"
        )

    def _from_top(self, width: int, height: int) -> list[Row]:
        rows: list[Row] = []
        at = self._top
        while at < len(self.window) and len(rows) < height:
            rows += self._rows_of(self.window[at], width, height)
            at += 1
        self._num_shown = max(1, at - self._top - (1 if len(rows) > height else 0))
        return rows[:height]

    def _to_the_end(self, width: int, height: int) -> list[Row]:
        blocks: list[list[Row]] = []
        at, room = len(self.window), height
        while at > 0 and room > 0:
            at -= 1
            blocks.append(self._rows_of(self.window[at], width, height))
            room -= len(blocks[-1])
        self._num_shown = max(1, len(self.window) - at)
        self._top = at
        return [row for block in reversed(blocks) for row in block][-height:]

    def _rows_of(self, line: StoredLine, width: int, height: int) -> list[Row]:
        *before, (text, role) = line_row(line)
        sign: Span = (">", Role.KEY) if line.seq == self.found_seq else (" ", Role.TEXT)
        start: Row = [sign, *before]
        if not self.is_wrapped:
            return [[*start, (text, role)]]
        indent = row_width(start)
        first, *others = folded(text, max(10, width - indent), height)
        return [[*start, (first, role)], *([(" " * indent, Role.TEXT), (piece, role)] for piece in others)]


def folded(text: str, limit: int, most: int) -> Sequence[str]:
    """Return the text as at most ``most`` plain lines of ``limit`` cells; only words longer than a line are broken."""
    rest, pieces = plain(text), list[str]()
    while len(pieces) < most - 1 and cells(rest) > limit:
        end = _fitting(rest, limit)
        space = rest.rfind(" ", 0, end + 1)
        if rest[: max(0, space)].strip() and cells(_word_at(rest, space + 1, limit)) <= limit:
            end = space
        pieces.append(rest[:end].rstrip(" "))
        rest = rest[end:].removeprefix(" ")
    return [*pieces, cut(rest, limit)]


def _word_at(text: str, start: int, limit: int) -> str:
    """Return the word that starts there, or as much of it as is longer than ``limit`` cells can hold."""
    end = text.find(" ", start, start + limit + 1)
    return text[start : start + limit + 1 if end < 0 else end]


def _fitting(text: str, limit: int) -> int:
    """Return how many characters of a plain text fit into so many cells, at least one."""
    if text[:limit].isascii():
        return limit
    used = 0
    for index, char in enumerate(text):
        used += cells(char)
        if used > limit:
            return max(1, index)
    return len(text)
