"""Pictures as cells: two pixels in every cell, the upper as the letter's colour, the lower as the ground's.

They are ordinary text, so they work in every terminal, in tmux and over SSH, and cost what text costs.
"""

import struct
import zlib
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING

from rich.color import Color
from rich.style import Style

from loratui.ui.text import Role, Row

if TYPE_CHECKING:
    from PIL.Image import Image

Rgb = tuple[int, int, int]
_ONE_STEP = 9
"""Two neighbours that differ by so few levels are sent as one colour: it halves what a photograph takes."""
_RAMP = " .:-=+*#%@"
_MOST_PIXELS = 64_000_000
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
"""Others can have another program run, or are never read in training."""
# What Pillow raises on damaged files.
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, MemoryError, ArithmeticError)
_DAMAGED_INSIDE = (LookupError, TypeError, AttributeError, AssertionError, RuntimeError)


def picture_rows(source: Path | IO[bytes], columns: int, rows: int, *, only_ascii: bool = False) -> list[Row]:
    """Return the picture in ``source`` within ``columns`` x ``rows`` cells, its proportions kept.

    It stands upright, as EXIF says. A picture that can't be read becomes a sentence. It may take long: ``decoder`` has
    a thread do it.
    """
    # Only here: Pillow would take 40 ms of the first paint.
    from PIL import Image, ImageOps

    try:
        with Image.open(source, formats=_FORMATS) as picture:
            # Of a JPEG an eighth is decoded in a tenth of the time.
            picture.draft("RGB", (columns * 2, rows * 4))
            if picture.width * picture.height > _MOST_PIXELS:
                return [[("picture too large", Role.WARN)]]
            pixels = ImageOps.exif_transpose(picture).convert("RGB")
            pixels.thumbnail((columns, rows * 2), Image.Resampling.BOX)
    except (*_DAMAGED, *_DAMAGED_INSIDE, Image.DecompressionBombError):
        return [[("unreadable picture", Role.WARN)]]
    return _ascii_rows(pixels) if only_ascii else _block_rows(pixels)


def _block_rows(pixels: "Image") -> list[Row]:
    if pixels.height % 2:
        pixels = pixels.resize((pixels.width, pixels.height + 1))
    data = pixels.tobytes()
    stride = pixels.width * 3

    def colour(x: int, y: int, beside: Rgb | None) -> Rgb:
        """Return the colour of a pixel, or that of its neighbour to the left where they are a step apart."""
        at = y * stride + x * 3
        # Finer steps are not seen in so few cells, and every pair of colours is an object that is kept.
        own = _step(data[at]), _step(data[at + 1]), _step(data[at + 2])
        if beside is not None and all(abs(a - b) <= _ONE_STEP for a, b in zip(own, beside, strict=True)):
            return beside
        return own

    rows: list[Row] = []
    for y in range(0, pixels.height, 2):
        row: Row = []
        upper, lower = colour(0, y, None), colour(0, y + 1, None)
        run, before = 0, (upper, lower)
        for x in range(pixels.width):
            upper, lower = colour(x, y, upper), colour(x, y + 1, lower)
            if (upper, lower) != before:
                row.append(("▀" * run, _style(*before)))
                run, before = 0, (upper, lower)
            run += 1
        row.append(("▀" * run, _style(*before)))
        rows.append(row)
    return rows


def _step(level: int) -> int:
    """Return the one of 32 levels near it, black and white among them."""
    return level & 0xF8 | level >> 5


@lru_cache(maxsize=4096)
def _style(upper: Rgb, lower: Rgb) -> Style:
    return Style(color=_colour(upper), bgcolor=_colour(lower))


@lru_cache(maxsize=4096)
def _colour(rgb: Rgb) -> Color:
    return Color.from_rgb(*rgb)


def _ascii_rows(pixels: "Image") -> list[Row]:
    grey = pixels.convert("L").resize((pixels.width, max(1, pixels.height // 2)))
    data = grey.tobytes()
    lines = (data[start : start + grey.width] for start in range(0, len(data), grey.width))
    return [[("".join(_RAMP[value * len(_RAMP) // 256] for value in line), Role.TEXT)] for line in lines]
