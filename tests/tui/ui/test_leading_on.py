"""After each check the screen names the key that leads on: to captions, to a config, and back to the pictures."""

from pathlib import Path

import pytest

from loratui.ui.typed_path import completed_path, typed_path
from support.captioned import write_captioned
from support.ui_effects.config import config_page, is_planned, on_config
from support.ui_effects.data import data_page, on_data
from support.ui_effects.effect import shows, until

SIZES = ((60, 16), (80, 24), (120, 40))


@pytest.mark.parametrize("size", SIZES)
async def test_the_worst_comes_first_and_each_state_has_its_key(size: tuple[int, int], tmp_path: Path) -> None:
    pictures = write_captioned(tmp_path / "pictures", {"a": None, "b": "a zog"})
    (pictures / "broken.png").write_bytes(b"\x89PNG\r\n")
    async with on_data(tmp_path, pictures, size=size) as shown:
        assert " error: f tells what to do" in shown.text()
        (pictures / "broken.png").unlink()
        await shown.press("v")
        await until(shown, shows("1 without a caption: t adds a trigger"))
        (pictures / "a.txt").write_text("another zog")
        await shown.press("v")
        await until(shown, shows("OK, ", ": f tells; n makes a config"))
        await shown.press("f")
        assert ": f tells; n makes a config" in shown.text()


async def test_the_likely_trigger_stands_in_the_prompt(tmp_path: Path) -> None:
    pictures = write_captioned(tmp_path / "pictures", {"a": "zorbix, grass", "b": "zorbix, sky", "c": None})
    async with on_data(tmp_path, pictures) as shown:
        await shown.press("t", "enter")
        await until(shown, shows("y Do it"))
        shown.clock.advance(1)
        await shown.press("y")
        await until(shown, shows("trigger zorbix: 1 file changed"))

    assert (pictures / "c.txt").read_text() == "zorbix\n"


async def test_a_config_of_the_folder_is_asked_for_without_asking_for_the_folder(tmp_path: Path) -> None:
    pictures = write_captioned(tmp_path / "pictures", {"a": "a zog"})
    async with on_data(tmp_path, pictures) as shown:
        await shown.press("n")
        await until(shown, shows("▌3Config▐", "first-run  A first try", "1 picture; preset: first-run"))


async def test_a_finding_of_a_config_leads_to_its_pictures_and_back_to_a_new_plan(tmp_path: Path) -> None:
    async with on_config(tmp_path) as shown:
        (tmp_path / "data" / "1_cat" / "0.txt").unlink()
        await shown.press("r")
        await until(shown, is_planned)
        await shown.press("f", "/", *"no_caption", "enter")
        await until(shown, shows("enter shows the pictures"))
        await shown.press("enter")
        await until(shown, lambda shown: data_page(shown).is_checked)
        assert "▌2Data▐" in shown.text()
        assert "1 without a caption: t adds a trigger" in shown.text()

        (tmp_path / "data" / "1_cat" / "0.txt").write_text("a cat")
        await shown.press("v")
        await until(shown, shows("n shows the config"))
        await shown.press("n")
        await until(shown, lambda shown: "no_caption" not in codes(config_page(shown).plan.plan))
        assert "t trains it" in shown.text()


def codes(plan: object) -> str:
    return " ".join(each.code for each in getattr(plan, "findings", ()))


async def test_unwritten_changes_of_another_config_are_not_left_behind(tmp_path: Path) -> None:
    pictures = write_captioned(tmp_path / "pictures", {"a": "a zog"})
    async with on_config(tmp_path) as shown:
        form = config_page(shown).form
        assert form is not None
        form.set("network_dim", "16")
        config_page(shown).changed()
        await shown.press("2")
        data_page(shown).open_path(pictures)
        await until(shown, lambda shown: data_page(shown).is_checked)
        await shown.press("n")

        assert "▌2Data▐" in shown.text()
        assert "w writes your changes first" in shown.text()


def test_a_path_that_is_dragged_into_the_terminal_is_the_path_that_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my pictures").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    meant = tmp_path / "my pictures"

    for text in (f"'{meant}'", f"{tmp_path}/my\\ pictures ", "~/my pictures", "my pictures", '"my pictures"'):
        assert typed_path(text) == meant
    for text in (f"{tmp_path}/~/my pictures", f"{tmp_path}/{meant}"):
        assert typed_path(text) == meant, "typed behind the path that was proposed"
    assert typed_path("/nowhere//") == Path("/nowhere")
    assert typed_path("it's") == tmp_path / "it's"
    assert typed_path("~nobody-of-this-name/x") == tmp_path / "~nobody-of-this-name/x"


def test_a_path_is_completed_as_far_as_one_thing_alone_can_be_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pictures of ana", "pictures of bo", ".hidden"):
        (tmp_path / name).mkdir()
    (tmp_path / "cat.toml").touch()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    assert completed_path("~") == "~/"
    assert completed_path("~/pi") == "~/pictures of "
    assert completed_path(f"{tmp_path}/pictures of a") == f"{tmp_path}/pictures of ana/"
    assert completed_path("c") == "cat.toml"
    assert completed_path("./c") == "./cat.toml"
    assert completed_path(".h") == ".hidden/"
    for text in ("", "~/", "x", "/nowhere/x", "pictures of ana/", "a\0b", "~nobody-of-this-name/x"):
        assert completed_path(text) == text
