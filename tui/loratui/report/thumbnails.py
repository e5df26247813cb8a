"""Makes small pictures of those that another machine sent: decoded within bounds, and written anew for the page."""

import io
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

_MOST_PIXELS = 64_000_000
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
_QUALITY = 82
# What Pillow raises on damaged files.
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, MemoryError, ArithmeticError)
_DAMAGED_INSIDE = (LookupError, TypeError, AttributeError, AssertionError, RuntimeError)


def small(source: bytes | Path, most_px: int) -> "Image | None":
    """Return the picture with sides of at most ``most_px``, upright; None where it can't be read, or is very large."""
    # Only here: a command that writes no report needs no Pillow.
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=_FORMATS) as opened:
            if opened.width * opened.height > _MOST_PIXELS:
                return None
            # Of a JPEG an eighth is decoded in a tenth of the time.
            opened.draft("RGB", (most_px, most_px))
            picture = ImageOps.exif_transpose(opened).convert("RGB")
            picture.thumbnail((most_px, most_px))
    except (*_DAMAGED, *_DAMAGED_INSIDE, Image.DecompressionBombError):
        return None
    return picture


def as_jpeg(picture: "Image") -> bytes:
    """Return the picture as JPEG, without anything that its file said beside it."""
    written = io.BytesIO()
    picture.save(written, format="JPEG", quality=_QUALITY, optimize=True)
    return written.getvalue()
