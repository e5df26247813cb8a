"""How many bytes the interface sends: counted by ``scripts/bench_terminal.py`` and the tests, under the same limits.

Who measures brings a way to let seconds pass: those of this machine, or those that a paced interface counts itself.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Protocol

from loratui.ui.places import PLACES
from support.terminal import Terminal

CHILD = [sys.executable, str(Path(__file__).parents[2] / "scripts" / "scripted_ui.py")]
SIZES = {(80, 24): (400, 15_000), (120, 40): (800, 30_000)}
"""Size -> the most bytes a second of a run that trains, and the most bytes until the screen stands."""
MOST_OF_A_SCREEN = 8_000
MOST_OF_A_QUESTION = 1_000
QUIET = (
    (("--slow", "--gpu"), "TRAINING", "on a slow line while a run trains", 100),
    (("--home",), "nothing is rented", "with nothing going on", 10),
)
"""Options, what they show, what that is, and the most bytes a second of any screen then."""
_CHANGES = (
    ("1", "nothing is rented", "to the home screen", MOST_OF_A_SCREEN),
    ("8", "─ samples", "to the samples", MOST_OF_A_SCREEN),
    ("5", "─ loss", "to the run screen", MOST_OF_A_SCREEN),
    ("?", "─ keys", "the help", MOST_OF_A_SCREEN),
    ("?", "─ loss", "away from the help", MOST_OF_A_SCREEN),
    ("x", "Enter does nothing", "a question", MOST_OF_A_QUESTION),
)
_SILENT_S = 0.05
"""What was painted is on its way for less than that."""
_WHILE_S = 120.0
_TRIES = 3


class Amount(NamedTuple):
    """What was counted, and the most that it may be."""

    name: str
    value: float
    unit: str
    limit: float

    @property
    def holds(self) -> bool:
        """Return whether it keeps to its limit."""
        return self.value <= self.limit


class Pace(Protocol):
    """Lets seconds pass for an interface. ``options`` are what it is started with for that."""

    options: tuple[str, ...]

    def rest(self, terminal: Terminal) -> None:
        """Let it come to rest: what was asked for is on the screen."""
        ...

    def a_second(self, terminal: Terminal, most: float) -> float:
        """Return how many bytes a second it sends; what is over ``most`` may be counted again."""
        ...


def name_of(size: tuple[int, int]) -> str:
    """Return how people write a size."""
    return f"{size[0]}x{size[1]}"


@contextmanager
def standing(
    pace: Pace, *options: str, shows: str = "TRAINING", size: tuple[int, int] = (80, 24)
) -> Iterator[Terminal]:
    """Show the scripted run, and let the screen come to rest."""
    with Terminal([*CHILD, *options, *pace.options], size=size) as terminal:
        terminal.read_until_text(shows)
        pace.rest(terminal)
        yield terminal


def run_screen(pace: Pace) -> Iterator[Amount]:
    """Yield what a run sends that trains, and what it takes until it is on the screen."""
    for size, (most_a_second, most_at_start) in SIZES.items():
        with standing(pace, size=size) as terminal:
            start = len(terminal.received)
            a_second = pace.a_second(terminal, most_a_second)
        yield Amount(f"run screen at 1 Hz, {name_of(size)}", a_second, "B/s", most_a_second)
        yield Amount(f"from the start until it stands, {name_of(size)}", start, "B", most_at_start)


def quiet_screens(pace: Pace) -> Iterator[Amount]:
    """Yield what is to be nearly silent: each screen over a thin line while a run trains, and with nothing going on."""
    for options, shows, what, most in QUIET:
        with standing(pace, *options, shows=shows) as terminal:
            for place in PLACES:
                terminal.press(place.key)
                terminal.read_until_text(f"▌{place.key}")
                pace.rest(terminal)
                yield Amount(f"{place.title} {what}, 80x24", pace.a_second(terminal, most), "B/s", most)


def changes(pace: Pace) -> Iterator[Amount]:
    """Yield what one key costs until its answer stands."""
    with standing(pace) as terminal:
        for key, shows, what, most in _CHANGES:
            before = len(terminal.received)
            terminal.press(key)
            terminal.read_until_text(shows)
            yield Amount(f"{what}, 80x24", len(terminal.received) - before, "B", most)
            pace.rest(terminal)


class Paced:
    """The seconds that ``scripted_ui.py --paced`` counts itself, each painted before the next: no load changes them."""

    def __init__(self, told: Path, seconds: int) -> None:
        self.options: tuple[str, ...] = ("--paced", str(told), "--seconds", str(seconds))
        self._told = told
        self._seconds = seconds

    def rest(self, terminal: Terminal) -> None:
        """Read what is painted, while no second passes."""
        self._pass(terminal, signal.SIGUSR2)

    def a_second(self, terminal: Terminal, most: float) -> float:
        """Let the seconds pass; what a thread of an earlier screen brings late is no part of the next one."""
        for _ in range(_TRIES):
            before = len(terminal.received)
            self._pass(terminal, signal.SIGUSR1)
            if (sent := (len(terminal.received) - before) / self._seconds) <= most:
                break
        return sent

    def _pass(self, terminal: Terminal, number: signal.Signals) -> None:
        count = self._count()
        os.kill(terminal.pid, number)
        terminal.read_until(lambda _: self._count() > count, _WHILE_S)
        while terminal.read(_SILENT_S):
            pass

    def _count(self) -> int:
        return len(self._told.read_bytes()) if self._told.exists() else 0
