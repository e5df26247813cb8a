"""Contact sheets of a judgement as PNG files: a row for each weight or file, a column for each seed."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from loratui.domain.local_names import LocalNames
from loratui.report import thumbnails
from loratui.report.judgement_zip import JudgementZip
from loratui.report.whole import write_whole
from loratui_protocol.judging.grid import Cell, TriedFile, spread
from loratui_protocol.judging.prompts import WITH_TRIGGER
from loratui_protocol.messages import Artifact, ArtifactKind

if TYPE_CHECKING:
    from PIL.Image import Image

_SIDE_PX = 256
_MAX_SHEETS, _MAX_ROWS, _MAX_COLUMNS = 24, 24, 12
_GAP_PX, _LABEL_PX, _LINE_PX = 6, 150, 26
_LABEL_CHARS = 20
_GROUND, _INK = (24, 26, 31), (230, 232, 236)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sheet:
    name: str
    title: str
    rows: Sequence[tuple[str, int, float]]
    """Of each row what it is called, its file and its weight."""


def write_sheets(judged: JudgementZip, folder: Path) -> list[Path]:
    """Write the sheets of the first prompt with the trigger into ``folder``, and return their paths.

    One for each file, by weights, and where there are several files one for each weight, by files.

    Raises:
        StorageError: they can't be written.
    """
    grid = judged.judgement.grid
    asked = next((each.cell.prompt for each in judged.judgement.pictures if _shows(judged, each.cell)), None)
    if asked is None:
        return []
    drawn = {each.cell: None for each in judged.judgement.pictures if each.cell.prompt == asked}
    seeds = list(dict.fromkeys(cell.seed for cell in drawn))[:_MAX_COLUMNS]
    names, written = LocalNames(), []
    for sheet in islice(_sheets(grid.files, drawn), _MAX_SHEETS):
        picture = _draw(judged, sheet, asked, seeds, grid.prompts[asked].text)
        if picture is None:
            continue
        wish = Artifact(id="", kind=ArtifactKind.CONTACT_SHEET, name=f"{sheet.name}.png", size=0, sha256="")
        path = folder / names.choose(wish)
        _write(path, picture)
        written.append(path)
    return written


def _shows(judged: JudgementZip, cell: Cell) -> bool:
    return judged.judgement.grid.prompts[cell.prompt].role in WITH_TRIGGER


def _sheets(files: Sequence[TriedFile], drawn: Mapping[Cell, None]) -> Iterator[_Sheet]:
    indices = sorted({cell.file for cell in drawn if cell.file >= 0})
    weights = sorted({cell.weight for cell in drawn})
    shown_weights = [weights[index] for index in spread(len(weights), _MAX_ROWS)]
    shown_files = [indices[index] for index in spread(len(indices), _MAX_ROWS)]
    for file in indices:
        rows = [(f"weight {weight:g}", file if weight else -1, weight) for weight in shown_weights]
        yield _Sheet(name=files[file].name.removesuffix(".safetensors"), title=files[file].name, rows=rows)
    if len(indices) < 2:
        return
    for weight in weights:
        if weight:
            rows = [(_short(files[file]), file, weight) for file in shown_files]
            yield _Sheet(name=f"weight-{weight:g}", title=f"weight {weight:g}", rows=rows)


def _short(file: TriedFile) -> str:
    return f"step {file.step}" if file.step else file.name.removesuffix(".safetensors")[-_LABEL_CHARS:]


def _draw(judged: JudgementZip, sheet: _Sheet, prompt: int, seeds: Sequence[int], text: str) -> "Image | None":
    """Return the sheet, None where none of its pictures can be read."""
    from PIL import Image, ImageDraw, ImageFont

    cells: dict[tuple[int, int], Image.Image] = {}
    for row, (_, file, weight) in enumerate(sheet.rows):
        for column, seed in enumerate(seeds):
            content = judged.picture(Cell(file, weight, prompt, seed))
            picture = thumbnails.small(content, _SIDE_PX) if content else None
            if picture is not None:
                cells[row, column] = picture
    if not cells:
        return None
    width, height = max(each.width for each in cells.values()), max(each.height for each in cells.values())
    # Small ones are enlarged without smoothing: what was drawn is what is seen.
    times = max(1, 128 // max(width, height))
    step_x, step_y = width * times + _GAP_PX, height * times + _GAP_PX
    size = (_LABEL_PX + len(seeds) * step_x, 2 * _LINE_PX + len(sheet.rows) * step_y)
    drawn = Image.new("RGB", size, _GROUND)
    pen, font = ImageDraw.Draw(drawn), ImageFont.load_default(14)
    pen.text((_GAP_PX, 5), f"{sheet.title}: {text}"[:200], fill=_INK, font=font)
    for column, seed in enumerate(seeds):
        pen.text((_LABEL_PX + column * step_x, _LINE_PX + 4), f"seed {seed}", fill=_INK, font=font)
    for row, (label, *_) in enumerate(sheet.rows):
        pen.text((_GAP_PX, 2 * _LINE_PX + row * step_y + height * times // 2 - 8), label, fill=_INK, font=font)
    for (row, column), picture in cells.items():
        large = picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)
        drawn.paste(large, (_LABEL_PX + column * step_x, 2 * _LINE_PX + row * step_y))
    return drawn


def _write(path: Path, picture: "Image") -> None:
    content = io.BytesIO()
    picture.save(content, format="PNG")
    write_whole(path, content.getvalue(), called="contact sheet", again="loratui report")
