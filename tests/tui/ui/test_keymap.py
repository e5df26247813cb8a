"""The keys of config.toml: the rules of the registry hold for them, and every hint shows them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from loratui import settings
from loratui.settings import Settings
from loratui.ui.actions import ACTIONS
from loratui.ui.desk import SoleRun
from loratui.ui.keymap import with_keys
from loratui_protocol.errors import ConfigError, UsageError
from support.scripted_source import HandClock, ScriptedSource
from support.ui_pilot import Shown, showing


def preferences(folder: Path, text: str) -> Settings:
    (folder / "config.toml").write_text(text)
    return settings.load({"state_dir": str(folder)}, {"LORATUI_CONFIG_DIR": str(folder)})


@asynccontextmanager
async def with_config(folder: Path, text: str) -> AsyncIterator[Shown]:
    clock = HandClock()
    source = ScriptedSource(clock)
    desk = SoleRun(source, preferences(folder, text))
    async with showing(source, clock, desk=desk, size=(100, 30)) as shown:
        yield shown


async def test_a_key_of_the_users_does_it_and_the_old_one_no_more(tmp_path: Path) -> None:
    async with with_config(tmp_path, '[keys]\npause = "P"\nhelp = ["f1", "^g"]\n') as shown:
        await shown.press("p")
        assert shown.source.sent == []
        await shown.press("P")
        assert shown.source.sent == [("pause", 0)]
        assert " P Pause" in shown.rows()[-1] or "pause: sent" in shown.rows()[-1]

        await shown.press("ctrl+g")
        assert "P         Pause or resume" in shown.text()
        await shown.press("escape", "f2")
        await shown.type("pause")
        assert any(row.rstrip().endswith(" P") for row in shown.rows() if "Pause or resume" in row)


async def test_a_question_shows_the_users_answer(tmp_path: Path) -> None:
    async with with_config(tmp_path, 'keys.stop_finish = "w"\n') as shown:
        await shown.press("x")

        assert "w Finish the step, save, stop" in shown.text()


@pytest.mark.parametrize(
    ("line", "what", "fix"),
    [
        ("pausse = 'P'", "no action", "did you mean keys.pause"),
        ("pause = 'c'", "share c", "choose another key"),
        ("pause = 'ctrl+s'", "does not reach", "choose another key"),
        ("stop_finish = 'enter'", "without thinking", "choose another key"),
        ("stop_finish = 'x'", "confirmed with the key", "choose another key"),
        ("pause = 'pageupp'", "no key", "did you mean 'pageup'"),
        ("pause = 'hello'", "no key", "written as in"),
    ],
)
def test_keys_that_break_a_rule_are_refused_before_anything_is_shown(
    tmp_path: Path, line: str, what: str, fix: str
) -> None:
    wanted = preferences(tmp_path, f"[keys]\n{line}\n").screen.keys
    with pytest.raises(UsageError, match=what) as refused:
        with_keys(ACTIONS, wanted)

    assert refused.value.code.startswith("config.")
    assert refused.value.exit_status == 2
    assert fix in refused.value.fix


def test_two_actions_may_swap_their_keys(tmp_path: Path) -> None:
    wanted = preferences(tmp_path, '[keys]\npause = "c"\ncheckpoint = "p"\n').screen.keys
    actions = with_keys(ACTIONS, wanted)

    assert (actions["pause"].key, actions["checkpoint"].key) == ("c", "p")


@pytest.mark.parametrize("value", ["3", "''", "[]", "['p', 4]", "'p q'"])
def test_what_is_no_text_is_no_key(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match=r"config\.type"):
        preferences(tmp_path, f"[keys]\npause = {value}\n")


def test_the_settings_list_the_keys_with_their_origin(tmp_path: Path) -> None:
    [shown] = [each for each in preferences(tmp_path, 'keys.pause = ["P", "f5"]').shown if each.key == "keys.pause"]

    assert (shown.value, shown.origin) == ("P f5", str(tmp_path / "config.toml"))
