"""What a tagger says of pictures, with onnxruntime and a small model that looks at the average colour."""

import re
from pathlib import Path

import pytest
from PIL import Image

from loratui.captioning.pictures import opened
from loratui.captioning.wd14 import Tagger, squared, written
from loratui_protocol.errors import DatasetError, ModelError
from support.tiny_tagger import ROWS, SIDE_PX, tagger, write_tagger

RED, DARK_RED, GREEN, BLUE = (255, 0, 0), (190, 0, 0), (0, 255, 0), (0, 0, 255)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_tagger(tmp_path / "tagger")


def picture(folder: Path, colour: tuple[int, int, int], size: tuple[int, int] = (20, 20)) -> Path:
    path = folder / "picture.png"
    Image.new("RGB", size, colour).save(path)
    return path


def test_a_picture_gets_the_tags_that_the_model_is_sure_of_the_surest_first(model: Path, tmp_path: Path) -> None:
    tagger = Tagger(model)
    assert tagger.caption(picture(tmp_path, RED)) == "red background, >_<, little red riding hood"
    assert tagger.caption(picture(tmp_path, BLUE)) == "blue background"
    scores = [score for _, score in tagger.tags(picture(tmp_path, RED))]
    assert scores == sorted(scores, reverse=True)


def test_characters_need_more_than_other_tags_and_ratings_are_none(model: Path, tmp_path: Path) -> None:
    dark = picture(tmp_path, DARK_RED)
    assert Tagger(model).caption(dark) == "red background, >_<"
    assert Tagger(model, threshold=0.01).caption(dark).startswith("red background, >_<")
    assert "riding hood" not in Tagger(model, threshold=0.01).caption(dark)
    assert Tagger(model, threshold=0.995).caption(picture(tmp_path, RED)) == "red background"


def test_the_onnx_file_itself_may_be_named(model: Path, tmp_path: Path) -> None:
    assert Tagger(model / "model.onnx").caption(picture(tmp_path, GREEN)) == "green background"


def test_a_picture_is_put_into_the_middle_of_a_white_square_in_bgr() -> None:
    wide = squared(Image.new("RGB", (8, 4), (255, 0, 10)), 8)
    assert wide.shape == (8, 8, 3)
    assert wide.dtype == "float32"
    assert wide[0].tolist() == [[255.0, 255.0, 255.0]] * 8
    assert wide[7].tolist() == [[255.0, 255.0, 255.0]] * 8
    assert wide[2:6].tolist() == [[[10.0, 0.0, 255.0]] * 8] * 4
    assert squared(Image.new("RGB", (31, 900), RED), SIDE_PX).shape == (SIDE_PX, SIDE_PX, 3)


def test_what_is_transparent_is_white_and_what_lies_on_its_side_is_turned(tmp_path: Path) -> None:
    Image.new("RGBA", (2, 1), (255, 0, 0, 0)).save(tmp_path / "clear.png")
    assert opened(tmp_path / "clear.png").getpixel((0, 0)) == (255, 255, 255)
    lying = Image.new("RGB", (10, 20), RED)
    exif = Image.Exif()
    exif[0x0112] = 6
    lying.save(tmp_path / "lying.jpg", exif=exif)
    assert opened(tmp_path / "lying.jpg").size == (20, 10)


def test_a_picture_of_any_kind_that_is_trained_on_can_be_looked_at(tmp_path: Path) -> None:
    for mode, name in (
        ("P", "a.png"),
        ("L", "b.png"),
        ("LA", "c.png"),
        ("CMYK", "d.jpg"),
        ("1", "e.bmp"),
        ("RGB", "f.webp"),
    ):
        Image.new(mode, (9, 9)).save(tmp_path / name)
        assert opened(tmp_path / name).mode == "RGB"
    Image.new("RGB", (9000, 30)).save(tmp_path / "banner.png")
    assert max(opened(tmp_path / "banner.png").size) == 4096


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n\0\0", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_what_is_no_picture_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.png").write_bytes(content)
    with pytest.raises(DatasetError, match=r"broken\.png can't be read"):
        opened(tmp_path / "broken.png")


@pytest.mark.parametrize(
    "face", ["0_0", "(o)_(o)", "+_+", "+_-", "._.", "<|>_<|>", "=_=", ">_<", "6_9", "@_@", "|_|", "||_||"]
)
def test_faces_keep_their_underscore(face: str) -> None:
    assert written(face) == face


def test_words_are_written_apart_and_nothing_commands_a_terminal() -> None:
    assert written("1girl") == "1girl"
    assert written("t-shirt_and_a_hat") == "t-shirt and a hat"
    assert written("hatsune_miku_(append)") == "hatsune miku (append)"
    assert written("a\x1b[2Jb,c_d") == "a[2Jb c d"


def test_a_list_of_another_model_is_refused(model: Path) -> None:
    write_tagger(model, ROWS[:-1])
    (model / "model.onnx").write_bytes(tagger())
    with pytest.raises(ModelError, match=r"knows 6 tags, selected_tags\.csv beside it has 5"):
        Tagger(model)


@pytest.mark.parametrize("content", ["", "name\nx\n", "name,category\nx,many\n", "name,category\nx,0,extra\ny\n", "\0"])
def test_a_list_that_is_none_is_refused(model: Path, content: str) -> None:
    (model / "selected_tags.csv").write_text(content, "utf-8")
    with pytest.raises(ModelError) as caught:
        Tagger(model)
    assert caught.value.code in ("model.tags", "model.tagger")


def test_a_model_without_its_list_or_without_itself_is_refused(model: Path) -> None:
    (model / "selected_tags.csv").rename(model / "tags.csv")
    with pytest.raises(ModelError, match="without it nobody knows"):
        Tagger(model)
    (model / "tags.csv").rename(model / "selected_tags.csv")
    (model / "model.onnx").unlink()
    with pytest.raises(ModelError, match=re.escape("there is no model.onnx")):
        Tagger(model)


def test_a_damaged_model_is_refused(model: Path) -> None:
    whole = (model / "model.onnx").read_bytes()
    for damaged in (b"", b"no model", whole[:100], whole[:-40]):
        (model / "model.onnx").write_bytes(damaged)
        with pytest.raises(ModelError) as caught:
            Tagger(model)
        assert caught.value.code == "model.tagger"


def test_a_model_that_gives_no_probabilities_is_refused(model: Path, tmp_path: Path) -> None:
    (model / "model.onnx").write_bytes(tagger(last="Identity"))
    with pytest.raises(ModelError, match="no probabilities"):
        Tagger(model).caption(picture(tmp_path, RED))
