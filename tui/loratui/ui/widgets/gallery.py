"""Pictures side by side, with a word about each."""

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

from textual.message import Message

from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, cut, pad
from loratui.ui.widgets.decoder import Decoder, Source
from loratui.ui.widgets.pane import Pane

_LEAST_COLUMNS = 6
_GOOD_COLUMNS, _GOOD_LINES = 14, 8
"""Of one picture where others can wait on another page."""
_MOST_ON_A_PAGE = 60


class Tile(NamedTuple):
    """A picture and a word about it."""

    words: str
    source: Source | None
    """None: it is not here yet."""
    version: str = ""
    """Another one where another picture has taken its place."""


def per_page(together: int, width: int, height: int) -> int:
    """Return how many pictures a page has where not all find room, ``together`` that are not to be parted."""
    across = max(1, width // ((_GOOD_COLUMNS + 1) * together))
    down = max(1, height // _GOOD_LINES)
    return min(across * down, max(1, _MOST_ON_A_PAGE // together)) * together


class GalleryPane(Pane):
    """A pane with pictures, which come as they are decoded."""

    class Ready(Message):
        """Another picture can be shown."""

    def __init__(self, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self.decoder = Decoder(self._tell_ready)
        self.across = 1
        """How many pictures stand in a row."""

    def _tell_ready(self) -> None:
        # The thread may be done with a picture when the interface is no more.
        with contextlib.suppress(RuntimeError):
            self.post_message(self.Ready())

    def on_gallery_pane_ready(self) -> None:
        """Show it."""
        self.rebuild()

    def compose_rows(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return the rows; what was wished for another size or step is not wished any more."""
        self.decoder.forget_wishes()
        return super().compose_rows(frame, width, height)

    def gallery_rows(
        self, frame: Frame, groups: Sequence[Sequence[Tile]], width: int, height: int, chosen: int | None = None
    ) -> list[Row]:
        """Return the pictures as large as they fit into ``width`` x ``height`` cells, each with its words below.

        Those of one group stand side by side. ``chosen`` is the place of the one that is marked.
        """
        shown = [tile for group in groups for tile in group]
        across, columns, lines = _arrange(len(shown), width, height, len(groups[0]))
        self.across = across
        if columns < _LEAST_COLUMNS or lines < 2:
            return [[(f" {len(shown)} pictures, too small to show here", Role.DIM)]]
        rows: list[Row] = []
        for start in range(0, len(shown), across):
            tiles = [
                self._tile(frame, shown[at], columns, lines, is_chosen=at == chosen)
                for at in range(start, min(start + across, len(shown)))
            ]
            rows += [[span for tile in tiles for span in ((" ", Role.TEXT), *tile[line])] for line in range(lines)]
        return rows

    def picture(self, frame: Frame, tile: Tile, columns: int, lines: int) -> list[Row]:
        """Return a picture, or a word for why there is none yet."""
        if tile.source is None:
            return [[("on its way", Role.DIM)]]
        rows = self.decoder.rows(
            tile.source, columns, lines, version=tile.version, only_ascii=not frame.options.draws_pictures
        )
        return [[("opening…", Role.DIM)]] if rows is None else rows

    def _tile(self, frame: Frame, tile: Tile, columns: int, lines: int, *, is_chosen: bool) -> list[Row]:
        picture = self.picture(frame, tile, columns, lines - 1)
        picture = [*picture, *([] for _ in range(lines - 1 - len(picture)))]
        sign: Row = [(">", Role.KEY)] if is_chosen else []
        caption: Row = [*sign, (cut(tile.words, columns - len(sign)), Role.STRONG if is_chosen else Role.DIM)]
        return [pad(row, columns) for row in (*picture[: lines - 1], caption)]


def _arrange(count: int, width: int, height: int, together: int) -> tuple[int, int, int]:
    """Return how many pictures stand in a row, and the columns and lines of each, for the largest square ones.

    That many are not to be parted.
    """

    def size(across: int) -> tuple[int, int, int]:
        down = -(-count // across)
        # A column between pictures, a line of caption; a cell is as wide as half its height.
        columns, lines = width // across - 1, height // down
        side = min(columns, (lines - 1) * 2)
        return side, across, lines

    side, across, lines = max(size(across) for across in range(together, count + 1, together))
    return across, width // across - 1, min(lines, side // 2 + 1)
