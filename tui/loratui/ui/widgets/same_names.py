"""Names in a list, with a word beside those that are not the only ones of their kind."""

from collections.abc import Callable, Hashable, Sequence
from datetime import datetime
from typing import Generic, TypeVar

from loratui.domain.apart import Named, Word, told_apart
from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, cells, cut

T = TypeVar("T")
_LEAST = 6
"""So many cells of a name stay, or it is shown without the word."""


class SameNames(Generic[T]):
    """Looks again only when the list, or the day, is another one."""

    def __init__(self, named: Callable[[T], Named]) -> None:
        self._named = named
        self._entries: Sequence[T] = ()
        self._day = ""
        self._words: dict[Hashable, Word] = {}

    def look(self, entries: Sequence[T], frame: Frame | None) -> None:
        """Find the names that more than one has."""
        wall = datetime.now().astimezone() if frame is None else frame.wall
        day = f"{wall:%Y-%m-%d}"
        if entries is not self._entries or day != self._day:
            self._entries, self._day = entries, day
            self._words = told_apart(map(self._named, entries), wall)

    def row(self, key: Hashable, name: str, limit: int) -> Row:
        """Return a name in as many cells, the last of which is blank; of a long one the word stays whole."""
        fitting = [word for word in self._words.get(key, ()) if limit - cells(word) - 2 >= _LEAST]
        if not fitting:
            short = cut(name, limit - 1)
            return [(short + " " * (limit - cells(short)), Role.STRONG)]
        word = fitting[0]
        short = cut(name, limit - cells(word) - 2)
        return [(f"{short} ", Role.STRONG), (word + " " * (limit - cells(short) - cells(word) - 1), Role.DIM)]
