"""What ``check --fix`` does to folders as people have them, and that all of it can be taken back."""

from hashlib import sha256
from pathlib import Path

import pytest
from PIL import Image

from loratui.preflight import draft_marks
from loratui.preflight.captioned import captioned_pictures
from loratui.preflight.draft_marks import Draft
from loratui.preflight.edits import apply, undo
from loratui.preflight.fixes import FIXES, Told, move_captions
from loratui_protocol.dataset import scan
from support.drawn_pictures import photo
from support.small_dataset import write_small_dataset
from support.trees import tree


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_small_dataset(tmp_path / "place" / "pictures")


def fixed(root: Path, code: str, *, is_leaf: bool = False, **told) -> int:
    """Set right what this code is about; twice changes no more, and taken back all is as before."""
    before = tree(root.parent)
    edit = FIXES[code](captioned_pictures(root, is_leaf=is_leaf), Told(**told))
    if not edit.changes:
        return 0
    apply(edit, root)
    after = tree(root.parent)
    assert not FIXES[code](captioned_pictures(root, is_leaf=is_leaf), Told(**told)).changes
    undo(root)
    assert tree(root.parent) == before
    apply(edit, root)
    assert tree(root.parent) == after
    return len(edit.files)


def names(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if ".loratui-undo" not in path.parts
    )


def renamed(root: Path, name: str, new_name: str) -> None:
    (root / "1_cat" / name).rename(root / "1_cat" / new_name)


def test_pictures_that_cant_be_decoded_are_set_aside_with_their_captions(root):
    (root / "1_cat" / "empty.png").write_bytes(b"")
    (root / "1_cat" / "empty.txt").write_text("a cat")
    whole = (root / "1_cat" / "0.png").read_bytes()
    (root / "1_cat" / "cut.png").write_bytes(whole[: len(whole) // 2])
    assert fixed(root, "picture.truncated") == 3
    assert {"empty.png", "empty.txt", "cut.png"} <= {
        path.name for path in (root.parent / "pictures.set-aside").rglob("*.*")
    }
    assert (root / "1_cat" / "0.png").exists()


def test_pictures_that_show_nothing_are_set_aside_unless_none_shows_more(root):
    folder = root / "1_cat"
    for name in "0123":
        photo(int(name), (64, 64)).save(folder / f"{name}.png")
    Image.new("RGB", (64, 64)).save(folder / "black.png")
    (folder / "black.txt").write_text("a cat")
    assert fixed(root, "picture.blank") == 2
    assert (root.parent / "pictures.set-aside" / "1_cat" / "black.png").exists()
    for path in folder.glob("*.png"):
        Image.new("RGB", (64, 64), "white").save(path)
    assert fixed(root, "picture.blank") == 0


@pytest.mark.parametrize("odd", ["0.png.txt", "0.TXT", "0.caption.txt", "0.tags", "0.text", "0.PNG.TXT"])
def test_a_caption_with_an_odd_name_gets_the_one_that_is_read(root, odd):
    renamed(root, "0.txt", odd)
    assert fixed(root, "caption.odd_name") == 1
    assert scan(root).pictures[0].caption == "a cat"
    assert not (root / "1_cat" / odd).exists()


def test_an_odd_name_beside_a_caption_that_is_read_and_one_of_two_stay(root):
    (root / "1_cat" / "0.png.txt").write_text("another", "utf-8")
    renamed(root, "1.txt", "1.tags")
    (root / "1_cat" / "1.png.txt").write_text("another", "utf-8")
    assert fixed(root, "caption.odd_name") == 0


@pytest.mark.parametrize("place", ["captions", "1_cat/txt"])
def test_captions_in_a_folder_of_their_own_come_to_their_pictures(root, place):
    folder = root / place
    folder.mkdir()
    for name in "012":
        (root / "1_cat" / f"{name}.txt").rename(folder / f"{name}.txt")
    renamed(root, "3.txt", "3.png.txt")
    assert fixed(root, "dataset.no_caption") == 3
    undo(root)
    edit = move_captions(captioned_pictures(root))
    assert len(edit.files) == 4
    apply(edit, root)
    assert {picture.caption for picture in scan(root).pictures} == {"a cat"}


def test_of_captions_in_two_folders_none_is_chosen(root):
    for place in ("captions", "old"):
        (root / place).mkdir()
        (root / place / "0.txt").write_text(place, "utf-8")
    (root / "1_cat" / "0.txt").unlink()
    assert fixed(root, "dataset.no_caption") == 0


def test_marks_and_encodings_are_rewritten_as_plain_utf_8_and_what_is_not_certain_stays(root):
    folder = root / "1_cat"
    (folder / "0.txt").write_bytes("a café".encode("utf-8-sig"))
    (folder / "1.txt").write_bytes("a café".encode("utf-16"))
    (folder / "2.txt").write_bytes("a café".encode("cp1252"))
    (folder / "3.txt").write_bytes("青い目の猫".encode("shift-jis"))
    (folder / "1.txt").chmod(0o640)
    assert fixed(root, "caption.bom") == 1
    assert fixed(root, "dataset.caption_encoding") == 2
    assert {(folder / f"{name}.txt").read_bytes() for name in "012"} == {"a café".encode()}
    assert (folder / "3.txt").read_bytes() == "青い目の猫".encode("shift-jis")
    assert (folder / "1.txt").stat().st_mode & 0o777 == 0o640


def test_captions_without_a_picture_are_set_aside_and_texts_that_are_none_stay(root):
    folder = root / "1_cat"
    (folder / "gone.txt").write_text("a dog", "utf-8")
    (folder / "README.txt").write_text("mine", "utf-8")
    (folder / "later.heic").write_bytes(b"heic")
    (folder / "later.txt").write_text("a cat", "utf-8")
    assert fixed(root, "caption.orphan") == 1
    assert (root.parent / "pictures.set-aside" / "1_cat" / "gone.txt").read_text("utf-8") == "a dog"
    assert {"README.txt", "later.txt"} <= {path.name for path in folder.iterdir()}


def test_of_copies_the_captioned_one_with_the_plainest_name_stays_and_no_caption_leaves_its_picture(root):
    folder = root / "1_cat"
    content = (folder / "2.png").read_bytes()
    for name in ("2 copy.png", "1b.png", "2 other.jpg"):
        (folder / name).write_bytes(content)
    (folder / "2 copy.txt").write_text("a copy", "utf-8")
    (folder / "2.txt").unlink()
    (folder / "2 other.png").write_bytes(b"not read by this test")
    (folder / "2 other.txt").write_text("of both", "utf-8")
    # One that is in another folder is trained under another caption.
    other = root / "2_dog"
    other.mkdir()
    (other / "2.png").write_bytes(content)
    assert fixed(root, "picture.duplicate") == 3
    side = root.parent / "pictures.set-aside"
    assert names(side) == ["1_cat", "1_cat/1b.png", "1_cat/2 other.jpg", "1_cat/2.png"]


def test_what_is_set_aside_twice_gets_a_number_that_its_caption_shares(root):
    side = root.parent / "pictures.set-aside" / "1_cat"
    side.mkdir(parents=True)
    (side / "1b.PNG").write_bytes(b"from before")
    (root / "1_cat" / "1b.png").write_bytes((root / "1_cat" / "1.png").read_bytes())
    (root / "1_cat" / "1b.txt").write_text("a copy", "utf-8")
    assert fixed(root, "picture.duplicate") == 2
    assert names(side) == ["1b-2.png", "1b-2.txt", "1b.PNG"]


def test_the_side_folder_of_a_numbered_folder_is_not_trained(root):
    (root / "1_cat" / "1b.png").write_bytes((root / "1_cat" / "1.png").read_bytes())
    assert fixed(root / "1_cat", "picture.duplicate") == 1
    assert (root / "set-aside.1_cat" / "1b.png").exists()
    assert len(scan(root).pictures) == 4


def test_a_trigger_is_put_where_neither_caption_nor_folder_says_it(root):
    (root / "1_cat" / "0.txt").write_text("zorb, a cat", "utf-8")
    (root / "1_cat" / "1.txt").unlink()
    assert fixed(root, "caption.trigger_missing", trigger="zorb") == 3
    assert {picture.caption for picture in scan(root).pictures} == {"zorb, a cat", "zorb, cat"}
    (root / "1_cat" / "1.txt").unlink()
    (root / "1_cat").rename(root / "1_zorb cat")
    assert fixed(root, "caption.trigger_missing", trigger="zorb") == 0
    assert fixed(root, "caption.trigger_missing") == 0


def flat(root: Path) -> Path:
    folder = root / "1_cat"
    return folder.rename(root.parent / "zorb: a style")


def test_a_flat_folder_gets_the_layout_of_sd_scripts_with_captions_and_drafts(root):
    folder = flat(root)
    digest = sha256((folder / "0.txt").read_bytes()).hexdigest()
    draft_marks.mark(folder, {"0.txt": Draft(by="wd14", sha256=digest, at="2026-11-28")})
    assert fixed(folder, "dataset.flat") == 0
    assert fixed(folder, "dataset.flat", is_leaf=True, repeats=10) == 0
    assert fixed(folder, "dataset.flat", repeats=10) == 8
    assert {(picture.num_repeats, picture.caption) for picture in scan(folder).pictures} == {(10, "a cat")}
    assert set(draft_marks.unreviewed(folder / "10_zorb  a style")) == {"0.txt"}


def test_a_layout_is_named_after_the_trigger_where_there_is_one(root):
    folder = flat(root)
    assert fixed(folder, "dataset.flat", repeats=5, trigger="zo/rb") == 8
    assert (folder / "5_zo rb").is_dir()


def test_loose_pictures_come_into_the_one_numbered_folder_under_free_names(root):
    (root / "0.png").write_bytes((root / "1_cat" / "1.png").read_bytes())
    (root / "0.txt").write_text("loose", "utf-8")
    assert fixed(root, "dataset.loose_pictures") == 2
    assert (root / "1_cat" / "0-2.txt").read_text("utf-8") == "loose"
    assert len(scan(root).pictures) == 5
    undo(root)
    (root / "2_dog").mkdir()
    (root / "2_dog" / "0.png").write_bytes((root / "1_cat" / "1.png").read_bytes())
    assert fixed(root, "dataset.loose_pictures") == 0


def test_pictures_are_moved_at_most_and_never_changed(root):
    (root / "1_cat" / "1b.png").write_bytes((root / "1_cat" / "1.png").read_bytes())
    pictures = {path.read_bytes() for path in root.rglob("*.png")}
    for code, fix in FIXES.items():
        edit = fix(captioned_pictures(root), Told(trigger="zorb", repeats=10))
        if edit.changes:
            apply(edit, root)
        assert {path.read_bytes() for path in root.parent.rglob("*.png")} == pictures, code
