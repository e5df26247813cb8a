"""Every screen in its main states looks as it was accepted: as text at two or three sizes, a dozen also as SVG.

What was accepted lies in ``snapshots`` beside this file. After a change that is meant, accept the new screens, and read
them in the diff before they are committed:

    UPDATE_SNAPSHOTS=1 python -m pytest tests/tui/ui/test_snapshots.py
"""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loratui.ui import themes
from loratui.ui.screenshot import svg_of
from support.snapshots import FOLDER, is_accepted
from support.ui_pilot import Shown
from support.ui_states import HEROES, STATES
from support.ui_states.state import Size


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Make what differs from machine to machine the same: the zone, and where the user's home is."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def text_file(state: str, size: Size) -> str:
    return f"{state}-{size[0]}x{size[1]}.txt"


@pytest.mark.parametrize("name", STATES)
async def test_a_screen_says_what_was_accepted(name: str, tmp_path: Path) -> None:
    state, wrong = STATES[name], []
    async with state.reached(tmp_path) as shown:
        for size in state.sizes:
            await shown.resize(*size)
            wrong.append(await is_accepted(shown, text_file(name, size)))
        for hero in (each for each in HEROES if each.state == name):
            await shown.resize(*hero.size)
            shown.app.theme = themes.theme(hero.theme).name
            wrong.append(await is_accepted(shown, hero.file, drawn))
    assert not any(wrong), "\n\n".join(filter(None, wrong))


def drawn(shown: Shown) -> str:
    """Return the picture, with the names that Rich makes out of its content taken off."""
    return re.sub(r"terminal-\d+", "terminal", f"{svg_of(shown.app, shown.app.title)}\n")


def test_nothing_that_is_no_more_is_kept() -> None:
    wanted = {text_file(name, size) for name, state in STATES.items() for size in state.sizes}
    assert {path.name for path in FOLDER.iterdir()} == wanted | {hero.file for hero in HEROES}
