"""Whose captions are drafted and whose are kept."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from loratui.captioning.wd14 import Tagger
from loratui.preflight.draft_marks import FILE_NAME, read, review, unreviewed
from loratui.preflight.edits import undo
from loratui.sessions.drafting import draft, persons_caption, pictures_of, replace_captions, with_trigger
from loratui_protocol.errors import DatasetError, StorageError
from support.tiny_tagger import write_tagger

RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Tagger:
    return Tagger(write_tagger(tmp_path_factory.mktemp("tagger")))


@pytest.fixture
def blue(tmp_path: Path) -> Path:
    Image.new("RGB", (16, 16), BLUE).save(tmp_path / "blue.png")
    return tmp_path / "blue.png"


def test_a_picture_without_a_caption_gets_a_marked_draft(tagger: Tagger, blue: Path) -> None:
    done = draft(blue, tagger, "sks")
    assert done.path == blue.with_suffix(".txt")
    assert done.path.read_bytes() == b"sks, blue background\n"
    marked = unreviewed(blue.parent)["blue.txt"]
    assert marked.by == "wd14"
    assert sorted(path.name for path in blue.parent.iterdir()) == [FILE_NAME, "blue.png", "blue.txt"]


@pytest.mark.parametrize("extension", [".txt", ".caption"])
def test_a_caption_of_a_person_stays_unless_told(tagger: Tagger, blue: Path, extension: str) -> None:
    own = blue.with_suffix(extension)
    own.write_text("the sea", "utf-8")
    assert persons_caption(blue) == own
    kept = draft(blue, tagger)
    assert kept.is_kept
    assert own.read_text("utf-8") == "the sea"
    assert sorted(path.name for path in blue.parent.iterdir()) == ["blue.png", own.name] or extension == ".caption"
    replaced = draft(blue, tagger, may_replace=True)
    assert replaced.path == own
    assert own.read_text("utf-8") == "the sea", "until all others are thought of"
    assert replace_captions(blue.parent, [kept], tagger.name) is None
    assert replace_captions(blue.parent, [kept, replaced], tagger.name)
    assert own.read_text("utf-8") == "blue background\n"
    assert persons_caption(blue) is None
    undo(blue.parent)
    assert own.read_text("utf-8") == "the sea"
    assert persons_caption(blue) == own


def test_a_draft_may_be_drafted_anew_until_a_person_has_changed_or_read_it(tagger: Tagger, blue: Path) -> None:
    path = draft(blue, tagger).path
    assert path is not None
    assert draft(blue, tagger, "sks").caption == "sks, blue background"
    review(blue.parent, ["blue.txt"])
    assert draft(blue, tagger).is_kept
    path.unlink()
    draft(blue, tagger)
    path.write_text("blue background, and the sea\n", "utf-8")
    assert draft(blue, tagger).is_kept
    assert path.read_text("utf-8") == "blue background, and the sea\n"


def test_a_caption_that_is_written_while_the_model_looks_stays(tagger: Tagger, blue: Path) -> None:
    class Slow:
        name = "wd14"

        def __init__(self, meanwhile: Callable[[], object]) -> None:
            self.meanwhile = meanwhile

        def caption(self, path: Path) -> str:
            self.meanwhile()
            return tagger.caption(path)

    assert draft(blue, Slow(lambda: blue.with_suffix(".txt").write_text("mine", "utf-8"))).is_kept
    assert blue.with_suffix(".txt").read_text("utf-8") == "mine"


def test_an_empty_file_is_no_caption(tagger: Tagger, blue: Path) -> None:
    blue.with_suffix(".txt").write_text(" \n", "utf-8")
    assert draft(blue, tagger).caption == "blue background"


def test_a_picture_that_is_broken_or_of_which_nothing_is_to_be_said_costs_no_more_than_its_caption(
    tagger: Tagger, tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    Image.new("RGB", (16, 16), "grey").save(tmp_path / "grey.png")
    assert "can't be read" in draft(tmp_path / "broken.png", tagger).why
    assert draft(tmp_path / "grey.png", tagger, "sks").why == "wd14 has nothing to say of it"
    assert not list(tmp_path.glob("*.txt"))


def test_what_is_marked_but_was_never_written_is_no_draft(tagger: Tagger, blue: Path) -> None:
    # As a crash between the two leaves it, with a caption that a person wrote afterwards.
    draft(blue, tagger)
    blue.with_suffix(".txt").write_text("mine", "utf-8")
    assert read(blue.parent)
    assert draft(blue, tagger).is_kept


def test_marks_that_cant_be_read_stop_everything_before_a_caption_is_touched(tagger: Tagger, blue: Path) -> None:
    blue.with_suffix(".txt").write_text("mine", "utf-8")
    (blue.parent / FILE_NAME).write_text("{", "utf-8")
    with pytest.raises(DatasetError, match="which captions are unread drafts is not known"):
        draft(blue, tagger)
    assert blue.with_suffix(".txt").read_text("utf-8") == "mine"


def test_a_caption_that_cant_be_written_is_an_error_and_leaves_nothing(tagger: Tagger, blue: Path) -> None:
    blue.with_suffix(".txt").mkdir()
    with pytest.raises(StorageError, match="can't be written"):
        draft(blue, tagger)
    assert not list(blue.parent.glob("*.tmp"))


def test_the_trigger_comes_first_and_once() -> None:
    assert with_trigger("1girl, Sks, hat", "sks") == "sks, 1girl, hat"
    assert with_trigger("a red house, by the sea", "sks") == "sks, a red house, by the sea"
    assert with_trigger("sks", "sks") == "sks"
    assert with_trigger("1,000 sheep", "") == "1,000 sheep"


def test_all_folders_of_a_dataset_are_drafted_and_pictures_of_one_name_once(tagger: Tagger, tmp_path: Path) -> None:
    for name in ("2_sea/a.png", "2_sea/a.jpg", "1_sky/b.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (16, 16), BLUE).save(tmp_path / name)
    names = [path.relative_to(tmp_path).as_posix() for path in pictures_of(tmp_path)]
    assert names == ["1_sky/b.png", "2_sea/a.jpg"]
    for picture in pictures_of(tmp_path):
        draft(picture, tagger)
    for folder, name in (("1_sky", "b.txt"), ("2_sea", "a.txt")):
        assert list(json.loads((tmp_path / folder / FILE_NAME).read_bytes())["drafts"]) == [name]
