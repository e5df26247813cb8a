"""The interface is found where it was left, after every kind of end, and no file makes it fail."""

import json
import signal
import sys
from pathlib import Path

import pytest

from loratui import settings
from loratui.ui.environment import UiOptions
from loratui.ui.keeper import EVERY_S
from loratui.ui.places import PLACES
from loratui.ui.session import FILE_NAME, Session, SessionKeeper, read
from support.scripted_source import HandClock, ScriptedSource
from support.terminal import Terminal
from support.ui_effects.effect import until
from support.ui_effects.home import DeskOfMany
from support.ui_pilot import showing

APP = [sys.executable, str(Path(__file__).parents[3] / "scripts" / "scripted_ui.py")]
LEFT = Session(place="samples", run_id="01HZ", pages={"run": {"scale": "log", "smoothing": "0.9"}})
KEEPS = UiOptions(keeps_session=True)
REOPENS = UiOptions(keeps_session=True, reopen=True)


def desk_in(folder: Path, clock: HandClock) -> DeskOfMany:
    preferences = settings.load({"state_dir": str(folder)}, {"LORATUI_CONFIG_DIR": str(folder)})
    return DeskOfMany(ScriptedSource(clock), preferences)


def wrote(folder: Path) -> Session:
    return read(folder)


def test_a_session_is_read_as_it_was_written(tmp_path: Path) -> None:
    SessionKeeper(tmp_path).close(LEFT)

    assert read(tmp_path) == LEFT
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b"[" * 100_000,
        b"null",
        b'{"place": 3, "run_id": null, "pages": []}',
        b'{"pages": {"run": 7, "home": {"run": ["x"]}}}',
        b'{"unended": [3, {}, {"label": 1}, {"label": "x", "name": "x"}, ["x"]]}',
        b'{"unended": {"label": "x"}}',
        b'{"place": "' + b"x" * 300_000 + b'"}',
    ],
)
def test_a_damaged_file_is_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    session = read(tmp_path)

    assert (session.place, session.run_id) == ("home", "")
    assert not any(session.pages.values())
    assert session.unended == ()


async def test_what_a_page_does_not_know_is_left_alone(tmp_path: Path) -> None:
    kept = {"scale": "x", "smoothing": "1e999", "run": "\x1b[2J", "what": "ever"}
    content = {"place": "nowhere", "run_id": "gone", "pages": {"run": kept, "home": kept, "moon": kept}}
    (tmp_path / FILE_NAME).write_text(json.dumps(content))
    clock = HandClock()
    async with showing(None, clock, desk=desk_in(tmp_path, clock), is_open=False, options=REOPENS) as shown:
        assert "▌1Home▐" in shown.text()
        await shown.pilot.app.workers.wait_for_complete()
        await shown.press("5")
        assert "ema 50 steps" in shown.text()


async def test_screen_run_and_what_the_pages_kept_are_there_again(tmp_path: Path) -> None:
    clock = HandClock()
    desk = desk_in(tmp_path, clock)
    async with showing(None, clock, desk=desk, is_open=False, options=REOPENS) as shown:
        await shown.press("down", "down", "enter")
        await shown.pilot.app.workers.wait_for_complete()
        await shown.press("L", "m", "8")
        shown.app.exit(0)
    assert wrote(tmp_path).place == "samples"

    again = desk_in(tmp_path, clock)
    async with showing(None, clock, desk=again, is_open=False, options=REOPENS) as shown:
        await shown.pilot.app.workers.wait_for_complete()
        await shown.pilot.pause()
        assert again.opened == [wrote(tmp_path).run_id]
        assert "▌8Samples▐" in shown.text()
        await shown.press("5")
        assert "log · L m" in shown.text()
        assert "ema 200 steps" in shown.text()
        await shown.press("1")
        assert any(row.startswith(">") and "style-2 " in row for row in shown.rows())


@pytest.mark.parametrize("place", ["data", "offers", "run", "log"])
async def test_the_screen_that_was_left_is_there_again_with_its_rows(tmp_path: Path, place: str) -> None:
    SessionKeeper(tmp_path).close(Session(place=place))
    clock = HandClock()
    async with showing(None, clock, desk=desk_in(tmp_path, clock), options=REOPENS, is_open=False) as shown:
        await until(shown, lambda shown: len(shown.screen.pages) >= len(PLACES))
        await shown.tick()
        assert shown.screen.page.place == place
        assert any(row.strip() for row in shown.rows()[3:-1]), shown.text()


async def test_who_names_a_run_gets_that_run_on_its_screen(tmp_path: Path) -> None:
    SessionKeeper(tmp_path).close(LEFT)
    clock = HandClock()
    desk = desk_in(tmp_path, clock)
    async with showing(None, clock, desk=desk, options=KEEPS) as shown:
        assert "▌5Run▐" in shown.text()
        assert "log · L m" in shown.text(), "how the charts are drawn is the user's taste, not the run's"
        assert desk.opened == []


async def test_it_is_written_while_it_is_open_and_only_when_it_changed(tmp_path: Path) -> None:
    clock = HandClock()
    async with showing(None, clock, desk=desk_in(tmp_path, clock), options=KEEPS) as shown:
        await shown.tick()
        await shown.press("1")
        await shown.tick(EVERY_S)
        keeper = shown.screen.reopening._keeper
        assert keeper._writing is not None
        keeper._writing.join()
        assert wrote(tmp_path).place == "home"

        (tmp_path / FILE_NAME).unlink()
        await shown.tick(EVERY_S)
        keeper._writing.join()
        assert not (tmp_path / FILE_NAME).exists(), "nothing had changed"


def test_within_a_second_it_is_written_once(tmp_path: Path) -> None:
    keeper = SessionKeeper(tmp_path)
    keeper.keep(LEFT, 10.0)
    keeper.keep(Session(place="run"), 10.0 + EVERY_S / 2)
    assert keeper._writing is not None
    keeper._writing.join()

    assert read(tmp_path) == LEFT


def test_a_folder_that_can_not_be_written_costs_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    SessionKeeper(tmp_path / "file").close(LEFT)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no ptys on Windows")
@pytest.mark.parametrize("way", ["hang up", signal.SIGTERM])
def test_a_hang_up_leaves_the_session_behind(tmp_path: Path, way: str | signal.Signals) -> None:
    with Terminal([*APP, "--state", str(tmp_path)]) as terminal:
        terminal.read_until_text("● TRAINING")
        terminal.press("8")
        terminal.read_until_text("▌8Samples▐")
        terminal.end(way)

        assert terminal.wait() == (129 if way == "hang up" else 130)
    assert wrote(tmp_path).place == "samples"


LORATUI = [sys.executable, "-m", "loratui.cli"]


def at_home_in(folder: Path) -> dict[str, str]:
    return {f"LORATUI_{name}": str(folder) for name in ("STATE_DIR", "CONFIG_DIR", "HOME")}


@pytest.mark.skipif(sys.platform == "win32", reason="there are no ptys on Windows")
def test_who_leaves_at_once_is_told_of_no_thread_that_was_still_at_work(tmp_path: Path) -> None:
    with Terminal(LORATUI, environ=at_home_in(tmp_path)) as terminal:
        terminal.read_until_text("IDLE")
        terminal.press("q")

        assert terminal.wait() == 0
        assert b"Traceback" not in terminal.received


@pytest.mark.skipif(sys.platform == "win32", reason="there are no ptys on Windows")
def test_loratui_alone_opens_where_it_was_left(tmp_path: Path) -> None:
    with Terminal(LORATUI, environ=at_home_in(tmp_path)) as terminal:
        terminal.read_until_text("▌1Home▐")
        terminal.press("8")
        terminal.read_until_text("▌8Samples▐")
        terminal.press("\x11")
        assert terminal.wait() == 0
    with Terminal([*LORATUI, "--no-diff"], environ=at_home_in(tmp_path)) as terminal:
        terminal.read_until_text("▌8Samples▐")
        terminal.hang_up()
        assert terminal.wait() == 129


@pytest.mark.skipif(sys.platform == "win32", reason="there are no ptys on Windows")
def test_wrong_keys_are_told_before_the_screen_is_taken(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[keys]\nleaf = "Q"\n')
    with Terminal(LORATUI, environ=at_home_in(tmp_path)) as terminal:
        assert terminal.wait() == 2
        told = terminal.received.decode()

    assert "[config.unknown_key]" in told
    assert "did you mean keys.leave?" in told
    assert "\x1b[?1049h" not in told
