"""Every text that names a key names the one that the user has for it."""

import ast
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import loratui.ui
from loratui import settings
from loratui.domain.overview import Overview
from loratui.ui.actions import ACTIONS
from support.scripted_source import HandClock, ScriptedSource
from support.ui_effects.effect import shows, until
from support.ui_effects.home import DeskOfMany
from support.ui_effects.money import rental_line
from support.ui_pilot import Shown, showing

FOLDER = Path(loratui.ui.__file__).parent
# A key alone, and what it does; "a" and "I" are words.
_NAMED = re.compile(
    r"(?<![\w'{-])(?<!\d )([b-zA-HJ-Z]|\^[a-z]|F\d+|f\d+|esc|enter|space|tab|pgdn) (?!of\b)[a-z]{3,}s\b|\bpress \S"
)
_OWN_KEYS = {
    # Typed into a filter, the palette or a prompt: these keys are nobody's to choose.
    "widgets/palette.py": "enter does it · esc closes",
    "widgets/prompt.py": "tab completes it",
    "actions/lists.py": "show only entries that match; enter keeps it, esc clears it",
    # Signs that stand over a chart.
    "actions/chart.py": "one step in numbers, moved by {pan_left} and {pan_right}; c is a checkpoint, s a sample, "
    "r a restart",
}


def literals(path: Path) -> Iterator[str]:
    """Yield the texts of a module, but for its docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in told:
            yield node.value


@pytest.mark.parametrize(
    "text", ["u takes it back", "· ^t asks again", "x, or F8 moves it", "pick one: press r", "esc closes"]
)
def test_the_search_finds_a_key_that_is_written_out(text: str) -> None:
    assert _NAMED.search(text)


def test_no_text_has_a_key_written_out() -> None:
    written_out = []
    for path in sorted(FOLDER.rglob("*.py")):
        name = path.relative_to(FOLDER).as_posix()
        found = [text for text in literals(path) if (hit := _NAMED.search(text)) and not hit[0].startswith("press {")]
        written_out += [(name, text) for text in found if text != _OWN_KEYS.get(name)]
    assert not written_out


def test_every_help_names_actions_that_there_are() -> None:
    for action in ACTIONS:
        assert "{" not in ACTIONS.fill(action.help), action.id


def test_a_help_that_names_no_action_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        ACTIONS.fill("{no_such_action} does it")


NAMED = {
    "go_home": "f13",
    "open_run": "f14",
    "terminate": "f15",
    "terminate_undo": "f16",
    "undo": "f17",
    "help_close": "f18",
    "offers_for": "f19",
    "provider_keys": "f20",
    "config_open": "f21",
    "data_folder": "f22",
    "line_find": "f23",
    "new_config": "f24",
}


@asynccontextmanager
async def with_other_keys(folder: Path, *, is_open: bool = True, **keys: str) -> AsyncIterator[Shown]:
    """Show the interface with these keys, and one rental."""
    lines = [f'{action_id} = "{key}"' for action_id, key in (NAMED | keys).items()]
    (folder / "config.toml").write_text("\n".join(["[keys]", *lines]))
    preferences = settings.load({"state_dir": str(folder)}, {"LORATUI_CONFIG_DIR": str(folder)})
    clock = HandClock()
    source = ScriptedSource(clock)
    rentals = (rental_line(is_minded=False), rental_line(label="loratui-y", instance_id="4"))
    desk = DeskOfMany(source, preferences, Overview(rentals=rentals, is_read=True))
    async with showing(source, clock, desk=desk, size=(120, 40), is_open=is_open) as shown:
        yield shown


@pytest.mark.parametrize(
    ("pressed", "told"),
    [
        ("", ["nobody minds it: F15 ends it", "2  F24  ", "▌F13Home▐"]),
        ("2", ["F22 opens a folder of pictures"]),
        ("3", ["F21  open a config"]),
        ("4", ["F19 opens one, and asks", "F20 enters a provider's key"]),
        ("5", ["F13 lists all runs; F14 opens one."]),
        ("9", ["F13 lists all runs; F14 opens one."]),
        ("?", ["F18 closes"]),
        ("$", ["choose one on screen F13"]),
    ],
)
async def test_screens_with_nothing_on_them_name_the_users_keys(tmp_path: Path, pressed: str, told: list[str]) -> None:
    async with with_other_keys(tmp_path, is_open=False) as shown:
        if pressed:
            await shown.press(pressed)
        await until(shown, shows(*told))


async def test_notices_and_refusals_name_the_users_keys(tmp_path: Path) -> None:
    async with with_other_keys(tmp_path) as shown:
        await shown.press("e")
        assert "F17 takes it back" in shown.text()
        await shown.press("9", "n")
        assert "press F23" in shown.text()
        await shown.press("f13", "f15")
        assert "choose one, then F15" in shown.text()
        await shown.press("f15")
        shown.clock.advance(1)
        await shown.press("y")
        await until(shown, shows("in 5 s · F16 keeps it"))
        await shown.press("f2")
        await shown.type("30 minutes more")
        assert "F17 on its screen takes it back" in shown.text()
