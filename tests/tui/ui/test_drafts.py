"""What was changed or typed and not written is there again after every end, says so, and writes over nothing."""

import json
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from loratui import settings
from loratui.ui.drafts import FILE_NAME, ConfigDraft, Drafts, TypedDraft, keeper, read
from loratui.ui.environment import UiOptions
from loratui.ui.session import Session, SessionKeeper
from loratui.ui.widgets.prompt import Typed
from support.scripted_source import HandClock, ScriptedSource
from support.small_dataset import write_small_dataset
from support.terminal import Terminal
from support.ui_effects.config import OWN, config_page, is_planned
from support.ui_effects.data import data_page
from support.ui_effects.effect import exits_with, shows, until
from support.ui_effects.home import DeskOfMany
from support.ui_pilot import Shown, showing

HERE_AGAIN = "unsaved changes of my.toml are here again: u takes them back, r reads the file"
CHANGED = OWN.replace("network_dim = 8 # rank", "network_dim = 16  # rank")


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Write a config, and let the last session have had it open."""
    write_small_dataset(tmp_path / "data")
    path = tmp_path / "my.toml"
    path.write_text(OWN, "utf-8")
    open_next(tmp_path, "config", {"config": {"config": str(path)}})
    return path


def open_next(folder: Path, place: str, pages: dict[str, dict[str, str]]) -> None:
    SessionKeeper(folder / "state").close(Session(place=place, pages=pages))


@asynccontextmanager
async def reopened(folder: Path, *, readonly: bool = False) -> AsyncIterator[Shown]:
    """Open the interface where it was left."""
    clock = HandClock()
    source = ScriptedSource(clock)
    preferences = settings.load(
        {"state_dir": str(folder / "state")},
        {"LORATUI_CONFIG_DIR": str(folder / "config"), "LORATUI_HOME": str(folder / "home")},
    )
    options = UiOptions(keeps_session=True, reopen=True, readonly=readonly)
    async with showing(None, clock, desk=DeskOfMany(source, preferences), is_open=False, options=options) as shown:
        yield shown


@asynccontextmanager
async def on_again(folder: Path, **options: bool) -> AsyncIterator[Shown]:
    """Open it with its config."""
    async with reopened(folder, **options) as shown:
        await until(shown, is_planned)
        await shown.tick()
        yield shown


def disk(path: Path) -> str:
    return path.read_text("utf-8")


def write(path: Path, text: str = OWN) -> None:
    path.write_text(text, "utf-8")


def move(path: Path, to: Path) -> None:
    path.rename(to)


async def change(shown: Shown) -> None:
    config_page(shown)._set("network_dim", "16")
    await shown.pilot.pause()


async def leave(shown: Shown, *keys: str) -> None:
    """Leave by keys; without any the terminal hangs up."""
    if keys:
        await shown.press(*keys)
    else:
        shown.app.exit(129)
    await until(shown, lambda shown: shown.app.return_value is not None)


@pytest.mark.parametrize("keys", [("q",), ("ctrl+q",), ("ctrl+c",), ()])
async def test_changes_that_were_not_written_are_there_again(
    tmp_path: Path, config: Path, keys: tuple[str, ...]
) -> None:
    async with on_again(tmp_path) as shown:
        await change(shown)
        await leave(shown, *keys)
        assert shown.screen.reopening.said == ["Kept as a draft for the next time: unsaved changes of my.toml."]
    assert disk(config) == OWN
    assert stat.S_IMODE((tmp_path / "state" / FILE_NAME).stat().st_mode) == 0o600
    async with on_again(tmp_path) as shown:
        assert "*not written" in shown.text()
        assert HERE_AGAIN in shown.rows()[-1]
        await leave(shown)
    # And again, though nothing was done to them.
    async with on_again(tmp_path) as shown:
        form = config_page(shown).form
        assert form is not None
        assert form.text == CHANGED
        await shown.press("u")
        assert form.text == OWN
        assert "*not written" not in shown.text()
        await leave(shown)
    assert not (tmp_path / "state" / FILE_NAME).exists()


async def test_they_are_written_as_if_nothing_had_been_between(tmp_path: Path, config: Path) -> None:
    async with on_again(tmp_path) as shown:
        await change(shown)
        await leave(shown)
    async with on_again(tmp_path) as shown:
        await shown.press("w")
        shown.clock.advance(1)
        await shown.press("y")
        await until(shown, shows("written:"))
        assert disk(config) == CHANGED
        await leave(shown, "q")
        assert shown.screen.reopening.said == []


async def test_they_are_on_the_disk_while_it_is_open(tmp_path: Path, config: Path) -> None:
    async with on_again(tmp_path) as shown:
        await change(shown)
        await shown.tick()
        writing = shown.screen.reopening._draft_keeper._writing
        assert writing is not None
        writing.join()
        assert [draft.text for draft in read(tmp_path / "state").configs] == [CHANGED]
        assert disk(config) == OWN


async def test_a_file_that_changed_meanwhile_is_said_and_not_written_over(tmp_path: Path, config: Path) -> None:
    async with on_again(tmp_path) as shown:
        await change(shown)
        await leave(shown)
    write(config, OWN + "seed = 7\n")
    async with on_again(tmp_path) as shown:
        assert "! my.toml changed on disk; your changes are here: r reads it" in shown.foot()
        assert "!changed on" in shown.rows()[3]
        form = config_page(shown).form
        assert form is not None
        assert form.text == CHANGED
        await shown.press("w")
        shown.clock.advance(1)
        await shown.press("y")
        refused = "has changed on the disk since it was read here, and was left alone"
        await until(shown, lambda shown: refused in shown.screen.notices.newest_first()[0].text)
        assert disk(config) == OWN + "seed = 7\n"
        await shown.press("r")
        await until(shown, lambda _: form.text == OWN + "seed = 7\n")
        await shown.press("u")
        assert form.text == CHANGED


async def test_a_file_that_is_gone_takes_no_changes_with_it(tmp_path: Path, config: Path) -> None:
    async with on_again(tmp_path) as shown:
        await change(shown)
        await leave(shown)
    move(config, tmp_path / "away")
    async with on_again(tmp_path) as shown:
        await shown.press("W")
        await until(shown, lambda shown: shown.screen.prompt.is_open)
        await shown.press("ctrl+u")
        await shown.type("mine.toml")
        await shown.press("enter")
        await until(shown, shows("written:"))
    assert disk(tmp_path / "mine.toml") == CHANGED


async def test_what_another_program_saved_is_changed_again_too(tmp_path: Path, config: Path) -> None:
    gui = tmp_path / "gui.json"
    saved = {"LoRA_type": "Standard", "pretrained_model_name_or_path": "builtin:tiny", "network_dim": 12}
    write(gui, json.dumps({**saved, "train_data_dir": str(tmp_path / "data"), "max_resolution": "64,64"}))
    open_next(tmp_path, "config", {"config": {"config": str(gui)}})
    async with on_again(tmp_path) as shown:
        await change(shown)
        await leave(shown)
    move(config, tmp_path / "gui.toml")
    async with on_again(tmp_path) as shown:
        form, opened = config_page(shown).form, config_page(shown).opened
        assert form is not None
        assert opened is not None
        assert form.row("network_dim").value == "16"
        assert opened.target.name == "gui-2.toml", "what has the name meanwhile is not written over"


async def test_another_config_leaves_them_alone_until_theirs_is_opened(tmp_path: Path, config: Path) -> None:
    async with on_again(tmp_path) as shown:
        await change(shown)
        await leave(shown)
    other = tmp_path / "other.toml"
    write(other)
    open_next(tmp_path, "config", {"config": {"config": str(other)}})
    async with on_again(tmp_path) as shown:
        assert "*not written" not in shown.text()
        await leave(shown, "q")
        assert shown.screen.reopening.said == []
    async with on_again(tmp_path) as shown:
        config_page(shown).open(config)
        await until(shown, shows("config  my.toml *not written"))


async def test_a_read_only_screen_changes_nothing_and_keeps_them(tmp_path: Path, config: Path) -> None:
    async with on_again(tmp_path) as shown:
        await change(shown)
        await leave(shown)
    async with on_again(tmp_path, readonly=True) as shown:
        assert "*not written" not in shown.text()
        await leave(shown)
    assert [draft.path for draft in read(tmp_path / "state").configs] == [str(config)]


async def test_whoever_leaves_is_asked_where_they_can_not_be_kept(tmp_path: Path, config: Path) -> None:
    async with on_again(tmp_path) as shown:
        (tmp_path / "state" / FILE_NAME).mkdir()
        await change(shown)
        await shown.press("q")
        assert "! Can't be kept, and lost if this closes: unsaved changes of my.toml." in shown.text()
        assert shown.app.return_value is None
        shown.clock.advance(1)
        await shown.press("escape")
        (tmp_path / "state" / FILE_NAME).rmdir()
        await shown.press("q")
        await until(shown, exits_with(0))


# --- what was typed ---------------------------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Write pictures, and let the last session have had them open."""
    folder = write_small_dataset(tmp_path / "data")
    open_next(tmp_path, "data", {"data": {"path": str(folder)}})
    return folder


async def on_caption(shown: Shown, number: int = 0) -> None:
    """Let the caption of a picture be typed."""
    await until(shown, lambda _: data_page(shown).is_checked)
    await shown.press("g", *["j"] * number, "enter")
    await until(shown, lambda shown: shown.screen.prompt.is_open)


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize("keys", [("ctrl+q",), ("ctrl+c",), ()])
async def test_a_caption_that_was_being_typed_stands_there_again(tmp_path: Path, keys: tuple[str, ...]) -> None:
    async with reopened(tmp_path) as shown:
        await on_caption(shown)
        await shown.press("ctrl+u")
        await shown.type("a long caption typed by hand")
        await leave(shown, *keys)
    async with reopened(tmp_path) as shown:
        await until(shown, lambda _: data_page(shown).is_checked)
        await shown.tick(0)
        assert "what was typed for “caption of " in shown.foot()
        assert "is kept: it" in shown.foot()
        await on_caption(shown, 1)
        assert "by hand" not in shown.rows()[-1], "it is another picture"
        await shown.press("escape")
        await on_caption(shown)
        assert "(as you left it) a long caption typed by hand" in shown.rows()[-1]
        await leave(shown)
    # It was not handed over, so it is not gone; but it is told once.
    async with reopened(tmp_path) as shown:
        await on_caption(shown)
        assert "a long caption typed by hand" in shown.rows()[-1]
        await shown.press("escape")
        await on_caption(shown)
        assert "by hand" not in shown.rows()[-1]
        await leave(shown)
    assert read(tmp_path / "state") == Drafts()


@pytest.mark.parametrize("kind", [Typed.SECRET, Typed.MONEY])
async def test_no_secret_and_no_amount_is_kept(tmp_path: Path, kind: Typed) -> None:
    async with reopened(tmp_path) as shown:
        for _ in range(2):
            shown.screen.ask_text("key of vast, not shown:", lambda _: None, kind=kind)
            await shown.type("hunter2")
            await shown.tick(5)
        await leave(shown)
    for path in (tmp_path / "state").rglob("*"):
        assert path.is_dir() or b"hunter2" not in path.read_bytes()


async def test_what_was_not_touched_is_no_draft(tmp_path: Path) -> None:
    async with reopened(tmp_path) as shown:
        shown.screen.ask_text("folder", lambda _: None, "/data/e\u0301\u202e", Typed.PATH)
        await leave(shown)
        assert shown.screen.reopening.said == []


# --- the file ---------------------------------------------------------------------------------------------------------


def test_drafts_are_read_as_they_were_written(tmp_path: Path) -> None:
    typed = TypedDraft(place="data", label="caption", about="/data/\udc80", text="é \u202e")
    draft = ConfigDraft(path="/a", content=b"\xff\r\n", before="x", target="/a", kind="toml", text="y")
    kept = Drafts(configs=(draft,), typed=(typed,))

    assert keeper(tmp_path).close(kept)
    assert read(tmp_path) == kept
    assert keeper(tmp_path).close(Drafts())
    assert list(tmp_path.iterdir()) == []


def test_more_than_is_read_again_is_not_said_to_be_kept(tmp_path: Path) -> None:
    draft = ConfigDraft(path="/a", content=b"", before="", target="/a", kind="toml", text="x" * (17 << 20))

    assert not keeper(tmp_path).close(Drafts(configs=(draft,)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[",
        b"null",
        b"[" * 100_000,
        b'{"configs": 3, "typed": [{"place": 1}, [], {}]}',
        b'{"configs": [{"path": "/a", "content": "!", "before": "", "target": "", "kind": "", "text": ""}]}',
    ],
)
def test_a_damaged_file_is_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)

    assert read(tmp_path) == Drafts()


async def test_a_damaged_draft_is_in_nobodys_way(tmp_path: Path, config: Path) -> None:
    draft = ConfigDraft(path=str(config), content=b"", before="", target=str(config), kind="toml", text="= =")
    keeper(tmp_path / "state").close(Drafts(configs=(draft,)))
    async with on_again(tmp_path) as shown:
        assert "config  my.toml" in shown.text()
        assert "*not written" not in shown.text()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no ptys on Windows")
def test_a_hang_up_of_the_real_terminal_keeps_both(tmp_path: Path, config: Path) -> None:
    environ = {
        "LORATUI_STATE_DIR": str(tmp_path / "state"),
        "LORATUI_CONFIG_DIR": str(tmp_path / "config"),
        "LORATUI_HOME": str(tmp_path / "home"),
    }
    loratui = [sys.executable, "-m", "loratui.cli"]
    with Terminal(loratui, environ=environ) as terminal:
        terminal.read_until_text("= builtin:tiny")
        terminal.press("/network_dim\r\r")
        terminal.read_until_text(" network_dim = 8")
        terminal.press("\x1516\r")
        terminal.read_until_text("*not written")
        terminal.press("\r")
        terminal.read_until_text(" network_dim = 16")
        terminal.press("164")
        terminal.read_until_text(" network_dim = 164")
        terminal.hang_up()
        assert terminal.wait() == 129
    assert disk(config) == OWN
    with Terminal(loratui, environ=environ, size=(100, 30)) as terminal:
        terminal.read_until_text("*not written")
        terminal.read_until_text(HERE_AGAIN)
        terminal.press("/network_dim\r\r")
        terminal.read_until_text(" network_dim = (as you left it) 164")
        terminal.press("\r")
        terminal.read_until_text("= 164")
        terminal.press("q")
        assert terminal.wait() == 0
        assert "Kept as a draft for the next time: unsaved changes of my.toml." in terminal.received.decode()
