"""Judgements made of drawn pictures: what a box would have written down, and the zip that it would have sent."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw

from loratui_protocol.judging.advice import pairs_in
from loratui_protocol.judging.grid import SEEDS_APART, Cell, Grid, TriedFile, seeds
from loratui_protocol.judging.judgement import DOCUMENT, Judged, Judgement
from loratui_protocol.judging.prompts import GridPrompt, Role
from loratui_protocol.messages import Artifact, ArtifactKind, Scores
from support.scripted_source import ScriptedSource

PROMPTS = (
    GridPrompt(role=Role.START, text="sks cat, standing in a room", plain="cat, standing in a room"),
    GridPrompt(role=Role.WITHOUT, text="cat, standing in a room", plain="cat, standing in a room"),
)


def judgement(
    *,
    files: int = 3,
    weights: tuple[float, ...] = (0.0, 0.5, 0.8, 1.0),
    num_seeds: int = 2,
    prompts: tuple[GridPrompt, ...] = PROMPTS,
    name: str = "cat",
    side: int = 64,
) -> Judgement:
    """Return a judgement in which likeness rises with step and weight."""
    grid = Grid(
        files=tuple(
            TriedFile(id=f"f{n}", name=f"{name}-step{100 * n:08d}.safetensors", step=100 * n)
            for n in range(1, files + 1)
        ),
        weights=weights,
        seeds=seeds(num_seeds),
        prompts=prompts,
    )
    pictures = tuple(
        Judged(cell=cell, scores=_scores(cell, grid), width=side, height=side)
        for batch in grid.batches()
        for cell in batch
    )
    return Judgement(grid=grid, pictures=pictures, features={"dino": "dinov2-small"})


def drawn(cell: Cell, side: int = 64) -> Image.Image:
    """Return a picture that no other cell has: file, weight and prompt are its colour, the seed is a bar."""
    colour = (40 + 60 * (cell.file + 1) % 200, round(200 * cell.weight), 60 + 90 * cell.prompt % 180)
    picture = Image.new("RGB", (side, side), colour)
    ImageDraw.Draw(picture).rectangle(
        (0, 0, side // 2, side // 8 * (cell.seed % SEEDS_APART - 100)), fill=(250, 250, 250)
    )
    return picture


def write_zip(
    path: Path,
    judged: Judgement,
    picture: Callable[[Cell], bytes | None] | None = None,
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    """Write the zip; ``picture`` returns the bytes of each cell, None for one that is not in it."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr(DOCUMENT, judged.to_bytes())
        for each in judged.pictures:
            content = picture(each.cell) if picture else as_jpeg(drawn(each.cell, each.width))
            if content is not None:
                archive.writestr(f"{each.cell.name}.jpg", content)
    return path


def try_out(source: ScriptedSource, path: Path, judged: Judgement, *, is_here: bool = True) -> None:
    """Let a run tell what was measured, and that the judgement's zip can be had; it is at ``path`` if it is here."""
    for pair in pairs_in(judged):
        source.add(
            Scores(
                artifact_id=pair.artifact_id,
                name=pair.name,
                step=pair.step,
                weight=pair.weight,
                means={name: mean.value for name, mean in pair.means.items()},
                errors={name: mean.error for name, mean in pair.means.items()},
                counts={name: mean.count for name, mean in pair.means.items()},
            )
        )
    source.add(
        Artifact(id=path.name, kind=ArtifactKind.JUDGEMENT, name=path.name, size=1000, sha256=path.stem.ljust(64, "0"))
    )
    if is_here:
        source.run.downloaded[path.name] = write_zip(path, judged)


def as_jpeg(picture: Image.Image) -> bytes:
    """Return a picture as the box writes it."""
    content = io.BytesIO()
    picture.save(content, format="JPEG", quality=90)
    return content.getvalue()


def _scores(cell: Cell, grid: Grid) -> dict[str, float]:
    if grid.prompts[cell.prompt].role is Role.WITHOUT:
        return {"bleed": 0.02 * cell.weight * (cell.file + 1)} if cell.weight else {}
    seed = 0.01 * (cell.seed % 3)
    return {"likeness": 0.3 + 0.1 * (cell.file + 1) * cell.weight + seed, "copying": float(cell.weight > 0.9)}
