"""Reads one picture file and returns what is known of it, whatever the file turns out to be."""

import hashlib
import math
import struct
import warnings
import zlib
from io import BufferedReader
from pathlib import Path
from statistics import median

from PIL import Image, ImageChops, ImageOps, UnidentifiedImageError
from PIL.Image import DecompressionBombError

from loratui.preflight.facts import Fault, PictureFacts
from loratui.preflight.kinds import HEAD_BYTES, READ, kind_of
from loratui.preflight.pixels import COPY_PX, look
from loratui.preflight.profiles import is_far_from_srgb

WHY_CHARS = 200
_STANDARD_TABLE_SUM = 3688
"""Of the luminance table that the JPEG standard prints, which is libjpeg's at quality 50."""
_TRANSPARENT = 250
"""Alpha below which white shows through so that it can be seen."""
_GRID_PX = 512
"""Side of the middle part that a grid of blocks is looked for in."""
_GRID = 8
_PLAIN = 0.1
"""Mean step in grey levels below which a picture is too plain for a grid to be told from its own lines."""

# What Pillow raises on damaged files, found by damaging files of every kind.
_DAMAGED = (OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error, MemoryError, OverflowError)
_DAMAGED_INSIDE = (KeyError, IndexError, TypeError, AttributeError, AssertionError, RuntimeError)


def measure(path: Path, *, is_mask: bool = False) -> PictureFacts:
    """Return what is known of a file; of a mask only whether it can be decoded. All data is read, once.

    A JPEG is decoded at a fraction of its size: that takes half as long and still reads every byte.
    """
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            # Pillow's word of metadata that it can't read, and of pictures half the size that it refuses.
            warnings.simplefilter("ignore")
            return _measure(file, is_mask=is_mask)
    except OSError as error:
        return PictureFacts(fault=Fault.UNDECODABLE, why=_why(error))


def _measure(file: BufferedReader, *, is_mask: bool) -> PictureFacts:
    head = file.read(HEAD_BYTES)
    if not head:
        return PictureFacts(fault=Fault.EMPTY)
    file.seek(0)
    sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    num_bytes = file.tell()
    file.seek(0)
    try:
        with Image.open(file, formats=READ) as picture:
            return _look(picture, sha256, is_mask=is_mask)
    except DecompressionBombError as error:
        return PictureFacts(fault=Fault.TOO_LARGE, why=_why(error), sha256=sha256)
    except (*_DAMAGED, *_DAMAGED_INSIDE) as error:
        fault, why = _fault(error, head, num_bytes)
        return PictureFacts(fault=fault, why=why, sha256=sha256)


def _fault(error: Exception, head: bytes, num_bytes: int) -> tuple[Fault, str]:
    """Return what is wrong with a file that Pillow can't read."""
    kind = kind_of(head)
    if kind and kind not in READ:
        return Fault.OTHER_KIND, kind
    is_cut = isinstance(error, EOFError) or "truncated" in str(error).lower()
    # A WebP says how long it is, and Pillow only that it can't be decoded.
    if kind == "WEBP" and int.from_bytes(head[4:8], "little") + 8 > num_bytes:
        is_cut = True
    return (Fault.TRUNCATED if is_cut else Fault.UNDECODABLE), _why(error)


def _why(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        # Pillow's own words name the opened file as Python shows it.
        return "it holds no picture that can be read"
    return f"{type(error).__name__}: {error}"[:WHY_CHARS]


def _look(picture: Image.Image, sha256: str, *, is_mask: bool) -> PictureFacts:
    stored = picture.size
    kind, mode, tables = picture.format or "", picture.mode, getattr(picture, "quantization", None)
    if kind in ("JPEG", "MPO"):
        picture.draft(picture.mode, (COPY_PX, COPY_PX))
    picture.load()
    if is_mask:
        return PictureFacts(sha256=sha256, kind=kind, mode=mode, width=stored[0], height=stored[1])
    orientation = picture.getexif().get(0x0112, 1)
    width, height = (stored[1], stored[0]) if orientation in (5, 6, 7, 8) else stored
    is_deep = mode[0] in "IF"
    copy, opacity = reduced(picture, COPY_PX)
    return PictureFacts(
        sha256=sha256,
        kind="JPEG" if kind == "MPO" else kind,
        mode=mode,
        width=width,
        height=height,
        is_turned=orientation in range(2, 9),
        # The second picture of a JPEG is a camera's own preview.
        num_frames=1 if kind == "MPO" else int(getattr(picture, "n_frames", 1)),
        has_alpha=opacity is not None,
        transparent_share=0.0 if opacity is None else sum(opacity.histogram()[:_TRANSPARENT]) / math.prod(copy.size),
        wide_gamut=is_far_from_srgb(picture.info.get("icc_profile") or b""),
        jpeg_quality=_quality(tables) if tables else None,
        blocking=_blocking(picture) if picture.size == stored and not is_deep else None,
        pixels=None if is_deep else look(copy, max(width, height) / max(copy.size)),
    )


def reduced(picture: Image.Image, longest_px: int) -> tuple[Image.Image, Image.Image | None]:
    """Return a smaller copy as training would see it, upright and on white, and how opaque it was (None: all of it)."""
    has_alpha = picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
    shown = picture.convert("RGBA" if has_alpha else "RGB")
    scale = min(1.0, longest_px / max(shown.size))
    size = max(1, round(shown.width * scale)), max(1, round(shown.height * scale))
    if size != shown.size:
        shown = shown.resize(size, Image.Resampling.BOX)
    # A copy that was converted still knows how the picture is to be turned.
    upright = ImageOps.exif_transpose(shown)
    if not has_alpha:
        return upright, None
    opaque = Image.new("RGBA", upright.size, (255, 255, 255, 255))
    opaque.alpha_composite(upright)
    return opaque.convert("RGB"), upright.getchannel("A")


def _quality(tables: dict[int, list[int]]) -> int | None:
    """Return libjpeg's quality for which the luminance table would be as coarse on average."""
    luminance = tables.get(0) or next(iter(tables.values()))
    if len(luminance) != 64:
        return None
    scale = 100 * sum(luminance) / _STANDARD_TABLE_SUM
    quality = 5000 / scale if scale > 100 else (200 - scale) / 2
    return max(1, min(100, round(quality)))


def _blocking(picture: Image.Image) -> float:
    """Return how strong a grid of eight pixels is, the weaker of its two directions; 1: there is none."""
    left, top = (max(0, (side - _GRID_PX) // 2) for side in picture.size)
    box = (left, top, left + min(_GRID_PX, picture.width), top + min(_GRID_PX, picture.height))
    grey = picture.crop(box).convert("L")
    return round(min(_grid(grey), _grid(grey.transpose(Image.Transpose.ROTATE_90))), 2)


def _grid(grey: Image.Image) -> float:
    """Return the usual step between columns where it is largest, of eight, over the next largest."""
    width, height = grey.size
    if width <= 4 * _GRID:
        return 1.0
    steps = ImageChops.difference(grey.crop((1, 0, width, height)), grey.crop((0, 0, width - 1, height)))
    # Spread out first, or the mean of a column would be rounded to a level.
    columns = steps.point([min(255, 16 * step) for step in range(256)]).resize((width - 1, 1), Image.Resampling.BOX)
    # Of each phase the median: the edge of one thing is one column, a grid is all of them. And the next phase, not the
    # usual one: a picture that was enlarged twice has every second one larger.
    *_, following, largest = sorted(median(columns.tobytes()[start::_GRID]) / 16 for start in range(_GRID))
    return largest / following if following > _PLAIN else 1.0
