"""The interface without a terminal: press keys, move the clock, read the screen as text."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from textual.events import Key
from textual.pilot import Pilot

from loratui import settings
from loratui.ui.app import LoratuiApp
from loratui.ui.desk import Desk, SoleRun
from loratui.ui.environment import UiOptions
from loratui.ui.shell import Shell
from support.scripted_source import HandClock, ScriptedSource

NAMES = {
    ":": "colon",
    "!": "exclamation_mark",
    ",": "comma",
    "$": "dollar_sign",
    "?": "question_mark",
    "+": "plus",
    "-": "minus",
    "[": "left_square_bracket",
    "]": "right_square_bracket",
}


@dataclass
class Shown:
    """An interface that runs."""

    app: LoratuiApp
    pilot: Pilot[int]
    source: ScriptedSource
    clock: HandClock

    @property
    def screen(self) -> Shell:
        screen = self.app.screen
        assert isinstance(screen, Shell)
        return screen

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*(NAMES.get(key, key) for key in keys))

    async def type(self, text: str) -> None:
        """Press printable keys as fast as a paste does."""
        for char in text:
            self.app.post_message(Key(key=char, character=char))
        await self.pilot.pause()

    async def tick(self, seconds: float = 1) -> None:
        self.clock.advance(seconds)
        self.screen.tick()
        await self.pilot.pause()

    async def resize(self, width: int, height: int) -> None:
        await self.pilot.resize_terminal(width, height)
        # On a busy machine the pilot takes it for idle before the screen has its new size.
        while self.screen.size != (width, height):
            await self.pilot.pause()
        await self.pilot.pause()

    def rows(self) -> list[str]:
        return [strip.text.rstrip() for strip in self.screen._compositor.render_strips()]

    def text(self) -> str:
        return "\n".join(self.rows())

    def foot(self) -> str:
        """Return the last rows as one: a notice that one is too short for takes several."""
        return " ".join(" ".join(self.rows()[-5:]).split())


@asynccontextmanager
async def showing(
    source: ScriptedSource | None = None,
    clock: HandClock | None = None,
    *,
    size: tuple[int, int] = (80, 24),
    app_class: type[LoratuiApp] = LoratuiApp,
    options: UiOptions | None = None,
    desk: Desk | None = None,
    is_open: bool = True,
) -> AsyncIterator[Shown]:
    """Show a run, a scripted one if none is given; with ``is_open`` False the home screen of a desk."""
    clock = clock or HandClock()
    source = source or ScriptedSource(clock)
    with tempfile.TemporaryDirectory() as folder:
        desk = desk or SoleRun(source, settings.load({"state_dir": folder}, {"LORATUI_CONFIG_DIR": folder}))
        app = app_class(desk, options=options or UiOptions(), clock=clock, source=source if is_open else None)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            yield Shown(app, pilot, source, clock)
