"""The pictures of a grid on the disk: each is there once it is drawn, and in memory only while it is looked at."""

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import overload

from PIL import Image

from loratui_agent.files import write_atomically
from loratui_protocol.judging.grid import Cell, Grid

_QUALITY = 90
"""Of the JPEGs that are handed over; measured are the pictures as they were drawn."""


class Drawn(Mapping[Cell, Image.Image]):
    """The cells of a grid that are drawn, in its order. Thousands of pictures have no room in memory at once."""

    def __init__(self, folder: Path, grid: Grid, on_open: Callable[[], None] = lambda: None) -> None:
        """``on_open`` is called with every picture that is opened: to look at all takes minutes."""
        self._folder = folder
        self._cells = [cell for batch in grid.batches() for cell in batch]
        self._on_open = on_open

    def keep(self, cell: Cell, picture: Image.Image) -> None:
        """Write a picture down, and the copy of it that is handed over; it is drawn once both are there."""
        jpeg = functools.partial(picture.save, format="JPEG", quality=_QUALITY)
        write_atomically(self.jpeg(cell), jpeg)
        write_atomically(self._path(cell), functools.partial(picture.save, format="PNG"))

    def jpeg(self, cell: Cell) -> Path:
        """Return where the copy of a picture lies that is handed over."""
        return self._folder / f"{cell.name}.jpg"

    def size(self, cell: Cell) -> tuple[int, int]:
        """Return (width, height) of a picture."""
        with Image.open(self._path(cell)) as picture:
            return picture.size

    def in_order(self) -> Sequence[Image.Image]:
        """Return all pictures, each opened when it is asked for."""
        return _Opened(self, list(self))

    def __contains__(self, cell: object) -> bool:
        return isinstance(cell, Cell) and self._path(cell).exists()

    def __getitem__(self, cell: Cell) -> Image.Image:
        if cell not in self:
            raise KeyError(cell)
        self._on_open()
        with Image.open(self._path(cell)) as picture:
            return picture.convert("RGB")

    def __iter__(self) -> Iterator[Cell]:
        return (cell for cell in self._cells if cell in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def _path(self, cell: Cell) -> Path:
        return self._folder / f"{cell.name}.png"


class _Opened(Sequence[Image.Image]):
    def __init__(self, drawn: Drawn, cells: Sequence[Cell]) -> None:
        self._drawn = drawn
        self._cells = cells

    @overload
    def __getitem__(self, index: int) -> Image.Image: ...
    @overload
    def __getitem__(self, index: slice) -> list[Image.Image]: ...
    def __getitem__(self, index: int | slice) -> Image.Image | list[Image.Image]:
        if isinstance(index, slice):
            return [self._drawn[cell] for cell in self._cells[index]]
        return self._drawn[self._cells[index]]

    def __len__(self) -> int:
        return len(self._cells)
