"""Drawn pictures are compared with every training picture as it was trained, and never with all in memory at once."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from loratui_agent.judge import measure
from loratui_agent.judge.trained import AT_ONCE, Trained, see_trained
from loratui_protocol.buckets import Bucket, as_it_is
from loratui_protocol.dataset import Picture
from loratui_protocol.judging.grid import Cell, Grid, TriedFile
from loratui_protocol.judging.prompts import GridPrompt, Role
from loratui_protocol.picture_pixels import picture_pixels, whole_picture

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("one_thread")]
WHOLE = as_it_is(Bucket(20, 30))


def pixels(pictures: Sequence[Image.Image]) -> Tensor:
    rows = [torch.frombuffer(bytearray(each.resize((4, 4)).tobytes()), dtype=torch.uint8) for each in pictures]
    return torch.nn.functional.normalize(torch.stack(rows).float() + 1, dim=-1)


def test_a_picture_is_seen_as_it_is_trained(tmp_path: Path):
    lying = Image.new("RGB", (30, 20), "red")
    ImageDraw.Draw(lying).rectangle((0, 0, 9, 19), fill="blue")
    exif = Image.Exif()
    exif[0x0112] = 6
    lying.save(tmp_path / "lying.png", exif=exif)
    glass = Image.new("RGBA", (20, 30), (0, 0, 0, 0))
    ImageDraw.Draw(glass).rectangle((5, 5, 9, 9), fill=(255, 0, 0, 128))
    glass.save(tmp_path / "glass.png")
    for name in ("lying.png", "glass.png"):
        trained = picture_pixels(tmp_path / name, WHOLE)
        assert whole_picture(tmp_path / name, 1024).tobytes() == trained.tobytes()
    assert max(whole_picture(tmp_path / "lying.png", 15).size) == 15


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    random = torch.Generator().manual_seed(3)
    for number in range(3 * AT_ONCE + 5):
        noise = torch.randint(0, 256, (4, 4, 3), generator=random, dtype=torch.uint8).numpy()
        Image.fromarray(noise).save(folder / f"{number:03d}.png")
    return folder


def test_every_training_picture_counts_and_few_are_open_at_once(folder: Path):
    pictures, sizes, said = of_folder(folder), [], []

    def see(opened: Sequence[Image.Image]) -> Tensor:
        sizes.append(len(opened))
        return pixels(opened)

    trained = see_trained(pictures, see, lambda done, total: said.append((done, total)))
    assert (sum(sizes), max(sizes)) == (len(pictures), AT_ONCE)
    assert said == [(start, len(pictures)) for start in range(0, len(pictures), AT_ONCE)]
    for row, picture in zip(trained.seen_MD, pictures, strict=True):
        with Image.open(picture.path) as opened:
            assert torch.equal(row, pixels([opened.convert("RGB")])[0])


def test_comparing_in_parts_finds_the_same_as_all_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch):
    trained: Trained = see_trained(of_folder(folder), pixels, lambda *_: None)
    prompt = GridPrompt(role=Role.SCENE, text="a", plain="a")
    grid = Grid(files=(TriedFile(id="a", name="a"),), weights=(1.0,), seeds=tuple(range(20)), prompts=(prompt,))
    cells = [Cell(0, 1.0, 0, seed) for seed in grid.seeds]
    seen = measure.Seen(trained.seen_MD[-20:], trained.seen_MD)
    whole = measure.copy_limit(trained.seen_MD), measure.of_likeness(grid, cells, seen)
    monkeypatch.setattr(measure, "ROWS", 7)
    limit, likeness = measure.copy_limit(trained.seen_MD), measure.of_likeness(grid, cells, seen)
    assert limit == pytest.approx(whole[0])
    assert limit < measure._SAME
    for cell in cells:
        assert likeness[cell] == pytest.approx(whole[1][cell])
        # It is a copy, of the last pictures, too.
        assert likeness[cell]["copying"] == 1.0


def of_folder(folder: Path) -> Sequence[Picture]:
    return [Picture(path=path, name=path.name, width=4, height=4, caption="") for path in sorted(folder.iterdir())]
