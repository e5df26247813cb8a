"""A dataset as a screen has it: what is listed, which pictures a finding is about, and edits of single captions."""

from pathlib import Path

import pytest

from loratui.preflight.edits import apply, undo
from loratui.sessions.dataset import Found, fix_of, found, listed, open_dataset, rewritten, with_names
from loratui_protocol.config_file import to_toml
from loratui_protocol.errors import UsageError
from loratui_protocol.findings import Finding
from support.captioned import write_captioned
from support.small_dataset import small_config, write_small_dataset


def test_pictures_are_listed_with_what_is_to_be_said_of_their_captions(tmp_path: Path) -> None:
    folder = write_captioned(tmp_path / "set", {"a": "\na zog\nmore\n", "b": "", "c": None, "d": b"\x00\xff\xfe" * 9})
    (folder / "broken.png").write_bytes(b"\x89PNG")

    entries = {each.name: each for each in listed(open_dataset(folder))}

    assert {name: (each.state, each.caption) for name, each in entries.items()} == {
        "a.png": ("", "a zog"),
        "b.png": ("empty", ""),
        "broken.png": ("missing", ""),
        "c.png": ("missing", ""),
        "d.png": ("unreadable", ""),
    }
    assert entries["a.png"].num_lines == 2
    assert entries["a.png"].size == (64, 64)
    assert entries["a.png"].bucket is None
    assert entries["broken.png"].size is None


def test_a_config_says_buckets_and_what_stands_for_a_missing_caption(tmp_path: Path) -> None:
    write_small_dataset(tmp_path / "set", 2)
    (tmp_path / "set/1_cat/0.txt").unlink()
    path = tmp_path / "cat.toml"
    path.write_text(to_toml(small_config(tmp_path / "set")), "utf-8")

    first = listed(open_dataset(path))[0]

    assert (first.name, first.bucket, first.caption, first.state) == ("1_cat/0.png", (64, 64), "cat", "missing")
    assert first.num_tokens is None


def test_a_path_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no folder"):
        open_dataset(tmp_path / "nowhere")


def test_a_finding_names_the_pictures_of_its_files(tmp_path: Path) -> None:
    folder = write_captioned(tmp_path / "set", {"a": "a zog", "b": b"\xef\xbb\xbfa zog", "c": None})
    dataset = open_dataset(folder)

    names = {each.finding.code: each.names for each in with_names(found(dataset), listed(dataset), folder)}

    assert names["caption.bom"] == {"b.png"}
    assert names["dataset.no_caption"] == {"c.png"}
    assert names["dataset.few_pictures"] == frozenset()


def test_a_finding_of_another_folder_names_no_picture_of_this_one(tmp_path: Path) -> None:
    folder = write_captioned(tmp_path / "set", {"a": "a zog"})
    other = Finding(code="caption.bom", severity="info", what="", path=str(tmp_path / "other" / "a.txt"))

    assert with_names([other], listed(open_dataset(folder)), folder) == (Found(finding=other, names=frozenset()),)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a zog\n", "a cat\n"),
        ("\r\n  a zog \r\nmore\r\n", "\r\na cat\r\nmore\r\n"),
        ("a zog", "a cat"),
        ("", "a cat\n"),
        (None, "a cat\n"),
    ],
)
def test_one_caption_is_rewritten_in_the_line_that_is_read(before: str | None, after: str, tmp_path: Path) -> None:
    folder = write_captioned(tmp_path / "set", {"a": before})

    apply(rewritten(open_dataset(folder), "a.png", " a cat "), folder)

    assert (folder / "a.txt").read_bytes().decode() == after
    undo(folder)
    assert (folder / "a.txt").exists() == (before is not None)


def test_the_same_caption_is_no_edit(tmp_path: Path) -> None:
    folder = write_captioned(tmp_path / "set", {"a": "a zog\n"})

    assert rewritten(open_dataset(folder), "a.png", "a zog").changes == ()


def test_what_no_program_can_set_right_is_refused(tmp_path: Path) -> None:
    folder = write_captioned(tmp_path / "set", {"a": "a zog\n"})

    with pytest.raises(UsageError, match="no program"):
        fix_of(open_dataset(folder), "dataset.few_pictures")
