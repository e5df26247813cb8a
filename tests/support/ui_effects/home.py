"""What the keys of the home screen must bring about."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, chdir
from pathlib import Path

from loratui import settings
from loratui.domain.overview import Overview, RunLine
from loratui.domain.run_source import RunSource
from loratui.settings import Settings
from loratui_protocol.messages import JobState
from support.scripted_source import STARTED_TS, HandClock
from support.ui_effects.effect import Check, Effect, lacks, shows, trained
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


STOPPED = run_line(0, name="stopped-style", state=JobState.STOPPED, step=300, price_microusd_per_h=690_000)


@asynccontextmanager
async def on_stopped(folder: Path) -> AsyncIterator[Shown]:
    """Show the home screen with a run that was stopped on a machine that costs; what is sent out fails at once.

    The folder is that of the process: a file stands where the demo wants to write.
    """
    (folder / "demo-out").write_text("in the way")
    with chdir(folder):
        async with on_home(folder, Overview(runs=(STOPPED,), is_read=True)) as shown:
            yield shown
            for errand in shown.screen.errands.all:
                errand.process.wait(60)


def sent_out(*argv: str) -> Check:
    """Return a check of the last command that was sent out."""
    return lambda shown: [errand.argv for errand in shown.screen.errands.all] == [argv]


def new_is_asked(shown: Shown) -> bool:
    """Return whether a config is being made, or its command named where there is no screen for it."""
    return shown.screen.page.place == "config" or "loratui new FOLDER" in shown.text()


HOME = {
    "other_list": Effect(lambda shown: not any(row.startswith(">") for row in shown.rows()), start=on_home),
    "open_run": Effect(shows("▌5Run▐", "● TRAINING", "─ loss"), start=on_home),
    "resume_run": Effect(shows("RESUME stopped-style", "$0.69/h while it trains", "y Go on"), start=on_stopped),
    "resume_now": Effect(sent_out("resume", STOPPED.id, "--yes", "--detach"), ("R",), on_stopped),
    "resume_cancel": Effect(lacks("RESUME stopped-style"), ("R",), on_stopped),
    "demo": Effect(sent_out("demo", "--plain"), start=on_stopped),
    "open_pictures": Effect(shows("folder of pictures:"), start=on_home),
    "new_config": Effect(new_is_asked, start=on_home),
}
