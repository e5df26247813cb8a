"""The screens without a tab: what was said, and how loratui is set."""

import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from loratui import settings
from loratui.ui.desk import SoleRun
from loratui.ui.environment import UiOptions
from loratui.ui.text import cells
from loratui_protocol.messages import JobState
from support.hostile_words import HOSTILE
from support.scripted_source import HandClock, ScriptedSource
from support.ui_effects.effect import lacks, shows, until
from support.ui_pilot import Shown, showing

SIZES = [(60, 16), (80, 24), (120, 40)]


@asynccontextmanager
async def with_settings(
    folder: Path,
    text: str = "",
    *,
    options: UiOptions | None = None,
    size: tuple[int, int] = (100, 30),
    **environ: str,
) -> AsyncIterator[Shown]:
    """Show an interface that is set by this file and these variables."""
    config = folder / "config.toml"
    config.write_text(text)
    environ |= {"LORATUI_CONFIG_DIR": str(folder), "HOME": str(folder)}
    clock = HandClock()
    source = ScriptedSource(clock)
    desk = SoleRun(source, settings.load({"state_dir": str(folder / "state")}, environ))
    async with showing(source, clock, desk=desk, options=options, size=size) as shown:
        yield shown


def row_of(shown: Shown, words: str) -> str:
    """Return the first row that has these words."""
    return next((row for row in shown.rows() if words in row), "")


# --- events ----------------------------------------------------------------------------------------------------------


async def test_what_was_said_is_listed_newest_first_with_its_time() -> None:
    async with showing() as shown:
        shown.screen.say("the first")
        shown.clock.advance(60)
        shown.screen.say("the second")
        shown.screen.say("the second")
        shown.screen.say("looking…")
        await shown.press("!")
        listed = [row[2:] for row in shown.rows() if row[2:].startswith("14:2")]

        assert listed == ["14:23:07  the second (2 times)", "14:22:07  the first"]


async def test_a_call_that_nobody_heard_is_listed_too(tmp_path: Path) -> None:
    async with showing() as shown:
        await shown.tick()
        shown.source.finish(tmp_path)
        await shown.tick()
        await shown.press("!")
        await until(shown, shows("my-style-v3 is done"))
        assert shown.source.run.state is JobState.DONE


async def test_the_alarm_of_the_beginning_is_found_again() -> None:
    async with showing(options=UiOptions(alarm="two rentals may bill: loratui rentals")) as shown:
        await shown.tick(60)
        await until(shown, lacks("may bill"))
        await shown.press("!")
        await until(shown, shows("! two rentals may bill: loratui rentals"))


@pytest.mark.parametrize("size", SIZES)
async def test_a_notice_that_one_row_is_too_short_for_is_in_sight_whole_and_leaves_nothing_behind(
    size: tuple[int, int],
) -> None:
    async with showing(size=size) as shown:
        shown.source.run.state = JobState.PAUSED
        await shown.tick()
        before = shown.rows()[2:]
        shown.screen.say("what happened, " * 11 + "and what helps", 10)
        await shown.tick()
        assert shown.foot().endswith("what happened, and what helps")
        await shown.press("x")
        await until(shown, shows("Enter does nothing here"))
        assert "and what helps" not in shown.text()
        await shown.tick(11)
        await shown.press("escape")
        await until(shown, lacks("Enter does nothing here"))
        assert shown.rows()[2:] == before


@pytest.mark.parametrize("size", SIZES)
async def test_a_long_notice_is_shown_whole_and_the_cursor_stays_on_its_own(size: tuple[int, int]) -> None:
    long = "a notice " * 14 + "with an end"
    async with showing(size=size) as shown:
        shown.screen.say("older")
        shown.screen.say(long)
        await shown.press("!")
        await until(shown, shows("with an end"))
        await shown.press("j")
        shown.screen.say("newer")
        await shown.tick()
        assert row_of(shown, "older").startswith("> "), shown.text()
        assert "with an end" not in shown.text()
        await shown.press("escape")
        assert "▌5Run▐" in shown.text()


async def test_the_list_of_events_is_filtered() -> None:
    async with showing() as shown:
        for text in ("red", "green", "red again"):
            shown.screen.say(text)
        await shown.press("!", "/", "r", "e", "d", "enter")
        assert "events  2 of 3" in shown.text()
        await shown.press("n")
        assert any(row.startswith("> ") and row.endswith("red") for row in shown.rows())


@pytest.mark.parametrize("size", SIZES)
async def test_what_hostile_words_were_in_is_shown_as_text(size: tuple[int, int]) -> None:
    async with showing(size=size) as shown:
        shown.screen.say(f"! {HOSTILE}")
        await shown.press("!")
        assert all(cells(row) <= size[0] for row in shown.rows())
        assert not any(unicodedata.category(char) in ("Cc", "Cf") for row in shown.rows() for char in row)


# --- settings --------------------------------------------------------------------------------------------------------


async def test_every_setting_is_shown_with_its_value_and_origin(tmp_path: Path) -> None:
    text = '[ui]\nnotify = "bell"\n[keys]\npause = "P"\n'
    async with with_settings(tmp_path, text, LORATUI_UI__ASCII="off", size=(120, 60)) as shown:
        await shown.press(",")
        await until(shown, shows("─ settings"))
        assert "bell, now off" in row_of(shown, "ui.notify")
        assert row_of(shown, "ui.notify").endswith("config.toml")
        assert "LORATUI_UI__ASCII" in row_of(shown, "ui.ascii")
        assert row_of(shown, "ui.frame_diff").split()[1:] == ["on", "default"]
        assert row_of(shown, "keys.pause").split()[1] == "P"
        for setting in settings.SETTINGS:
            assert row_of(shown, f" {setting.key}"), setting.key


@pytest.mark.parametrize(
    ("moves", "line", "name", "value"),
    [
        (0, 'theme = "dark"', "theme", "dark"),
        (1, 'notify = "osc9"', "notify", "osc9"),
        (2, 'mouse = "on"', "mouse", True),
        (3, 'slow = "on"', "slow", True),
        (4, 'ascii = "on"', "ascii", True),
        (5, 'frame_diff = "off"', "frame_diff", False),
    ],
)
async def test_what_is_chosen_holds_at_once_and_the_next_time(
    tmp_path: Path, moves: int, line: str, name: str, value: object
) -> None:
    async with with_settings(tmp_path, "# mine\n", options=UiOptions(mouse=False, theme="light")) as shown:
        await shown.press(",", *["j"] * moves, "enter")
        await until(shown, lambda shown: line in (tmp_path / "config.toml").read_text())
        assert getattr(shown.screen.options, name) == value
        await until(shown, shows(f"kept as ui.{name}"))
        assert row_of(shown, f"ui.{name} ").rstrip().endswith("config.toml")
    assert (tmp_path / "config.toml").read_text().startswith("# mine\n")
    later = settings.load({}, {"LORATUI_CONFIG_DIR": str(tmp_path)})
    assert line.endswith(f'"{getattr(later.screen, name)}"')


async def test_ascii_is_drawn_from_the_next_row_on(tmp_path: Path) -> None:
    async with with_settings(tmp_path) as shown:
        await shown.press(",", *"jjjj", "enter")
        await shown.press("escape")
        assert shown.text().isascii()


async def test_the_theme_key_keeps_the_theme(tmp_path: Path) -> None:
    async with with_settings(tmp_path) as shown:
        await shown.press("f3")
        await until(shown, shows("kept as ui.theme"))
        assert shown.app.theme == "loratui-light"
    assert settings.load({}, {"LORATUI_CONFIG_DIR": str(tmp_path)}).screen.theme == "light"


async def test_what_a_variable_says_is_changed_for_now_alone(tmp_path: Path) -> None:
    async with with_settings(tmp_path, LORATUI_UI__THEME="dark") as shown:
        await shown.press("f3")
        assert "for now: LORATUI_UI__THEME says otherwise" in shown.text()
        assert shown.app.theme == "loratui-light"
    assert (tmp_path / "config.toml").read_text() == ""


async def test_a_read_only_screen_keeps_nothing(tmp_path: Path) -> None:
    async with with_settings(tmp_path, options=UiOptions(readonly=True)) as shown:
        await shown.press("f3")
        assert "for now: this screen is read-only" in shown.text()
        await shown.press(",", "enter")
        assert "Change: not now, this screen is read-only" in shown.text()
    assert (tmp_path / "config.toml").read_text() == ""


async def test_a_file_that_can_not_be_changed_is_told(tmp_path: Path) -> None:
    async with with_settings(tmp_path, "ui = { theme = 'dark' }\n") as shown:
        await shown.press("f3")
        await until(shown, shows("has no place for ui.theme"))
        assert shown.app.theme == "loratui-light"


async def test_a_price_is_typed_tried_and_heeded_at_once(tmp_path: Path) -> None:
    async with with_settings(tmp_path, 'author = "me"  # stays\n') as shown:
        await shown.press(",", "/", *"local.price", "enter", "enter")
        assert "local.price_usd_per_h = 0" in shown.text()
        await shown.type("cheap")
        await shown.press("enter")
        await until(shown, shows("! local.price_usd_per_h stays as it was: 'cheap' is no amount of dollars"))
        await shown.press("enter")
        await shown.type("0.45")
        await shown.press("enter")
        await until(shown, shows("kept: local.price_usd_per_h = 0.45"))
        assert shown.screen.desk.preferences.local_price_microusd_per_h == 450_000
        assert shown.screen.desk.preferences.author == "me"
    kept = (tmp_path / "config.toml").read_text()
    assert 'author = "me"  # stays' in kept
    assert "price_usd_per_h = 0.45" in kept


async def test_a_price_that_a_variable_says_is_not_typed_here(tmp_path: Path) -> None:
    async with with_settings(tmp_path, LORATUI_LOCAL__PRICE_USD_PER_H="0.2") as shown:
        await shown.press(",", "/", *"local.price", "enter", "enter")
        assert "LORATUI_LOCAL__PRICE_USD_PER_H says otherwise" in shown.text()


async def test_what_is_set_elsewhere_says_where(tmp_path: Path) -> None:
    async with with_settings(tmp_path) as shown:
        await shown.press(",", "G", "enter")
        assert "this one is changed in config.toml" in shown.text()


async def test_nobody_reads_a_secret_there(tmp_path: Path) -> None:
    text = '[remote]\nindex_url = "https://me:hunter2@pypi.example/simple"\n'
    async with with_settings(tmp_path, text, size=(160, 60)) as shown:
        await shown.press(",", "/", *"index", "enter")
        assert "//…@pypi.example/simple" in shown.text()
        assert "hunter2" not in shown.text()


@pytest.mark.parametrize("size", SIZES)
async def test_a_setting_is_explained_at_every_size(size: tuple[int, int], tmp_path: Path) -> None:
    async with with_settings(tmp_path, size=size) as shown:
        await shown.press(",")
        await until(shown, shows("ui.theme", "colours of the interface"))
        assert all(len(row) <= size[0] for row in shown.rows())
