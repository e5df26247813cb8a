"""A gallery that fills the body: page by page, one picture of it chosen, which can be looked at large."""

from collections.abc import Sequence
from pathlib import Path
from typing import Generic, TypeVar

from loratui.domain.run import RunView
from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row
from loratui.ui.widgets.gallery import GalleryPane, Tile, per_page
from loratui.ui.widgets.log_lines import folded

T = TypeVar("T")
_PROMPT_LINES = 3


class PickPane(GalleryPane, Generic[T]):
    """A subclass says which pictures there are, and how each looks: small, large, and as a row of words."""

    is_large = False
    is_text: bool | None = None
    """Whether words stand for pictures; None: where only ASCII can be shown."""
    chosen = 0
    _on_page = 1

    def groups(self, view: RunView) -> list[list[T]]:
        """Return the pictures that are shown, those of one prompt together; all groups have as many."""
        raise NotImplementedError

    def tiles(self, view: RunView, groups: Sequence[Sequence[T]]) -> list[list[Tile]]:
        """Return small pictures of some of the groups."""
        raise NotImplementedError

    def large(self, view: RunView, item: T) -> tuple[Tile, list[str]]:
        """Return a picture with its whole prompt, and what else there is to say of it, a line each."""
        raise NotImplementedError

    def text_row(self, item: T, width: int) -> Row:
        """Return a picture in words."""
        raise NotImplementedError

    def empty(self, view: RunView) -> str:
        """Return why there is no picture."""
        raise NotImplementedError

    def path_of(self, view: RunView, item: T) -> Path | None:
        """Return where a picture is; None: it is not here, or in no file of its own."""
        raise NotImplementedError

    # --- what is chosen ----------------------------------------------------------------------------------------------

    def items(self) -> list[T]:
        """Return the pictures that are shown, one after the other."""
        if self.frame is None or self.frame.run is None:
            return []
        return [item for group in self.groups(self.frame.view) for item in group]

    def choose(self, by: int, *, rows: bool = False, pages: bool = False) -> None:
        """Choose another picture: so many further, rows further, or pages further."""
        count = len(self.items())
        by *= self._on_page if pages else self.across if rows and not self.is_large else 1
        at = self.chosen + by
        # A row further means the picture below, not the last of all.
        if count and (not rows or 0 <= at < count):
            self.chosen = max(0, min(count - 1, at))
            self.rebuild()

    def chosen_path(self) -> Path | None:
        """Return where the chosen picture is; None: it is not here, or there is none."""
        items = self.items()
        if self.frame is None or self.chosen >= len(items):
            return None
        return self.path_of(self.frame.view, items[self.chosen])

    def enlarge(self) -> None:
        """Show the chosen picture large, or all again."""
        self.is_large = not self.is_large
        self.rebuild()

    def toggle_text(self) -> None:
        """Show words instead of pictures, or pictures again."""
        if self.frame is not None:
            self.is_text = not self.shows_text(self.frame)
            self.rebuild()

    def shows_text(self, frame: Frame) -> bool:
        """Return whether words are shown."""
        return not frame.options.draws_pictures if self.is_text is None else self.is_text

    # --- rows --------------------------------------------------------------------------------------------------------

    def hint(self, frame: Frame) -> str:
        """Return the keys that show other pictures."""
        raise NotImplementedError

    def remark(self, frame: Frame) -> str:
        """Return which page of how many it is, else the keys that work here."""
        count = len(self.items())
        back = frame.keys.name_of("samples_close")
        if self.is_large:
            return f"{min(self.chosen, count - 1) + 1} of {count} · {back} back" if count else ""
        num_pages = -(-count // self._on_page)
        if num_pages > 1:
            page_down = frame.keys.name_of("sample_page_down")
            return f"page {min(self.chosen, count - 1) // self._on_page + 1} of {num_pages} · {page_down}"
        return f"{self.hint(frame)} · {back} back"

    def compose_rows(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return title and pictures; how many have room on a page is known before the title says so."""
        groups = [] if frame.run is None else self.groups(frame.view)
        together = len(groups[0]) if groups else 1
        if self.shows_text(frame):
            self.across, self._on_page = 1, max(1, height - 1)
        else:
            self._on_page = per_page(together, width, height - 1)
        self.chosen = max(0, min(self.chosen, sum(len(group) for group in groups) - 1))
        return super().compose_rows(frame, width, height)

    def lines(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return the pictures."""
        if frame.run is None:
            return [[(" no run is open", Role.DIM)]]
        groups = self.groups(frame.view)
        if not groups:
            return [[(f" {self.empty(frame.view)}", Role.DIM)]]
        items = [item for group in groups for item in group]
        if self.is_large:
            return self._large(frame, items[self.chosen], width, height)
        start = self.chosen // self._on_page * self._on_page
        if self.shows_text(frame):
            return [
                [(">" if at == self.chosen else " ", Role.KEY), *self.text_row(items[at], width)]
                for at in range(start, min(start + self._on_page, len(items)))
            ]
        together = len(groups[0])
        on_page = groups[start // together : (start + self._on_page) // together]
        return self.gallery_rows(frame, self.tiles(frame.view, on_page), width, height, self.chosen - start)

    def _large(self, frame: Frame, item: T, width: int, height: int) -> list[Row]:
        tile, facts = self.large(frame.view, item)
        words = folded(tile.words, max(10, width - 2), _PROMPT_LINES)
        details = [f" {line}" for line in (*words, *facts)]
        rows = self.picture(frame, tile, width - 1, max(1, height - len(details)))
        shown: list[Row] = [[(" ", Role.TEXT), *row] for row in rows]
        return shown + [[(line, Role.STRONG if at < len(words) else Role.DIM)] for at, line in enumerate(details)]
