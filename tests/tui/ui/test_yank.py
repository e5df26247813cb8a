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
from support.ui_pilot import showing


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
