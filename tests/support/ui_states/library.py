"""The screens of what was made: queue, files, samples and log."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from loratui.domain.overview import Overview
from support.ui_effects.files import on_asked_to_install, on_files
from support.ui_effects.home import on_home
from support.ui_effects.log import on_log
from support.ui_effects.queue import on_queue
from support.ui_effects.samples import on_next_steps, on_samples, on_tried
from support.ui_pilot import Shown
from support.ui_states.state import LARGE, SMALL, USUAL, Start, on_source, state

ALL = (SMALL, USUAL, LARGE)


def on_empty(key: str) -> Start:
    """Return what shows a screen while nothing was ever made here."""

    @asynccontextmanager
    async def start(folder: Path) -> AsyncIterator[Shown]:
        async with on_home(folder, Overview(is_read=True)) as shown:
            await shown.press(key)
            yield shown

    return start


QUEUE = {
    "queue-empty": state(on_empty("6"), "▌6Queue▐", sizes=(USUAL,)),
    "queue-full": state(on_queue, "style-3", sizes=ALL),
}
FILES = {
    "files-empty": state(on_empty("7"), "▌7Files▐", sizes=(USUAL,)),
    "files-full": state(on_files, "zog-2-step200", sizes=ALL),
    "files-rate": state(on_files, "RATE zog-2.safetensors", keys=("R",), sizes=(USUAL,)),
    "files-install": state(on_asked_to_install, "for ComfyUI", sizes=(USUAL,)),
    "files-delete": state(on_files, "DELETE zog-2-step400.safetensors", keys=("down", "d")),
}
SAMPLES = {
    "samples-nothing": state(on_empty("8"), "▌8Samples▐", sizes=(USUAL,)),
    "samples-none-yet": state(on_source(step=40), "▌8Samples▐", keys=("8",), sizes=(USUAL,)),
    "samples-grid": state(on_samples, "zog 03", sizes=ALL),
    "samples-large": state(on_samples, "weight 1  step 1200", keys=("enter",)),
    "samples-compare": state(on_samples, "step 1000 beside step 1200", keys=("b",)),
    "samples-tried": state(on_tried, "advised", "▀▀", sizes=ALL),
    "samples-tried-compare": state(on_tried, "before 101", keys=("b",), sizes=(LARGE,)),
    "samples-tried-large": state(on_tried, "seed 101  64x64", keys=("enter",), sizes=(USUAL,)),
    "samples-tried-table": state(on_tried, "9 files and weights", keys=("i",), sizes=ALL),
    "samples-next-steps": state(on_next_steps, "-max_train_steps = 200"),
    "samples-next-continue": state(
        partial(on_next_steps, is_over=True), "loratui resume zorbix", keys=("down",), sizes=(USUAL,)
    ),
    "samples-text": state(on_samples, "seed 0", keys=("i",), sizes=(USUAL,)),
}
LOG = {
    "log-nothing": state(on_empty("9"), "▌9Log▐", sizes=(USUAL,)),
    "log-follow": state(on_log, "line 001500", sizes=ALL),
    "log-find": state(on_log, "went on from the first line", keys=("/", *"007", "enter"), sizes=(USUAL,)),
    "log-warnings": state(on_log, "warnings and errors", keys=("l",)),
}
