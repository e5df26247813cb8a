"""Bulk edits of captions: what each does to a text, to files of all kinds, and to drafts."""

from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui.preflight import draft_marks
from loratui.preflight.caption_edits import Wishes, caption_edit, review_edit
from loratui.preflight.caption_words import (
    each_line,
    has_trigger,
    with_prefix,
    with_suffix,
    with_trigger,
    without_tags,
)
from loratui.preflight.captioned import captioned_pictures
from loratui.preflight.changes import CreateFile
from loratui.preflight.draft_marks import Draft
from loratui.preflight.edits import apply, undo
from loratui_protocol.caption_files import MAX_CAPTION_BYTES
from loratui_protocol.dataset import scan
from loratui_protocol.encodings import guessed
from loratui_protocol.errors import DatasetError
from support.small_dataset import write_small_dataset
from support.trees import tree


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_small_dataset(tmp_path / "pictures")


def edited(root: Path, **wishes) -> int:
    """Make an edit; return how many changes it was."""
    edit = caption_edit(captioned_pictures(root), Wishes(**wishes))
    if edit.changes:
        apply(edit, root)
    return len(edit.changes)


def caption(root: Path, name: str) -> str:
    return (root / "1_cat" / f"{name}.txt").read_bytes().decode()


def write(root: Path, name: str, text: str) -> None:
    (root / "1_cat" / f"{name}.txt").write_bytes(text.encode())


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a cat", "zorb, a cat"),
        ("", "zorb"),
        ("a photo of zorb", "a photo of zorb"),
        ("ZORB, a cat", "zorb, a cat"),
        ("a Zorb and a zorb", "a zorb and a zorb"),
        ("zorbs, a cat", "zorb, zorbs, a cat"),
        ("zorb_2, a cat", "zorb, zorb_2, a cat"),
        ("(zorb:1.2)", "(zorb:1.2)"),
    ],
)
def test_a_trigger_is_put_first_where_it_is_missing_and_corrected_where_it_is_written_otherwise(line, expected):
    assert with_trigger(line, "zorb") == expected


LINES = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
WORDS = LINES.map(str.strip).filter(lambda text: len(text.splitlines()) == 1)


@given(
    text=LINES | st.text("zorbZORB, \r\n_", max_size=20), trigger=WORDS | st.sampled_from(["zorb", "<z>", "a.b", "İ"])
)
def test_a_trigger_is_in_every_line_then_and_never_put_twice(text, trigger):
    once = each_line(text, lambda line: with_trigger(line, trigger))
    assert each_line(once, lambda line: with_trigger(line, trigger)) == once
    assert all(has_trigger(line, trigger) for line in once.splitlines() if line.strip())


@given(text=LINES | st.text("ab ,_\n", max_size=20), tags=st.sets(st.sampled_from(["a", "b", "a b", "ab"])))
def test_removed_tags_are_gone_and_removing_them_again_changes_nothing(text, tags):
    once = each_line(text, lambda line: without_tags(line, tags))
    assert each_line(once, lambda line: without_tags(line, tags)) == once


@given(text=LINES)
def test_an_edit_that_does_nothing_to_lines_does_nothing_to_a_text(text):
    assert each_line(text, lambda line: line) == text


def test_tags_are_one_however_they_are_spelt_and_lines_without_them_stay_as_they_are():
    assert without_tags("Blue_Eyes, 1girl,  smile", {"blue eyes"}) == "1girl, smile"
    assert without_tags("1girl ,smile", {"blue eyes"}) == "1girl ,smile"


def test_prefix_and_suffix_are_joined_as_words_are():
    assert with_prefix("a cat", "photo of") == with_prefix("a cat", "photo of ") == "photo of a cat"
    assert with_prefix("", "zorb,") == "zorb,"
    assert with_suffix("a cat", ", blue sky") == "a cat, blue sky"
    assert with_suffix("a cat", "at night ") == "a cat at night"


def test_an_edit_changes_every_caption_and_is_what_training_reads(root):
    assert edited(root, prefix="photo of", suffix=", at night", trigger="zorb", replace=(("a cat", "a dog"),)) == 4
    assert {picture.caption for picture in scan(root).pictures} == {"zorb, photo of a dog, at night"}
    undo(root)
    assert {picture.caption for picture in scan(root).pictures} == {"a cat"}


def test_line_ends_and_blank_lines_stay_and_each_line_is_edited(root):
    write(root, "0", "\r\n a cat \r\na dog")
    edited(root, prefix="photo of")
    assert caption(root, "0") == "\r\n photo of a cat \r\nphoto of a dog"


def test_a_second_trigger_or_pruning_changes_nothing_and_a_second_prefix_does(root):
    for number, text in enumerate(("zorb, blue_eyes, sits", "Blue eyes, Zorb", "blue eyes", "")):
        write(root, str(number), text)
    wishes = {"prune_above": 0.75, "trigger": "zorb"}
    assert edited(root, **wishes) == 4
    assert [caption(root, name) for name in "0123"] == ["zorb, sits", "zorb", "zorb\n", "zorb\n"]
    assert edited(root, **wishes) == 0
    assert edited(root, prefix="new") == 4
    assert edited(root, prefix="new") == 4


def test_missing_captions_are_written_for_a_text_and_a_trigger_with_what_the_folder_said(root):
    for name in ("0", "1"):
        (root / "1_cat" / f"{name}.txt").unlink()
    before = tree(root)
    assert edited(root, prefix="photo of") == 2
    undo(root)
    assert edited(root, trigger="zorb") == 4
    assert caption(root, "0") == "zorb, cat\n"
    undo(root)
    assert edited(root, text=" a thing ") == 4
    assert {caption(root, name) for name in "0123"} == {"a thing\n"}
    undo(root)
    assert tree(root) == before


def test_new_captions_have_the_extension_that_the_others_have(root):
    for name in "012":
        path = root / "1_cat" / f"{name}.txt"
        path.rename(path.with_suffix(".caption"))
    (root / "1_cat" / "3.txt").unlink()
    edit = caption_edit(captioned_pictures(root), Wishes(trigger="zorb"))
    assert [change.path for change in edit.changes if isinstance(change, CreateFile)] == ["1_cat/3.caption"]


def test_two_pictures_that_share_a_caption_have_it_edited_once(root):
    (root / "1_cat" / "0.jpg").write_bytes((root / "1_cat" / "0.png").read_bytes())
    assert edited(root, prefix="new") == 4
    assert caption(root, "0") == "new a cat\n"


def test_captions_that_are_no_text_or_too_large_stop_the_edit_with_a_fix(root):
    (root / "1_cat" / "1.txt").write_bytes(b"caf\xe9")
    with pytest.raises(DatasetError) as refused:
        edited(root, trigger="zorb")
    assert refused.value.code == "dataset.caption_encoding"
    assert "1.txt" in refused.value.what
    assert "--fix" in refused.value.fix
    (root / "1_cat" / "1.txt").write_bytes(bytes(MAX_CAPTION_BYTES + 1))
    with pytest.raises(DatasetError) as refused:
        edited(root, trigger="zorb")
    assert refused.value.code == "dataset.caption_too_long"


def drafted(root: Path) -> None:
    folder = root / "1_cat"
    draft = {
        name: Draft(by="wd14", sha256=sha256((folder / name).read_bytes()).hexdigest(), at="2026-11-28")
        for name in ("0.txt", "1.txt")
    }
    draft_marks.mark(folder, draft)


def test_a_bulk_edit_is_nobodys_reading_of_a_draft_and_a_text_of_a_persons_own_is(root):
    folder = root / "1_cat"
    drafted(root)
    write(root, "1", "a person's own")
    before = tree(root)
    edited(root, trigger="zorb")
    assert set(draft_marks.unreviewed(folder)) == {"0.txt"}
    assert draft_marks.unreviewed(folder)["0.txt"].by == "wd14"
    undo(root)
    assert tree(root) == before
    edited(root, text="mine")
    assert draft_marks.unreviewed(folder) == {}


def test_reviewing_takes_the_marks_off_and_can_be_taken_back(root):
    drafted(root)
    before = tree(root)
    apply(review_edit(captioned_pictures(root)), root)
    assert draft_marks.unreviewed(root / "1_cat") == {}
    assert review_edit(captioned_pictures(root)).changes == ()
    undo(root)
    assert tree(root) == before


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"])
def test_what_editors_write_is_told_apart(encoding):
    text = "a café, naïve “zorb”"
    assert guessed(text.encode(encoding)) == text


@pytest.mark.parametrize("encoding", ["shift-jis", "cp1251", "cp1255", "gbk", "cp1250"])
def test_what_is_no_western_text_is_not_guessed(encoding):
    text = {
        "shift-jis": "青い目の猫",
        "cp1251": "кошка, девушка",
        "cp1255": "חתול כחול",
        "gbk": "蓝眼睛的猫",
        "cp1250": "ulica w Łodzi",
    }[encoding]
    assert guessed(text.encode(encoding)) is None


@given(content=st.binary(max_size=40))
def test_no_bytes_break_the_guess_and_what_is_guessed_can_be_written(content):
    text = guessed(content)
    assert text is None or guessed(text.encode()) is not None
