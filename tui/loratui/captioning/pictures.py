"""Opens a picture for a model that describes it: upright, in RGB, what is transparent on white."""

import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from loratui_protocol.errors import DatasetError

if TYPE_CHECKING:
    from PIL.Image import Image

_FORMATS = ("PNG", "JPEG", "WEBP", "BMP")
"""What can be trained on. For some others Pillow starts programs."""
_LONGEST_PX = 4096
"""Models look at less than a quarter of that; a long banner, squared as it is, would fill the memory."""


def opened(path: Path) -> "Image":
    """Return the picture as people see it, its longest side at most 4096 pixels.

    Raises:
        DatasetError: it can't be read.
    """
    # Here, not above: its import takes 50 ms, and only drafts need it.
    from PIL import Image, ImageOps

    try:
        with Image.open(path, formats=_FORMATS) as file:
            file.draft("RGB", (_LONGEST_PX, _LONGEST_PX))
            picture = ImageOps.exif_transpose(file).convert("RGBA")
    # What Pillow raises on damaged files; more pixels than any picture has are among it.
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        struct.error,
        zlib.error,
        Image.DecompressionBombError,
    ) as error:
        raise DatasetError(
            f"{path.name} can't be read: {error}", fix="replace or remove it", code="dataset.unreadable"
        ) from error
    picture.thumbnail((_LONGEST_PX, _LONGEST_PX), Image.Resampling.BICUBIC)
    canvas = Image.new("RGBA", picture.size, "white")
    canvas.alpha_composite(picture)
    return canvas.convert("RGB")
