"""Caption files that are not read, belong to nothing, or are not what they seem; one check tells of them all."""

import hashlib
import json
import os
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from loratui.cli import main
from loratui.preflight import draft_marks
from loratui.preflight.draft_marks import Draft
from loratui_protocol.caption_files import MAX_CAPTION_BYTES
from loratui_protocol.config_file import to_toml
from loratui_protocol.dataset import scan, scan_config
from loratui_protocol.errors import DatasetError
from support.captioned import BASE, look, look_all, png, write_captioned
from support.small_dataset import small_config

TEXT = "zorbix, in a wide field of grass, number"


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="a.TXT is a.txt there")
@pytest.mark.parametrize("name", ["a.TXT", "a.text", "a.png.txt", "a.caption.txt", "a.jpg.caption", "A.txt"])
def test_a_file_that_is_no_caption_by_its_name_alone_is_named_with_the_right_one(tmp_path: Path, name: str) -> None:
    folder = write_captioned(tmp_path / "1_z", {"a": None, "b": TEXT})
    (folder / name).write_text(TEXT)
    found = look(tmp_path)
    assert found["caption.odd_name"].what == (f"1 file is not read as captions because of their names (first: {name})")
    assert found["caption.odd_name"].fix == f"rename {name} to a.txt"
    assert "caption.orphan" not in found


@pytest.mark.skipif(sys.platform == "darwin", reason="one name there")
def test_an_accent_that_another_system_writes_otherwise_is_a_name_that_is_not_read(tmp_path: Path) -> None:
    folder = write_captioned(tmp_path / "1_z", {unicodedata.normalize("NFC", "café"): None})
    (folder / unicodedata.normalize("NFD", "café.txt")).write_text(TEXT)
    assert "caption.odd_name" in look(tmp_path)


def test_the_extension_that_the_config_names_is_the_one_to_rename_to(tmp_path: Path) -> None:
    folder = write_captioned(tmp_path / "1_z", {"a": None})
    (folder / "a.jpg.txt").write_text(TEXT)
    assert look(tmp_path, caption_extension=".caption")["caption.odd_name"].fix == "rename a.jpg.txt to a.caption"


def test_captions_without_a_picture_are_counted(tmp_path: Path) -> None:
    folder = write_captioned(tmp_path / "1_z", {"a": TEXT})
    for name in ("gone.txt", "lost.caption", "notes.md", "phone.txt", "phone.heic", ".hidden.txt"):
        (folder / name).write_text(TEXT)
    assert look(tmp_path)["caption.orphan"].what == (
        "2 caption files belong to no picture (first: gone.txt, lost.caption)"
    )


def test_two_captions_of_one_picture_and_one_of_two_are_told(tmp_path: Path) -> None:
    folder = write_captioned(tmp_path / "1_z", {"a": TEXT, "b": f"{TEXT} 2"})
    (folder / "a.caption").write_text("another")
    (folder / "b.webp").write_bytes(png())
    found = look(tmp_path)
    assert found["caption.double"].what == ("1 picture has a .txt and a .caption file; .txt is read (first: a.txt)")
    assert "b.png and b.webp" in found["caption.shared"].what
    assert ".caption is read" in look(tmp_path, caption_extension=".caption")["caption.double"].what


def test_a_tidy_folder_has_no_warning_about_its_captions(tmp_path: Path) -> None:
    words = ("dog", "tree", "house", "bridge", "river", "road")
    write_captioned(tmp_path / "1_z", {word: f"zorbix stands beside a {word} in the evening light" for word in words})
    found = look_all(tmp_path, trigger_word="zorbix", max_train_epochs=50)
    assert {each.code for each in found if each.severity != "info"} == {"dataset.few_pictures"}


# --- what is in them --------------------------------------------------------------------------------------------------


def test_one_check_tells_of_every_caption_that_can_not_be_read(tmp_path: Path) -> None:
    latin = {name: f"caf\xe9 {name}".encode("latin-1") for name in "ab"}
    utf16 = {name: f"{TEXT} {name}".encode("utf-16") for name in "cd"}
    huge = {"e": b"x" * (MAX_CAPTION_BYTES + 1)}
    folder = write_captioned(tmp_path / "1_z", {**latin, **utf16, **huge, "f": TEXT})
    errors = [each for each in look_all(tmp_path) if each.severity == "error"]
    assert [(each.code, Path(each.path).name, each.fix) for each in errors] == [
        (
            "dataset.caption_encoding",
            "a.txt",
            f"loratui check {folder} --fix shows how each is read and rewrites it",
        ),
        ("dataset.caption_too_long", "e.txt", "put a sentence or some tags there"),
    ]
    names = "a.txt, b.txt, c.txt, d.txt"
    assert errors[0].what == f"4 caption files are not UTF-8 text: {names}; a.txt reads 'caf\xe9 a'"
    # What can't be read is not also said to be empty, or to lack something.
    assert not look(tmp_path, trigger_word="zorbix").keys() & {"dataset.caption_empty", "caption.trigger_not_in_all"}
    for refused in (lambda: scan(folder), lambda: scan_config(small_config(tmp_path))):
        with pytest.raises(DatasetError):
            refused()


def test_check_ends_with_1_and_names_them_all_for_a_config_and_for_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_captioned(tmp_path / "p" / "1_z", {"a": b"caf\xe9", "b": TEXT.encode("utf-16"), "c": f"{TEXT} 3"})
    config = tmp_path / "job.toml"
    config.write_text(to_toml(small_config(tmp_path / "p", pretrained_model_name_or_path=BASE)), "utf-8")
    for path in (config, tmp_path / "p"):
        assert main(["check", str(path), "--json"]) == 1
        findings = json.loads(capsys.readouterr().out)["findings"]
        assert {Path(each["path"]).name for each in findings if each["severity"] == "error"} == {"a.txt"}
        [trained] = [each for each in findings if each["code"] == "caption.trains_on"]
        assert trained["what"] == f"1_z, 3 pictures: c.png is trained with '{TEXT} 3'"
        assert trained["path"].endswith("1_z")


def test_a_mark_of_byte_order_and_characters_that_nobody_sees_are_told(tmp_path: Path) -> None:
    captions = {
        "bom": b"\xef\xbb\xbf" + TEXT.encode(),
        "nul": TEXT.encode("utf-16-le"),
        "bidi": f"{TEXT} \u202eevil",
        "emoji": f"{TEXT} \U0001f469\u200d\U0001f680",
    }
    write_captioned(tmp_path / "1_z", captions)
    found = look(tmp_path)
    assert found["caption.bom"].what.startswith("1 caption file begins with a byte order mark (first: bom.txt)")
    assert "(first: bidi.txt)" in found["caption.unseen_characters"].what
    # It is text by its bytes, each second of which is NUL: nobody means to train that.
    assert found["dataset.caption_encoding"].what == f"1 caption file is not UTF-8 text: nul.txt; it reads {TEXT!r}"


def test_drafts_that_nobody_has_read_are_told_until_they_are_reviewed(tmp_path: Path) -> None:
    folder = write_captioned(tmp_path / "1_z", {"a": TEXT, "b": f"{TEXT} 2"})
    mark = Draft(by="wd14", sha256=hashlib.sha256(TEXT.encode()).hexdigest(), at="2026-11-28")
    draft_marks.mark(folder, {"a.txt": mark})
    assert look(tmp_path)["caption.draft"].what == (
        "1 of 2 captions are drafts by wd14 that nobody has read (first: a.txt)"
    )
    draft_marks.review(folder, ["a.txt"])
    assert "caption.draft" not in look(tmp_path)
    (folder / draft_marks.FILE_NAME).write_text("{")
    assert look(tmp_path)["caption.draft_marks"].severity == "warning"


def test_a_folder_that_is_called_like_a_caption_is_told(tmp_path: Path) -> None:
    folder = write_captioned(tmp_path / "1_z", {"a": TEXT, "b": None})
    (folder / "b.txt").mkdir()
    assert look(tmp_path)["caption.is_folder"].what.startswith("1 folder has the name of a caption (first: b.txt)")


# --- hostile ones -----------------------------------------------------------------------------------------------------


def test_a_caption_of_ten_thousand_tags_and_one_long_word_are_looked_at(tmp_path: Path) -> None:
    tags = ", ".join(f"t{n}" for n in range(10_000))[:MAX_CAPTION_BYTES]
    write_captioned(tmp_path / "1_z", {"tags": tags, "word": "zorbi" * 12_000, "open": "{a" * 30_000})
    for wild in (False, True):
        found = look(tmp_path, trigger_word="zorbix", enable_wildcard=wild)
        assert "caption.too_many_tokens" in found
        assert all(len(each.what) < 3000 for each in found.values())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="names are bytes there")
def test_names_of_odd_bytes_are_looked_at_and_told_harmlessly(tmp_path: Path) -> None:
    folder = write_captioned(tmp_path / "1_z", {"a": TEXT})
    for name in (b"\xff\xfe", b"\x1b[2J", "\u202egnp".encode()):
        (folder / os.fsdecode(name + b".txt")).write_text(TEXT)
    what = look(tmp_path)["caption.orphan"].what
    assert what.startswith("3 caption files")
    assert what.isprintable()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example([b"\xff\xfe\x00\xd8", b"\x00" * 50, "\u202e\x1b[2J{a|".encode()], "zorbix", True)
@example(["\U0001f469\u200d\U0001f680".encode(), b"", b"\r\n\x0c"], "\u05d7\u05ea", False)
@example([b"a"], "\x1b", False)
@given(
    st.lists(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode()), min_size=1, max_size=4),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.booleans(),
)
def test_whatever_captions_and_triggers_hold_is_told_or_refused_and_nothing_else(
    tmp_path: Path, contents: list[bytes], trigger: str, wild: bool
) -> None:
    write_captioned(tmp_path / "1_z", {f"p{n}": content for n, content in enumerate(contents)})
    found = look_all(tmp_path, trigger_word=trigger or None, enable_wildcard=wild, shuffle_caption=True)
    for each in found:
        assert each.what.isprintable() or "\n" in each.what or "\t" in each.what
        assert not {"\x1b", "\u202e", "\0"}.intersection(each.what + each.fix)
        json.dumps([each.what, each.fix])
