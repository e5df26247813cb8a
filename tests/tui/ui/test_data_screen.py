"""A folder of pictures on the screen: what is shown of it, found in it, and done to it."""

from pathlib import Path

import pytest
from PIL import Image

from loratui.ui.environment import UiOptions
from loratui.ui.text import cells
from loratui_protocol.config_file import to_toml
from support.captioned import write_captioned
from support.drawn_pictures import photo
from support.small_dataset import small_config, write_small_dataset
from support.ui_effects.data import data_page, on_data, on_pictures, propose_suffix
from support.ui_effects.effect import shows, until
from support.ui_pilot import Shown

HOSTILE = (
    "\x1b]52;c;aGFja2Vk\x07 \x1b[2J\x9b31m [bold red]markup[/bold red] [@click=app.quit]x[/] [/] \u202eright "
    "\u200bzero e\u0301 👨‍👩‍👧 🇩🇪 日本語テキスト"
)


def captions(folder: Path) -> dict[str, str]:
    return {path.stem: path.read_text("utf-8") for path in sorted(folder.glob("*.txt"))}


def row_of(shown: Shown, name: str) -> str:
    return next(row for row in shown.rows()[4:] if name in row[:36])


async def test_pictures_stand_with_size_caption_and_the_gravest_word(tmp_path: Path) -> None:
    pictures = write_captioned(tmp_path / "pictures", {"a": "a zog, grass", "d": None})
    (pictures / "broken.png").write_bytes(b"\x89PNG\r\n")
    async with on_data(tmp_path, pictures) as shown:
        assert "64x64 a zog, gra…" in row_of(shown, "a.png")
        assert "warning d.png" in row_of(shown, "d.png")
        assert "missing" in row_of(shown, "d.png")
        assert "error   broken.png" in row_of(shown, "broken.png")


async def test_pictures_stand_in_the_order_in_which_people_count(tmp_path: Path) -> None:
    pictures = write_captioned(tmp_path / "pictures", dict.fromkeys(("10", "1", "0", "2"), "a zog"))
    async with on_data(tmp_path, pictures) as shown:
        told = dict.fromkeys(word for row in shown.rows() for word in row.split() if word.endswith(".png"))
        assert [*told] == ["0.png", "1.png", "2.png", "10.png"], shown.text()


async def test_the_chosen_picture_is_drawn_beside_the_list_with_its_tokens_and_bucket(tmp_path: Path) -> None:
    write_small_dataset(tmp_path / "set")
    config = tmp_path / "cat.toml"
    config.write_text(to_toml(small_config(tmp_path / "set", pretrained_model_name_or_path="somebody/sd15")), "utf-8")
    async with on_data(tmp_path, config) as shown:
        await until(shown, shows("▀▀▀", "64x64 trained at 64x64", " 2 tokens"))
        assert "─ pictures  4" in shown.text()
        assert "1_cat/0.png" in shown.text()


async def test_small_ascii_and_colourless_screens_show_words_alone(tmp_path: Path) -> None:
    pictures = write_captioned(tmp_path / "pictures", {"a": "a zog"})
    async with on_data(tmp_path, pictures, size=(60, 16)) as shown:
        assert "a zog" in row_of(shown, "a.png")
        assert "tokens" not in shown.text()
    async with on_data(tmp_path, pictures, options=UiOptions(ascii=True)) as shown:
        await until(shown, shows("2 tokens"))
        assert shown.text().isascii()
    async with on_data(tmp_path, pictures, options=UiOptions(colours=False)) as shown:
        await until(shown, shows("2 tokens"))
        assert "▀" not in shown.text()


async def test_a_finding_shows_its_fix_and_then_its_pictures(tmp_path: Path) -> None:
    async with on_pictures(tmp_path) as shown:
        await shown.press("f")
        assert "what to do: write a .txt file beside each" in shown.text()
        await shown.press("enter")

        assert "pictures of dataset.no_caption  1" in shown.text()
        assert "d.png" in shown.text()
        assert "a.png" not in shown.text()
        await shown.press("escape", "escape")
        assert "─ pictures  4" in shown.text()


async def test_both_lists_are_filtered_by_severity_code_and_words(tmp_path: Path) -> None:
    of_findings = {
        "code:bom": {"caption.bom"},
        "missing": {"dataset.no_caption"},
        "byte order": {"caption.bom"},
        "warning no_c": {"dataset.no_caption"},
    }
    of_pictures = {
        "missing": {"d.png"},
        "code:bom": {"c.png"},
        "zog sky": {"b.png"},
        "tokens>=4 width=64": {"a.png", "b.png"},
        "height>64": set[str](),
    }
    async with on_pictures(tmp_path) as shown:
        findings, pictures = data_page(shown)._findings, data_page(shown)._pictures
        for query, there in of_pictures.items():
            pictures.set_query(query)
            assert {each.name for each in pictures.found} == there
        await shown.press("f", "/")
        for query, there in of_findings.items():
            findings.set_query("")
            await shown.type(query)
            assert {each.finding.code for each in findings.found} == there
        assert "/ warning no_c" in shown.text()

        await shown.press("ctrl+w", "ctrl+u")
        await shown.type("pictures>1")
        assert findings.found
        assert all(len(each.names) > 1 for each in findings.found)
        await shown.type("00")
        assert "it may say: words, error" in shown.text()
        await shown.press("ctrl+u")
        assert findings.found == findings.entries


async def test_a_caption_that_is_typed_anew_is_written_and_taken_back(tmp_path: Path) -> None:
    pictures = write_captioned(tmp_path / "pictures", {"a": "a zog\nand a second line\n", "b": None})
    async with on_data(tmp_path, pictures) as shown:
        await shown.press("e")
        await shown.type(", grass")
        await shown.press("enter")
        await until(shown, shows("caption of one picture: 1 file changed"))
        assert captions(pictures) == {"a": "a zog, grass\nand a second line\n"}
        await until(shown, lambda shown: data_page(shown).is_checked and "a zog, gra…" in row_of(shown, "a.png"))

        await shown.press("u")
        await until(shown, shows("taken back: caption of one picture, 1 change "))
        assert captions(pictures) == {"a": "a zog\nand a second line\n"}


async def test_a_caption_in_any_script_is_shown_whole_and_keeps_what_is_not_typed_anew(tmp_path: Path) -> None:
    written = "zog, ปราสาทบนเนินเขา, 👩\u200d👩\u200d👧 👍🏽 🇩🇪, שָׁלוֹם"
    pictures = write_captioned(tmp_path / "pictures", {"a": written})
    async with on_data(tmp_path, pictures, size=(160, 40)) as shown:
        assert "ปราสาทบนเนินเขา" in shown.text()
        assert "שָׁלוֹם" in shown.text()
        await shown.press("e")
        await shown.type(", grass")
        await shown.press("enter")
        await until(shown, shows("1 file changed"))

        assert captions(pictures) == {"a": f"{written}, grass"}


async def test_what_hides_in_a_caption_is_gone_once_it_is_taken_as_it_is_shown(tmp_path: Path) -> None:
    pictures = write_captioned(tmp_path / "pictures", {"a": "a \x1b[31mzog\u202e, grass"})
    async with on_data(tmp_path, pictures) as shown:
        await shown.press("e", "enter")
        await until(shown, shows("1 file changed"))

        assert captions(pictures) == {"a": "a [31mzog, grass"}


async def test_a_picture_without_a_caption_gets_one(tmp_path: Path) -> None:
    pictures = write_captioned(tmp_path / "pictures", {"a": None})
    async with on_data(tmp_path, pictures) as shown:
        await shown.press("enter")
        await shown.type("a zog")
        await shown.press("enter")

        await until(shown, shows("1 file changed"))
        assert captions(pictures) == {"a": "a zog\n"}
        await until(shown, lambda shown: "missing" not in row_of(shown, "a.png"))


async def test_a_bulk_edit_of_marked_pictures_is_shown_first_and_done_by_y_alone(tmp_path: Path) -> None:
    async with on_pictures(tmp_path) as shown:
        pictures = tmp_path / "pictures"
        before = captions(pictures)
        await shown.press("space", "space")
        await propose_suffix(shown)
        assert "CHANGE 2 files: suffix" in shown.text()
        assert "-a zog, grass" in shown.text()
        assert "+a zog, grass, at night" in shown.text()
        await shown.press("enter", "space")
        assert captions(pictures) == before

        await shown.press("y")
        await until(shown, shows("suffix: 2 files changed"))
        assert captions(pictures) == before | {"a": "a zog, grass, at night", "b": "a zog, sky, at night"}
        await until(shown, lambda shown: data_page(shown).is_checked)
        await shown.press("u")
        await until(shown, shows("taken back: suffix"))
        assert captions(pictures) == before


async def test_a_bulk_edit_means_what_the_filter_lets_through(tmp_path: Path) -> None:
    async with on_pictures(tmp_path) as shown:
        await shown.press("/")
        await shown.type("sky")
        await shown.press("enter", "c")
        await shown.type("sky")
        await shown.press("enter")
        await shown.type("sea")
        await shown.press("enter")
        await until(shown, shows("CHANGE 1 file: replaced"))
        shown.clock.advance(1)
        await shown.press("y")

        await until(shown, shows("replaced: 1 file changed"))
        assert captions(tmp_path / "pictures")["b"] == "a zog, sea"


async def test_a_question_that_is_left_changes_nothing(tmp_path: Path) -> None:
    async with on_pictures(tmp_path) as shown:
        before = captions(tmp_path / "pictures")
        await propose_suffix(shown)
        await shown.press("escape", "y")

        assert "what would change" not in shown.text()
        assert captions(tmp_path / "pictures") == before


async def test_what_can_be_set_right_is_set_right_and_is_gone_from_the_findings(tmp_path: Path) -> None:
    async with on_pictures(tmp_path) as shown:
        await shown.press("f", "/")
        await shown.type("bom")
        await shown.press("enter", "x")
        await until(shown, shows("CHANGE 1 file: byte order marks removed"))
        shown.clock.advance(1)
        await shown.press("y")

        await until(shown, shows("nothing matches the filter"))
        assert (tmp_path / "pictures" / "c.txt").read_bytes() == b"a zog"


async def test_what_only_a_person_can_set_right_says_so(tmp_path: Path) -> None:
    async with on_pictures(tmp_path) as shown:
        await shown.press("f", "/")
        await shown.type("few_pictures")
        await shown.press("enter", "x")

        assert "not now, this one is for a person to set right" in shown.text()


async def test_repeats_make_a_numbered_folder_of_a_flat_one(tmp_path: Path) -> None:
    async with on_pictures(tmp_path) as shown:
        await shown.press("f", "/")
        await shown.type("code:dataset.flat")
        await shown.press("enter", "x")
        await shown.type("5")
        await shown.press("enter")
        await until(shown, shows("pictures moved into 5_pictures"))
        shown.clock.advance(1)
        await shown.press("y")

        await until(shown, shows("files changed"))
        assert (tmp_path / "pictures" / "5_pictures" / "a.png").is_file()


async def test_a_folder_without_pictures_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    async with on_data(tmp_path, None) as shown:
        await shown.press("enter")
        shown.screen.prompt._field.value = str(tmp_path / "empty")
        await shown.press("enter")

        await until(shown, shows("! no pictures in", "found nothing. put"))


async def test_a_path_that_is_typed_counts_from_here_and_is_kept_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_captioned(tmp_path / "pictures", {"a": "a zog"})
    monkeypatch.chdir(tmp_path)
    async with on_data(tmp_path, None) as shown:
        await shown.press("o")
        await until(shown, shows(str(tmp_path)[-20:]))
        shown.screen.prompt._field.value = "~nobody-of-this-name/x"
        await shown.press("enter")
        await until(shown, shows("! there is no folder"))
        await shown.press("o")
        shown.screen.prompt._field.value = "pictures"
        await shown.press("enter")

        await until(shown, shows("a.png"))
        assert data_page(shown).kept() == {"path": str(tmp_path / "pictures")}


async def test_a_folder_that_is_not_there_says_so(tmp_path: Path) -> None:
    async with on_data(tmp_path, tmp_path / "nowhere") as shown:
        assert "! there is no folder" in shown.text()
        await shown.press("p")
        assert "not now, no folder is open" in shown.text()


async def test_what_was_open_is_looked_at_again_when_the_screen_is(tmp_path: Path) -> None:
    async with on_pictures(tmp_path) as shown:
        kept = data_page(shown).kept()
    async with on_data(tmp_path, None) as shown:
        data_page(shown).restore(kept)
        await shown.press("1", "2")

        await until(shown, shows("─ pictures  4"))


async def test_damaged_memory_of_what_was_open_is_left_alone(tmp_path: Path) -> None:
    async with on_data(tmp_path, None) as shown:
        for path in ("", "\0"):
            data_page(shown).restore({"path": path})
        await shown.press("1", "2")

        assert "No folder is open" in shown.text()


async def test_an_answer_that_came_too_late_is_dropped(tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.mkdir()
    for index in range(12):
        photo(index).save(first / f"{index}.png")
    second = write_captioned(tmp_path / "second", {"other": "a zog"})
    async with on_data(tmp_path, None) as shown:
        data_page(shown).open_path(first)
        data_page(shown).open_path(second)
        await until(shown, lambda shown: data_page(shown).is_checked)
        await shown.app.workers.wait_for_complete()

        assert "─ pictures  1" in shown.text()
        assert "other.png" in shown.text()


async def test_a_read_only_screen_changes_no_file(tmp_path: Path) -> None:
    pictures = write_captioned(tmp_path / "pictures", {"a": "a zog"})
    async with on_data(tmp_path, pictures, options=UiOptions(readonly=True)) as shown:
        for key in ("e", "p", "s", "c", "t", "d", "u", "x", "enter"):
            await shown.press(key)
            assert not shown.screen.prompt.is_open
        assert "read-only" in shown.text()


async def test_hostile_names_and_captions_are_text_in_every_place(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    name = HOSTILE.replace("/", "|")
    write_captioned(pictures, {name[:60]: HOSTILE, "a": f"{HOSTILE}\n{HOSTILE}", "b": b"\xff\xfe\x00", "c": None})
    (pictures / f"{name[:50]}.gif").write_bytes(b"GIF")
    size = (120, 40)
    async with on_data(tmp_path, pictures, size=size) as shown:
        for key in ("G", "e", "escape", "s"):
            await shown.press(key)
            check(shown, size)
        await shown.type("x")
        await shown.press("enter")
        await until(shown, lambda shown: "Do it" in shown.text() or "! nothing was changed" in shown.text())
        check(shown, size)
        shown.clock.advance(1)
        await shown.press("escape", "f")
        for _ in data_page(shown)._findings.found:
            await shown.press("enter")
            check(shown, size)
            await shown.press("escape")
            check(shown, size)
            data_page(shown).do_list_down()
    size = (60, 16)
    async with on_data(tmp_path, pictures, size=size) as shown:
        check(shown, size)
        await shown.press("f")
        check(shown, size)


def check(shown: Shown, size: tuple[int, int]) -> None:
    rows = shown.rows()
    assert len(rows) == size[1]
    for row in rows:
        assert all(char.isprintable() for char in row), ascii(row)
        assert cells(row) <= size[0]


async def test_a_picture_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.new("RGB", (400, 100), "red").save(pictures / "lying.jpg", exif=exif)
    async with on_data(tmp_path, pictures) as shown:
        await until(shown, shows("▀"))

        assert len([row for row in shown.rows() if "▀" in row]) > 8
