"""Draws what is cropped away: a sheet of the pictures that lose most on the way into their buckets."""

import math
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from loratui.preflight.bucket_table import CROPPED
from loratui.preflight.looked import shown
from loratui.preflight.measure import reduced
from loratui_protocol.buckets import Bucket, Placement, cover
from loratui_protocol.dataset import Picture
from loratui_protocol.errors import StorageError

MOST_SHOWN = 24
"""Pictures on a sheet: more would be too small to judge."""
_COLUMNS = 6
_CELL_PX = 240
_LABEL_PX = 34
_GAP_PX = 8
_NAME_CHARS = 34
_KEPT = (90, 220, 120)
_GROUND = (24, 24, 28)
_TEXT = (230, 230, 230)
_DIMMED = 0.3
"""How much of what is cropped away shows through."""


def crop_preview(picture: Picture, bucket: Bucket, out: Path) -> None:
    """Write a JPEG that shows what of one picture its bucket leaves; errors as in ``write_crops``."""
    write_crops([(picture, cover(picture.width, picture.height, bucket))], out)


def most_cropped(placed: Sequence[tuple[Picture, Placement]]) -> list[tuple[Picture, Placement]]:
    """Return the pictures that lose a part worth looking at, the greatest losses first."""
    losing = [pair for pair in placed if pair[1].cropped_share > CROPPED]
    return sorted(losing, key=lambda pair: (-pair[1].cropped_share, pair[0].name))


def write_crops(placed: Sequence[tuple[Picture, Placement]], out: Path) -> None:
    """Write a JPEG with the first pictures side by side: what training sees framed, what it does not see darkened.

    Raises:
        StorageError: the file can't be written.
    """
    shown_here = placed[:MOST_SHOWN]
    rows = math.ceil(len(shown_here) / _COLUMNS)
    columns = min(_COLUMNS, len(shown_here))
    sheet = Image.new("RGB", (columns * _CELL_PX, rows * (_CELL_PX + _LABEL_PX)), _GROUND)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for index, (picture, placement) in enumerate(shown_here):
        left, top = index % _COLUMNS * _CELL_PX, index // _COLUMNS * (_CELL_PX + _LABEL_PX)
        cell = _cell(picture, placement)
        sheet.paste(cell, (left + (_CELL_PX - cell.width) // 2, top + (_CELL_PX - cell.height) // 2))
        width, height = placement.bucket
        label = f"{shown(picture.name)[-_NAME_CHARS:]}\n{width}x{height}: {placement.cropped_share:.0%} cropped"
        draw.text((left + 4, top + _CELL_PX + 2), label, _TEXT, font)
    part = out.with_name(f".{out.name}.part")
    try:
        sheet.save(part, "JPEG", quality=88)
        part.replace(out)
    except OSError as error:
        raise StorageError(
            f"the sheet of crops can't be written to {out}: {error.strerror or error}",
            fix="give another file",
            code="storage.write",
        ) from error


def _cell(picture: Picture, placement: Placement) -> Image.Image:
    with Image.open(picture.path) as opened:
        opened.draft(opened.mode, (_CELL_PX, _CELL_PX))
        upright, _ = reduced(opened, _CELL_PX - _GAP_PX)
    scale = upright.width / placement.resized[0], upright.height / placement.resized[1]
    box = tuple(round(side * scale[at % 2]) for at, side in enumerate(placement.crop))
    left, top, right, bottom = box
    dimmed = Image.blend(Image.new("RGB", upright.size), upright, _DIMMED)
    dimmed.paste(upright.crop((left, top, right, bottom)), (left, top))
    ImageDraw.Draw(dimmed).rectangle((left, top, right - 1, bottom - 1), outline=_KEPT, width=2)
    return dimmed
