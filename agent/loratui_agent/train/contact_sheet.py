"""Draw labelled grids of pictures."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

_GAP_PX = 6
_LABEL_PX = 96
_TITLE_PX = 26
_MIN_CELL_PX = 128
_GROUND, _INK = (24, 26, 31), (230, 232, 236)


def contact_sheet(
    rows: Sequence[Sequence[Image.Image]], row_labels: Sequence[str], column_labels: Sequence[str], title: str
) -> Image.Image:
    """Return one picture with a row for each label; small pictures are enlarged without smoothing."""
    width, height = rows[0][0].size
    enlargement = max(1, -(-_MIN_CELL_PX // max(width, height)))
    cell_w, cell_h = width * enlargement, height * enlargement
    top = 2 * _TITLE_PX
    sheet = Image.new(
        "RGB",
        (_LABEL_PX + len(rows[0]) * (cell_w + _GAP_PX) + _GAP_PX, top + len(rows) * (cell_h + _GAP_PX) + _GAP_PX),
        _GROUND,
    )
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    pen.text((_GAP_PX, 5), title, fill=_INK, font=font)
    for column, label in enumerate(column_labels):
        pen.text((_LABEL_PX + column * (cell_w + _GAP_PX), _TITLE_PX + 4), label, fill=_INK, font=font)
    for row, (label, pictures) in enumerate(zip(row_labels, rows, strict=True)):
        y = top + row * (cell_h + _GAP_PX)
        pen.text((_GAP_PX, y + cell_h // 2 - 8), label, fill=_INK, font=font)
        for column, picture in enumerate(pictures):
            x = _LABEL_PX + column * (cell_w + _GAP_PX)
            sheet.paste(picture.resize((cell_w, cell_h), Image.Resampling.NEAREST), (x, y))
    return sheet
