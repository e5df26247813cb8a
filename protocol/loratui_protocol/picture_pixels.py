"""What is trained of a picture and of its mask: upright, opaque, resized to cover its bucket, cropped.

The trainer and whoever sends it smaller copies both go this way: a copy has to hold exactly these pixels.
"""

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from loratui_protocol.buckets import Placement

if TYPE_CHECKING:
    from PIL.Image import Image


def picture_pixels(source: Path | BinaryIO, placement: Placement) -> "Image":
    """Return the picture as RGB in the size of its bucket. Raises what Pillow raises on files that can't be read."""
    # Here, not above: only who has pictures needs Pillow, and its import takes 50 ms.
    from PIL import Image, ImageOps

    with Image.open(source) as opened:
        # In place: a copy of a large picture would take as much memory again.
        ImageOps.exif_transpose(opened, in_place=True)
        resized = _without_alpha(opened).resize(placement.resized, Image.Resampling.LANCZOS)
    return resized.crop(placement.crop)


def whole_picture(source: Path | BinaryIO, side_px: int) -> "Image":
    """Return all of the picture as RGB, no side of it longer than ``side_px``. Errors as in ``picture_pixels``."""
    from PIL import Image, ImageOps

    with Image.open(source) as opened:
        ImageOps.exif_transpose(opened, in_place=True)
        picture = _without_alpha(opened).copy()
    picture.thumbnail((side_px, side_px))
    return picture


def mask_pixels(source: Path | BinaryIO, placement: Placement, *, alpha: bool) -> "Image":
    """Return what counts of the picture as grey in the size of its bucket; ``alpha``: how opaque ``source`` is.

    ``placement`` is the picture's, whatever size the mask has. Errors as in ``picture_pixels``.
    """
    from PIL import Image, ImageOps

    with Image.open(source) as opened:
        ImageOps.exif_transpose(opened, in_place=True)
        shown = opened.convert("RGBA").getchannel("A") if alpha else opened.convert("L")
    return shown.resize(placement.resized, Image.Resampling.BILINEAR).crop(placement.crop)


def _without_alpha(picture: "Image") -> "Image":
    from PIL import Image

    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        # White, as sd-scripts and most viewers show transparency.
        opaque = Image.new("RGBA", picture.size, (255, 255, 255, 255))
        opaque.alpha_composite(picture.convert("RGBA"))
        return opaque.convert("RGB")
    return picture if picture.mode == "RGB" else picture.convert("RGB")
