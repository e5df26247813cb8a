"""What the keys of the data screen must bring about, on a real folder of pictures."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from loratui import settings
from loratui.ui.environment import UiOptions
from loratui.ui.screens.data import DataPage
from support.captioned import write_captioned
from support.scripted_source import HandClock, ScriptedSource
from support.ui_effects.effect import Effect, lacks, shows, until
from support.ui_effects.home import DeskOfMany
from support.ui_pilot import Shown, showing

CAPTIONS: Mapping[str, str | bytes | None] = {
    "a": "a zog, grass",
    "b": "a zog, sky",
    "c": b"\xef\xbb\xbfa zog",
    "d": None,
}


def data_page(shown: Shown) -> DataPage:
    """Return the page."""
    page = shown.screen.pages["data"]
    assert isinstance(page, DataPage)
    return page


@asynccontextmanager
async def on_data(
    folder: Path, opened: Path | None, *, size: tuple[int, int] = (80, 24), options: UiOptions | None = None
) -> AsyncIterator[Shown]:
    """Show the data screen, with nothing open or with what was opened listed and checked."""
    clock = HandClock()
    source = ScriptedSource(clock)
    preferences = settings.load({"state_dir": str(folder / "state")}, {"LORATUI_CONFIG_DIR": str(folder / "config")})
    desk = DeskOfMany(source, preferences)
    async with showing(source, clock, desk=desk, is_open=False, size=size, options=options) as shown:
        await shown.press("2")
        if opened is not None:
            data_page(shown).open_path(opened)
            await until(shown, lambda shown: data_page(shown).is_checked)
        yield shown


@asynccontextmanager
async def on_nothing(folder: Path) -> AsyncIterator[Shown]:
    """Show the data screen with nothing open."""
    async with on_data(folder, None) as shown:
        yield shown


@asynccontextmanager
async def on_pictures(folder: Path) -> AsyncIterator[Shown]:
    """Show a few small pictures."""
    async with on_data(folder, write_captioned(folder / "pictures", CAPTIONS)) as shown:
        yield shown


@asynccontextmanager
async def on_proposal(folder: Path) -> AsyncIterator[Shown]:
    """Show the question before a bulk edit."""
    async with on_pictures(folder) as shown:
        await propose_suffix(shown)
        yield shown


async def propose_suffix(shown: Shown, suffix: str = ", at night") -> None:
    """Type a suffix, and wait for the question."""
    await shown.press("s")
    await shown.type(suffix)
    await shown.press("enter")
    await until(shown, shows("y Do it"))
    shown.clock.advance(1)


@asynccontextmanager
async def on_edited(folder: Path) -> AsyncIterator[Shown]:
    """Show pictures of which a bulk edit was just made."""
    async with on_proposal(folder) as shown:
        await shown.press("y")
        await until(shown, shows("u takes it back"))
        yield shown


DATA = {
    "data_enter": Effect(shows("caption of a.png"), start=on_pictures),
    "caption_edit": Effect(shows("caption of a.png"), start=on_pictures),
    "caption_editor": Effect(shows("an editor can't have this terminal"), start=on_pictures),
    "data_lists": Effect(shows("─ findings", "dataset.no_caption"), start=on_pictures),
    "data_fix": Effect(shows("CHANGE 1 file: byte order marks removed"), ("f", "/", *"bom", "enter"), on_pictures),
    "data_undo": Effect(shows("taken back: suffix, 3 changes"), start=on_edited),
    "data_config": Effect(shows("4 pictures; preset: first-run"), start=on_pictures),
    "data_folder": Effect(shows("folder or config:"), start=on_nothing),
    "data_check": Effect(shows("looking at all of it again"), start=on_pictures),
    "bulk_prefix": Effect(shows("prefix, 4 pictures:"), start=on_pictures),
    "bulk_suffix": Effect(shows("suffix, 4 pictures:"), start=on_pictures),
    "bulk_replace": Effect(shows("change which words, 4 pictures:"), start=on_pictures),
    "bulk_trigger": Effect(shows("trigger word, 4 pictures:"), start=on_pictures),
    "bulk_drop": Effect(shows("drop the tag, 4 pictures:"), start=on_pictures),
    "data_back": Effect(shows("─ pictures  4"), ("f",), on_pictures),
    "change_do": Effect(shows("suffix: 3 files changed; u takes it back"), start=on_proposal),
    "change_cancel": Effect(lacks("Enter does nothing"), start=on_proposal),
}
