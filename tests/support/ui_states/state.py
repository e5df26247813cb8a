"""A state of a screen: how one comes there, and how one sees that it is reached."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from support.scripted_source import HandClock, ScriptedSource
from support.ui_effects.effect import PROMPTS, Check, shows, until
from support.ui_pilot import Shown, showing

IT_S = 2.31
Size = tuple[int, int]
SMALL, USUAL, LARGE = (60, 16), (80, 24), (120, 40)
Start = Callable[[Path], AbstractAsyncContextManager[Shown]]


@dataclass(frozen=True)
class State:
    """``keys`` are pressed with a second between them, none typed ahead; ``seen`` must come true then."""

    start: Start
    seen: Check
    keys: tuple[str, ...] = ()
    sizes: tuple[Size, ...] = (USUAL, LARGE)

    @asynccontextmanager
    async def reached(self, folder: Path) -> AsyncIterator[Shown]:
        """Show the state, in the usual size."""
        async with self.start(folder) as shown:
            for key in self.keys:
                await shown.tick()
                await shown.press(key)
            await shown.tick()
            await until(shown, self.seen)
            yield shown


def state(start: Start, *seen: str, keys: tuple[str, ...] = (), sizes: tuple[Size, ...] = (USUAL, LARGE)) -> State:
    """Return a state that is reached when all of ``seen`` is on the screen."""
    return State(start, shows(*seen), keys, sizes)


def on_source(
    change: Callable[[ScriptedSource, HandClock, Path], object] = lambda *_: None,
    *,
    step: int = 1240,
    gpu: bool = True,
    target: str = "ssh://ana@box",
    later_s: float = 0,
) -> Start:
    """Return what shows a run on a machine of one's own, after ``change``, and some seconds ``later_s``."""

    @asynccontextmanager
    async def start(folder: Path) -> AsyncIterator[Shown]:
        clock = HandClock()
        # By then the wall shows a little later than the last line of the log.
        clock.advance((min(step, 1000) - 1240) / IT_S + 10)
        source = ScriptedSource(clock, step=min(step, 1000), it_s=IT_S, gpu=gpu, target=target)
        for at in range(1000, step, 200):
            source.paint_samples(folder, at, PROMPTS)
            clock.advance((min(at + 200, step) - at + 0.5) / IT_S)
            source.view()
        change(source, clock, folder)
        async with showing(source, clock) as shown:
            await shown.tick(later_s)
            yield shown

    return start
