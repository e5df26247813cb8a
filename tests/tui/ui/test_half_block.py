"""Pictures made of letters."""

from pathlib import Path

import pytest
from PIL import Image
from rich.style import Style

from loratui.ui.text import cells, dump
from loratui.ui.widgets.half_block import picture_rows


@pytest.fixture
def flag(tmp_path: Path) -> Path:
    picture = Image.new("RGB", (4, 4), "red")
    picture.paste("blue", (0, 2, 4, 4))
    picture.save(tmp_path / "flag.png")
    return tmp_path / "flag.png"


def test_the_upper_pixel_colours_the_letter_and_the_lower_its_ground(flag: Path) -> None:
    rows = picture_rows(flag, 2, 1)

    assert dump(rows) == "▀▀"
    style = rows[0][0][1]
    assert isinstance(style, Style)
    assert style.color is not None
    assert style.bgcolor is not None
    assert (style.color.name, style.bgcolor.name) == ("#ff0000", "#0000ff")


def test_cells_of_one_look_are_one_span(flag: Path) -> None:
    assert [len(row) for row in picture_rows(flag, 4, 2)] == [1, 1]


@pytest.mark.parametrize("size", [(64, 64), (640, 64), (64, 640), (3, 1), (1, 3)])
def test_a_picture_keeps_its_proportions_within_its_place(size: tuple[int, int], tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    Image.new("RGB", size).save(path)
    rows = picture_rows(path, 20, 10)

    assert 1 <= len(rows) <= 10
    assert all(1 <= cells(dump([row])) <= 20 for row in rows)


def test_in_ascii_brightness_becomes_letters(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    picture = Image.new("RGB", (4, 4), "black")
    picture.paste("white", (2, 0, 4, 4))
    picture.save(path)

    assert dump(picture_rows(path, 4, 2, only_ascii=True)) == "  @@\n  @@"


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"\0" * 64])
def test_what_is_no_picture_becomes_a_sentence(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.png"
    path.write_bytes(content)

    assert dump(picture_rows(path, 20, 10)) == "unreadable picture"


def test_a_picture_that_is_gone_becomes_a_sentence(tmp_path: Path) -> None:
    assert dump(picture_rows(tmp_path / "none.png", 20, 10)) == "unreadable picture"


def test_neighbours_a_step_apart_are_one_colour_and_a_slope_does_not_drift(tmp_path: Path) -> None:
    path = tmp_path / "slope.png"
    picture = Image.new("RGB", (64, 2))
    levels = [at * 4 for at in range(64)]
    for at, level in enumerate(levels):
        picture.paste((level, level, level), (at, 0, at + 1, 2))
    picture.save(path)

    [row] = picture_rows(path, 64, 1)
    shown = [look.color.triplet.red for text, look in row for _ in text if isinstance(look, Style) and look.color]

    assert len(row) <= 16
    assert all(abs(level - own) <= 16 for level, own in zip(shown, levels, strict=True))
