"""What the keys of the config screen must bring about."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from loratui import settings
from loratui.ui.screens.config import ConfigPage
from support.scripted_source import HandClock, ScriptedSource
from support.small_dataset import write_small_dataset
from support.ui_effects.effect import Check, Effect, lacks, shows, until
from support.ui_effects.home import DeskOfMany
from support.ui_pilot import Shown, showing

OWN = """\
# mine
pretrained_model_name_or_path = "builtin:tiny"
train_data_dir = "data"
output_name = "cat"
resolution = "64,64"
max_train_epochs = 3
network_dim = 8 # rank
"""


def config_page(shown: Shown) -> ConfigPage:
    """Return the page."""
    page = shown.screen.pages["config"]
    assert isinstance(page, ConfigPage)
    return page


def is_planned(shown: Shown) -> bool:
    """Return whether the plan is of the config as it stands."""
    pane = config_page(shown).plan
    return pane.plan is not None and pane.is_current


@asynccontextmanager
async def on_config(folder: Path, size: tuple[int, int] = (80, 24), text: str = OWN) -> AsyncIterator[Shown]:
    """Show a config whose pictures are there, with its plan."""
    write_small_dataset(folder / "data")
    path = folder / "my.toml"
    path.write_text(text, "utf-8")
    async with without_config(folder, size) as shown:
        config_page(shown).open(path)
        await until(shown, is_planned)
        # Known is not painted yet.
        await shown.pilot.pause()
        yield shown


@asynccontextmanager
async def without_config(folder: Path, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Shown]:
    """Show the config screen with nothing open."""
    clock = HandClock()
    source = ScriptedSource(clock)
    preferences = settings.load(
        {"state_dir": str(folder / "state")},
        {"LORATUI_CONFIG_DIR": str(folder / "config"), "LORATUI_HOME": str(folder / "home")},
    )
    async with showing(source, clock, desk=DeskOfMany(source, preferences), is_open=False, size=size) as shown:
        await shown.press("3")
        yield shown


@asynccontextmanager
async def on_changed(folder: Path) -> AsyncIterator[Shown]:
    """Show a config of which one key was changed."""
    async with on_config(folder) as shown:
        form = config_page(shown).form
        assert form is not None
        form.set("network_dim", "16")
        config_page(shown).keys.choose("network_dim")
        config_page(shown).changed()
        await until(shown, is_planned)
        yield shown


@asynccontextmanager
async def comparing(folder: Path) -> AsyncIterator[Shown]:
    """Show what a config can be compared with."""
    async with on_config(folder) as shown:
        await shown.press("D")
        await until(shown, shows("compare with", "first-run"))
        yield shown


def file_holds(line: str) -> Check:
    """Return a check of the file on the disk."""
    return lambda shown: line in (config_page(shown).path or Path()).read_text("utf-8")


def errand_sent(shown: Shown) -> bool:
    """Return whether the training was sent out, on this machine."""
    (errand,) = shown.screen.errands.all or [None]
    if errand is None:
        return False
    errand.process.kill()
    errand.process.wait()
    return errand.argv[0] == "train" and errand.argv[2:] == ("--on", "local", "--yes", "--detach")


CONFIG = {
    "config_edit": Effect(shows(" pretrained_model_name_or_path = builtin:tiny"), start=on_config),
    "config_cycle": Effect(shows("*flip_aug", "= true", "*not written"), ("/", *"flip", "enter"), on_config),
    "config_write": Effect(
        shows("WRITE my.toml", "-network_dim = 8 # rank", "+network_dim = 16  # rank"), (), on_changed
    ),
    "config_train": Effect(shows("TRAIN cat", "On this machine", "Enter does nothing here"), start=on_config),
    "config_undo": Effect(lacks("*not written"), start=on_changed),
    "config_compare": Effect(shows("compare with", "preset  face"), start=on_config),
    "config_open": Effect(shows(" open "), start=without_config),
    "config_new": Effect(shows(" folder of pictures:"), start=without_config),
    "config_editor": Effect(shows("an editor can't have this terminal"), start=on_config),
    "config_reset": Effect(shows("*network_dim", "· 4"), start=on_changed),
    "config_write_as": Effect(shows(" write as my.toml"), start=on_config),
    "config_read": Effect(lacks("*not written"), start=on_changed),
    "config_findings": Effect(shows("─ findings", "- warning", 'network_module = "networks.lora"'), start=on_config),
    "config_choose": Effect(shows("here against preset first-run", "lr_scheduler"), start=comparing),
    "config_choice_close": Effect(shows("[model]"), start=comparing),
    "config_write_yes": Effect(file_holds("network_dim = 16  # rank\n"), ("w",), on_changed),
    "config_write_no": Effect(lacks("WRITE my.toml"), ("w",), on_changed),
    "config_train_here": Effect(errand_sent, ("t",), on_config),
    "config_train_host": Effect(shows(" train on: ssh://"), ("t",), on_config),
    "config_train_rented": Effect(lacks("TRAIN cat"), ("t",), on_config),
    "config_train_no": Effect(lacks("TRAIN cat"), ("t",), on_config),
}
