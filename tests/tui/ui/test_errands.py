"""Commands that the interface sends out are real processes with a life of their own."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from loratui import settings
from loratui.ui.errands import Errand, Errands
from support.ui_effects.home import on_home


@pytest.fixture
def errands(tmp_path: Path) -> Errands:
    return Errands(
        settings.load(
            {"state_dir": str(tmp_path / "state"), "local.home": str(tmp_path / "home")},
            {"LORATUI_CONFIG_DIR": str(tmp_path / "config")},
        )
    )


def ended(errand: Errand) -> int:
    return errand.process.wait(timeout=60)


def test_a_command_is_carried_out_with_the_settings_of_the_interface(errands: Errands, tmp_path: Path) -> None:
    errand = errands.send("where", "config", "path")

    assert errand in errands.under_way
    assert ended(errand) == 0
    assert str(tmp_path / "config") in errand.last_line()
    assert errands.collect() == [errand]
    assert errands.collect() == []
    assert not errands.under_way


def test_a_command_that_fails_says_why(errands: Errands) -> None:
    errand = errands.send("check", "check", "no-such-folder")

    assert ended(errand) not in (0, None)
    assert "no-such-folder" in "\n".join(errand.lines())


def test_a_command_is_in_a_session_of_its_own(errands: Errands) -> None:
    errand = errands.send("where", "config", "path")
    try:
        assert os.getsid(errand.process.pid) == errand.process.pid
    finally:
        ended(errand)


def test_only_the_newest_words_are_kept(errands: Errands, tmp_path: Path) -> None:
    folder = tmp_path / "state" / "errands"
    folder.mkdir(parents=True)
    for number in range(30):
        (folder / f"{number:02}.log").touch()
    ended(errands.send("where", "config", "path"))

    assert len(list(folder.glob("*.log"))) == 20
    assert not (folder / "00.log").exists()


def test_what_a_command_is_about_is_named_once(tmp_path: Path, errands: Errands) -> None:
    errand = errands.send("resume tiny", "config", "path")
    ended(errand)
    for said, told in (("tiny: resume done\n", "resume tiny: resume done"), ("tiny run\n", "resume tiny: tiny run")):
        errand.words.write_text(said)
        assert errand.outcome() == told
    errand.words.write_text("")
    assert errand.outcome() == "resume tiny: done"


@pytest.mark.parametrize(
    ("script", "never_began"),
    [
        ("kill -INT $$", True),
        ("echo 'Traceback (most recent call last):'; kill -INT $$", True),
        ("echo STILL BILLING; kill -INT $$", False),
        ("exit 130", True),
        ("echo vast 17 is gone; exit 130", False),
        ("kill -KILL $$", False),
        ("exit 0", False),
    ],
)
def test_a_command_that_is_interrupted_while_it_is_loaded_never_began(
    tmp_path: Path, script: str, never_began: bool
) -> None:
    words = tmp_path / "words"
    with words.open("wb") as output:
        process = subprocess.Popen(["/bin/sh", "-c", script], stdout=output)
    errand = Errand("rent RTX 3090", ("train",), words, process, started_s=0.0)

    ended(errand)

    assert errand.never_began == never_began
    assert (errand.outcome() == "rent RTX 3090: interrupted before it had begun") == never_began


async def test_the_end_of_a_command_is_told_on_the_screen(tmp_path: Path) -> None:
    async with on_home(tmp_path) as shown:
        errand = shown.screen.send_out("look", "check", "no-such-folder")
        assert errand is not None
        ended(errand)
        end_s = time.monotonic() + 5
        while "look:" not in shown.text() and time.monotonic() < end_s:
            await shown.tick()

        assert "! look:" in shown.text()
