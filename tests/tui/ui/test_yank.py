"""What is taken along is where the notice says, whatever the terminal makes of it."""

import base64
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from loratui.ui.escapes import copy
from loratui.ui.yank import FILE_NAME, put_away
from support.scripted_source import HandClock, ScriptedSource
from support.ui_effects.config import on_config
from support.ui_effects.data import on_pictures
from support.ui_effects.effect import until
from support.ui_effects.files import on_files
from support.ui_effects.log import LAST, on_log
from support.ui_effects.offers import on_offers
from support.ui_effects.samples import on_samples
from support.ui_pilot import Shown, showing


def yanked(shown: Shown) -> str:
    return shown.screen.page.yank_text()


def is_file(path: str) -> bool:
    return Path(path).is_file()


async def test_on_every_screen_what_is_chosen_is_taken_along(tmp_path: Path) -> None:
    async with on_pictures(tmp_path) as shown:
        assert yanked(shown) == str(tmp_path / "pictures/a.png")
        await shown.press("f")
        assert yanked(shown).startswith("dataset.no_caption: 1 of 4 pictures have no")
    async with on_config(tmp_path / "own") as shown:
        await shown.press("/", *"output_name", "enter")
        assert yanked(shown) == "output_name = cat"
    async with on_offers(tmp_path) as shown:
        assert yanked(shown).startswith("loratui train /")
        assert " --offer " in yanked(shown)


async def test_what_lies_here_is_taken_along_by_its_path(tmp_path: Path) -> None:
    async with on_files(tmp_path) as shown:
        assert yanked(shown).startswith("loratui download ")
        await shown.press("down")
        assert is_file(yanked(shown))
    async with on_samples(tmp_path) as shown:
        first = yanked(shown)
        await shown.press("right")
        assert is_file(first)
        assert is_file(yanked(shown))
        assert yanked(shown) != first


async def test_of_a_log_the_line_that_is_looked_at_is_taken_along(tmp_path: Path) -> None:
    async with on_log(tmp_path) as shown:
        assert LAST in yanked(shown)
        await shown.press("g")
        await until(shown, lambda shown: "line 000001" in yanked(shown))


async def test_what_was_said_of_a_screen_does_not_hide_the_keys_of_another() -> None:
    async with showing() as shown:
        shown.screen.say("copied", 100)
        await shown.press("1")
        assert "copied" not in shown.text()

        shown.screen.say("! what may bill", 100)
        await shown.press("5")
        assert "! what may bill" in shown.text()


def test_the_clipboard_gets_the_text_coded() -> None:
    told = copy("loratui attach 'é\x1b'", in_tmux=False)

    assert told.startswith("\x1b]52;c;")
    assert told.endswith("\x07")
    assert base64.b64decode(told[7:-1]).decode() == "loratui attach 'é\x1b'"


def test_a_text_too_long_for_terminals_is_in_the_file_alone(tmp_path: Path) -> None:
    long = "x" * 100_000
    places = put_away(long, tmp_path, in_tmux=False)

    assert copy(long, in_tmux=False) == ""
    assert (tmp_path / FILE_NAME).read_text() == f"{long}\n"
    assert str(tmp_path / FILE_NAME) in places


def test_the_file_is_its_owners(tmp_path: Path) -> None:
    put_away("first, and longer", tmp_path / "new", in_tmux=False)
    put_away("second", tmp_path / "new", in_tmux=False)
    path = tmp_path / "new" / FILE_NAME

    assert path.read_text() == "second\n"
    assert os.name == "nt" or stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_inside_tmux_its_buffer_has_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = tmp_path / "tmux"
    tmux = ["tmux", "-S", str(server), "-f", "/dev/null"]
    subprocess.run([*tmux, "new-session", "-d", "-x", "80", "-y", "24"], check=True)
    try:
        monkeypatch.setenv("TMUX", f"{server},1,0")
        places = put_away("loratui attach 'a b'", tmp_path, in_tmux=True)
        shown = subprocess.run([*tmux, "show-buffer"], check=True, capture_output=True, text=True).stdout
    finally:
        subprocess.run([*tmux, "kill-server"], check=True)

    assert shown == "loratui attach 'a b'"
    assert "tmux" in places


def test_without_a_tmux_that_answers_the_file_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMUX", f"{tmp_path}/gone,1,0")

    assert "tmux" not in put_away("text", tmp_path / "state", in_tmux=True).removeprefix(str(tmp_path))
    assert (tmp_path / "state" / FILE_NAME).read_text() == "text\n"


async def test_a_run_that_is_over_gives_its_file(tmp_path: Path) -> None:
    clock = HandClock()
    source = ScriptedSource(clock, step=10)
    async with showing(source, clock) as shown:
        assert shown.screen.page.yank_text() == "loratui attach my-style-v3"
        source.finish(tmp_path)

        assert shown.screen.page.yank_text() == str(tmp_path / "my-style-v3.safetensors")


async def test_where_nothing_is_open_nothing_is_copied() -> None:
    async with showing(is_open=False) as shown:
        await shown.press("5", "y")

        assert "there is nothing to copy here" in shown.text()
