"""What the keys of the home screen must bring about."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from loratui import settings
from loratui.domain.overview import Overview, RunLine
from loratui.domain.run_source import RunSource
from loratui.settings import Settings
from loratui_protocol.messages import JobState
from support.scripted_source import STARTED_TS, HandClock
from support.ui_effects.effect import Effect, shows, trained
from support.ui_pilot import Shown, showing

NUM_RUNS = 40


def run_line(number: int, **changes: object) -> RunLine:
    """Return a run that is over."""
    line = {
        "id": f"01HZ{number:022}",
        "name": f"style-{number}",
        "target": "local",
        "state": JobState.DONE,
        "step": 600,
        "total": 600,
        "spent_microusd": 120_000 + number,
        "created_ts": STARTED_TS - number * 3600,
    }
    return RunLine(**(line | changes))


class DeskOfMany:
    """A desk with many runs, of which opening any gives the scripted one."""

    def __init__(self, source: RunSource, preferences: Settings, overview: Overview | None = None) -> None:
        self.preferences = preferences
        self.opened: list[str] = []
        self.now = overview or Overview(runs=tuple(run_line(number) for number in range(NUM_RUNS)), is_read=True)
        self._source = source

    def overview(self) -> Overview:
        return self.now

    def look(self) -> None:
        pass

    def open_run(self, run_id: str) -> RunSource:
        self.opened.append(run_id)
        return self._source


@asynccontextmanager
async def on_home(folder: Path, overview: Overview | None = None) -> AsyncIterator[Shown]:
    """Show the home screen, with no run open."""
    clock = HandClock()
    source = trained(folder, clock)
    desk = DeskOfMany(
        source,
        settings.load({"state_dir": str(folder / "state")}, {"LORATUI_CONFIG_DIR": str(folder / "config")}),
        overview,
    )
    async with showing(source, clock, desk=desk, is_open=False) as shown:
        yield shown


HOME = {
    "other_list": Effect(lambda shown: not any(row.startswith(">") for row in shown.rows()), start=on_home),
    "open_run": Effect(shows("▌5Run▐", "● TRAINING", "─ loss"), start=on_home),
}
