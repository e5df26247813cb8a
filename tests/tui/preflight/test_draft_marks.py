"""A draft is one until a person has read or changed it, and no file of marks can do harm."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from loratui.preflight import draft_marks
from loratui.preflight.draft_marks import FILE_NAME, Draft
from loratui_protocol.errors import DatasetError


def write(folder: Path, name: str, text: str) -> Draft:
    """Write a caption and return the mark of its draft."""
    (folder / name).write_text(text, "utf-8")
    return Draft(by="wd14", sha256=hashlib.sha256(text.encode()).hexdigest(), at="2026-11-28")


def test_a_draft_is_unread_until_it_is_reviewed(tmp_path: Path) -> None:
    drafts = {name: write(tmp_path, name, f"of {name}") for name in ("a.txt", "b.txt")}
    assert draft_marks.unreviewed(tmp_path) == {}
    draft_marks.mark(tmp_path, {"a.txt": drafts["a.txt"]})
    draft_marks.mark(tmp_path, {"b.txt": drafts["b.txt"]})
    assert draft_marks.unreviewed(tmp_path) == drafts
    draft_marks.review(tmp_path, ["a.txt"])
    assert draft_marks.unreviewed(tmp_path) == {"b.txt": drafts["b.txt"]}
    draft_marks.review(tmp_path, ["b.txt"])
    assert not (tmp_path / FILE_NAME).exists()


def test_a_caption_that_was_changed_is_a_persons(tmp_path: Path) -> None:
    draft_marks.mark(tmp_path, {"a.txt": write(tmp_path, "a.txt", "1girl, solo")})
    write(tmp_path, "a.txt", "1girl, solo, red scarf")
    assert draft_marks.unreviewed(tmp_path) == {}
    assert list(draft_marks.read(tmp_path)) == ["a.txt"]


def test_the_file_is_what_others_expect(tmp_path: Path) -> None:
    draft = write(tmp_path, "ä.txt", "x")
    draft_marks.mark(tmp_path, {"ä.txt": draft})
    assert json.loads((tmp_path / FILE_NAME).read_text("utf-8")) == {
        "version": 1,
        "drafts": {"ä.txt": {"by": "wd14", "sha256": draft.sha256, "at": "2026-11-28"}},
    }
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []


def test_a_mark_reaches_no_file_outside_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    draft = write(tmp_path, "secret.txt", "x")
    for name in ("../secret.txt", str(tmp_path / "secret.txt"), "..", "", "a\0b", "C:secret.txt", "..\\secret.txt"):
        marks = {"version": 1, "drafts": {name: {"by": draft.by, "sha256": draft.sha256, "at": draft.at}}}
        (folder / FILE_NAME).write_text(json.dumps(marks), "utf-8")
        assert draft_marks.read(folder) == {}


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[" * 100_000, b'{"version": 2, "drafts": {}}', b'{"version": 1}', b"\xff\xfe", b"1e999"]
)
def test_a_file_that_is_none_of_ours_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    for use in (draft_marks.read, draft_marks.unreviewed):
        with pytest.raises(DatasetError) as caught:
            use(tmp_path)
        assert caught.value.code == "caption.draft_marks"
    with pytest.raises(DatasetError):
        draft_marks.mark(tmp_path, {"a.txt": write(tmp_path, "a.txt", "x")})
    assert (tmp_path / FILE_NAME).read_bytes() == content


def test_what_is_no_file_or_far_too_large_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / FILE_NAME)
    with pytest.raises(DatasetError):
        draft_marks.read(tmp_path)
    (tmp_path / FILE_NAME).unlink()
    with (tmp_path / FILE_NAME).open("wb") as file:
        file.truncate(1 << 34)
    with pytest.raises(DatasetError):
        draft_marks.read(tmp_path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example({"version": 1, "drafts": {"\ud800": {"by": "\x1b[2J", "sha256": "\ud800", "at": "\u202e"}}})
@given(st.fixed_dictionaries({"version": st.just(1), "drafts": json_values}) | json_values)
def test_whatever_it_holds_is_marks_or_a_refusal(tmp_path: Path, document: object) -> None:
    (tmp_path / FILE_NAME).write_text(json.dumps(document), "ascii")
    try:
        marks = draft_marks.read(tmp_path)
        draft_marks.unreviewed(tmp_path)
    except DatasetError:
        return
    assert all("\x1b" not in draft.by and "\u202e" not in draft.at for draft in marks.values())
