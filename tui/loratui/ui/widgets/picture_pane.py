"""The chosen picture as half-blocks, drawn by a thread, with its caption and what is known of it."""

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from textual.timer import Timer

from loratui.sessions.dataset import Found, Listed
from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span, wrap
from loratui.ui.widgets.data_lists import ROLES, finding_rows, shortened
from loratui.ui.widgets.half_block import picture_rows
from loratui.ui.widgets.pane import Pane

Key = tuple[Path, int, int]
Work = Callable[[Callable[[], None], str], None]
_MOST_KEPT = 12
_REST_S = 0.1
"""So long the cursor rests before a picture is drawn: it costs as much as a whole screen."""
_MOST_CHARS = 4096
"""Of a caption, which is wrapped anew with every picture that is chosen."""
_LEAST_LINES = 4
_TEXT_LINES = 9
"""Under the picture."""
_SLOW_COLUMNS = 18
"""On a thin line a picture is small: a cell costs some twenty bytes."""


class PicturePane(Pane):
    """Draws one picture at a time; while the cursor runs, those that it has left behind are not drawn any more."""

    entry: Listed | None = None
    found: tuple[Found, ...] = ()
    """What was found of the picture."""
    finding: Found | None = None
    """Shown in place of a picture."""

    def __init__(self, work: Work, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self._work = work
        self._drawn: OrderedDict[Key, list[Row]] = OrderedDict()
        self._wanted: Key | None = None
        self._is_drawing = False
        self._rest: Timer | None = None

    def title(self, _: Frame) -> list[Span]:
        """Return the name of the picture, or the code of the finding."""
        if self.finding is not None:
            return [(self.finding.finding.code, Role.TITLE)]
        return [("picture" if self.entry is None else shortened(self.entry.name, self.size.width), Role.TITLE)]

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return the finding, or the picture over its facts, what was found of it, and the caption."""
        if self.finding is not None:
            return finding_rows(self.finding, width, height)
        if self.entry is None:
            return []
        text = self._text(self.entry, width)
        room = height - min(len(text), _TEXT_LINES)
        columns = min(width, _SLOW_COLUMNS) if frame.options.slow else width
        is_drawn = frame.options.draws_pictures and room >= _LEAST_LINES
        picture = self._picture((self.entry.path, columns, room)) if is_drawn else []
        return [*picture, *text][:height]

    def _text(self, entry: Listed, width: int) -> list[Row]:
        size = "can't be read" if entry.size is None else "x".join(map(str, entry.size))
        bucket = f" trained at {'x'.join(map(str, entry.bucket))}" if entry.bucket else ""
        state: Row = [(f" caption {entry.state}", Role.WARN)] if entry.state else []
        tokens = "" if entry.num_tokens is None else f" {entry.num_tokens} tokens"
        more = f" (first of {entry.num_lines} lines)" if entry.num_lines > 1 else ""
        rows: list[Row] = [[(f" {size}{bucket}", Role.DIM)]]
        for each in self.found:
            severity = each.finding.severity
            rows.append([(f" {severity} ", ROLES[severity]), (each.finding.code, Role.TEXT)])
        rows.append([*state, (f"{tokens}{more}", Role.DIM)])
        return rows + [[(f" {line}", Role.TEXT)] for line in wrap(entry.caption[:_MOST_CHARS], width - 2)]

    def _picture(self, key: Key) -> list[Row]:
        rows = self._drawn.get(key)
        if rows is None:
            if key != self._wanted:
                self._wanted = key
                self._draw_after_rest()
            return [[(" …", Role.DIM)], *([] for _ in range(key[2] - 1))]
        self._wanted = None
        self._drawn.move_to_end(key)
        return rows

    def _draw_after_rest(self) -> None:
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(_REST_S, self._draw)

    def _draw(self) -> None:
        if self._is_drawing or self._wanted is None:
            return
        self._is_drawing, key = True, self._wanted
        path, columns, lines = key

        def draw() -> None:
            rows: list[Row] = [[("unreadable picture", Role.WARN)]]
            try:
                rows = picture_rows(path, columns, lines)
            finally:
                self.app.call_from_thread(self._take, key, rows)

        self._work(draw, "drawing a picture")

    def _take(self, key: Key, rows: list[Row]) -> None:
        self._is_drawing = False
        if not self.is_attached:
            return
        self._drawn[key] = rows
        while len(self._drawn) > _MOST_KEPT:
            self._drawn.popitem(last=False)
        if key == self._wanted:
            self._wanted = None
            self.rebuild()
        elif self._wanted is not None:
            self._draw_after_rest()
