"""Which encoding short captions are likely in, and what rewrites them."""

import shutil
import subprocess
from pathlib import Path

import pytest

from loratui_protocol.encodings import guessed, is_utf8
from loratui_protocol.foreign_captions import foreign_findings
from loratui_protocol.likely_encodings import likely_encodings

HEBREW = ["ציור של אישה ליד הים", "כלב לבן על הדשא", "חתול", "סגנון zorbix: עיר בלילה", "פרח אדום באגרטל"]
RUSSIAN = ["картина женщины на море", "zorbix, женщина, длинные волосы", "кот", "Девушка под дождём, зонт"]
JAPANESE = ["海辺に立つ女性の絵", "1girl, 制服, 教室, 笑顔", "猫", "zorbixの写真、柔らかい光"]
CHINESE = ["海边的女人的画", "zorbix, 女人, 长发", "老虎", "女孩的肖像、深色背景"]
KOREAN = ["바닷가에 서 있는 여자 그림", "zorbix, 초상화, 미소", "고양이"]
ALL = {
    "CP1255": HEBREW,
    "CP1251": RUSSIAN,
    "KOI8-R": RUSSIAN,
    "CP932": JAPANESE,
    "GB18030": CHINESE,
    "BIG5": ["海邊的女人的畫", "女孩的肖像、深色背景"],
    "CP949": KOREAN,
    "CP1253": ["πίνακας μιας γυναίκας", "γέρος με καπέλο"],
    "CP1256": ["لوحة امرأة بجانب البحر", "كلب أبيض على العشب"],
    "CP1250": ["Příliš žluťoučký kůň", "kobieta w kapeluszu, tło: góry"],
    "UTF-16LE": JAPANESE,
    "UTF-16BE": HEBREW,
}


@pytest.mark.parametrize("encoding", ALL)
def test_the_captions_of_a_dataset_tell_together_what_they_are_written_in(encoding):
    found = likely_encodings([text.encode(encoding) for text in ALL[encoding]])
    assert [each and each.encoding for each in found] == [encoding] * len(found)


@pytest.mark.parametrize("encoding", ALL)
def test_a_caption_alone_is_never_taken_for_another_encoding(encoding):
    for text in ALL[encoding]:
        [found] = likely_encodings([text.encode(encoding)])
        assert found is None or text.encode(encoding).decode(found.encoding) == text


def test_captions_of_several_hands_are_told_apart_and_a_short_one_goes_with_most():
    contents = [*(text.encode("cp1255") for text in HEBREW), JAPANESE[0].encode("cp932")]
    assert [each and each.encoding for each in likely_encodings(contents)] == ["CP1255"] * 5 + ["CP932"]


def test_bytes_of_no_language_are_not_guessed():
    assert likely_encodings([bytes(range(128, 256)), b"\xff\xd8\xff\xe0\x10JFIF"]) == [None, None]


@pytest.mark.parametrize("text", ["a cat", "a café, été"])
def test_western_text_in_utf_16_without_its_mark_is_certain(text):
    for encoding in ("utf-16-le", "utf-16-be"):
        assert guessed(text.encode(encoding)) == text


def test_western_text_of_windows_is_certain_and_two_bytes_of_japanese_are_not():
    for text in (
        "café",
        "un château près de la forêt",
        "niño pequeño",
        "45° angle, «nice», Élan…",
        "a 50€ note",
    ):
        assert guessed(text.encode("cp1252")) == text
    assert guessed("猫".encode("cp932")) is None


@pytest.mark.parametrize(
    "content", [b"a cat\0", b"a cat, \0\0\0", "ישה".encode("utf-16-le"), "כלב לבן".encode("utf-16-le")]
)
def test_a_stray_nul_and_other_letters_in_utf_16_are_not(content):
    assert guessed(content) is None


@pytest.mark.skipif(shutil.which("iconv") is None, reason="no iconv here")
@pytest.mark.parametrize(("encoding", "number"), [("cp1255", 5), ("cp932", 4), ("utf-16-le", 3), ("gbk", 30)])
def test_the_command_rewrites_the_files_that_it_names_whatever_their_names_and_how_often_it_is_run(
    tmp_path, encoding, number
):
    texts = {"cp1255": HEBREW, "cp932": JAPANESE, "utf-16-le": HEBREW, "gbk": CHINESE}[encoding]
    folder = tmp_path / "it's my $(touch gone) folder"
    folder.mkdir()
    wanted = {folder / f"-{n} it's; a.txt": texts[n % len(texts)] for n in range(number)}
    for path, text in wanted.items():
        path.write_bytes(text.encode(encoding))
    (folder / "beside.txt").write_text("שלום", "utf-8")
    [found] = foreign_findings([(path, path.read_bytes()) for path in wanted])
    assert found.code == "dataset.caption_encoding_unsure"
    assert texts[0] in found.what
    for _ in range(2):
        subprocess.run(["sh", "-c", found.fix.partition(": ")[2]], cwd=tmp_path, check=True)
    assert {path: path.read_text("utf-8") for path in wanted} == wanted
    assert (folder / "beside.txt").read_text("utf-8") == "שלום"
    assert len([*tmp_path.rglob("*")]) == number + 2


def test_no_command_is_told_for_a_name_that_cant_be_shown_as_it_is():
    path = Path("data") / "a\u202e.txt"
    [found] = foreign_findings([(path, HEBREW[0].encode("cp1255"))])
    assert "iconv" not in found.fix


def test_only_what_is_certain_is_promised_to_be_fixed():
    contents = {"a.txt": "a café".encode("cp1252"), "b.txt": HEBREW[0].encode("cp1255"), "c.txt": b"a cat\0"}
    found = list(foreign_findings([(Path("my data") / name, content) for name, content in contents.items()]))
    assert [(each.code, Path(each.path).name) for each in found] == [
        ("dataset.caption_encoding", "a.txt"),
        ("dataset.caption_encoding_unsure", "b.txt"),
        ("dataset.caption_encoding_unsure", "c.txt"),
    ]
    assert found[0].fix.startswith("loratui check 'my data' --fix")
    assert found[0].what.endswith("it reads 'a café'")
    assert not is_utf8(contents["c.txt"])
