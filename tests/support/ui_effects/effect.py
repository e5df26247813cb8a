"""An action's effect: what is on the screen before it, what is pressed before it, and what must be so after it."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from support.scripted_source import HandClock, ScriptedSource
from support.ui_pilot import Shown, showing

PROMPTS = ("a zog", "a red zog", "a zog at night", "a zog in snow")
NEWEST_SAMPLES = 1200
Check = Callable[[Shown], bool]


def trained(folder: Path, clock: HandClock) -> ScriptedSource:
    """Return a run with samples of two steps."""
    source = ScriptedSource(clock)
    for step in (1000, NEWEST_SAMPLES):
        source.paint_samples(folder, step, PROMPTS)
    return source


@asynccontextmanager
async def on_run(folder: Path) -> AsyncIterator[Shown]:
    """Show a run that trains."""
    clock = HandClock()
    async with showing(trained(folder, clock), clock) as shown:
        yield shown


@dataclass(frozen=True)
class Effect:
    """``check`` is awaited for some seconds: what a screen does may come from a thread."""

    check: Check
    before: tuple[str, ...] = ()
    start: Callable[[Path], AbstractAsyncContextManager[Shown]] = on_run


async def until(shown: Shown, check: Check, seconds: float = 20) -> None:
    """Wait until something is so: what a screen does may come from a thread."""
    end_s = time.monotonic() + seconds
    while not check(shown):
        assert time.monotonic() < end_s, shown.text()
        await shown.pilot.pause(0.01)


def exits_with(status: int) -> Check:
    """Return a check that the interface was left."""
    return lambda shown: shown.app.return_value == status


def shows(*texts: str) -> Check:
    """Return a check that all texts are on the screen."""
    return lambda shown: all(text in shown.text() for text in texts)


def lacks(text: str) -> Check:
    """Return a check that a text is not on the screen."""
    return lambda shown: text not in shown.text()


def sent(*commands: tuple[str, float]) -> Check:
    """Return a check of all that the run was told."""
    return lambda shown: shown.source.sent == list(commands)
