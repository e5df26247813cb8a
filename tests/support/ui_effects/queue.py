"""What the keys of the queue screen must bring about."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from loratui import settings
from loratui.domain.overview import Overview
from loratui_protocol.messages import JobState
from support.scripted_source import RUN_ID, STARTED_TS, HandClock
from support.ui_effects.effect import Effect, sent, shows, trained
from support.ui_effects.home import DeskOfMany, run_line
from support.ui_effects.money import LABEL, rental_cost, rental_line
from support.ui_pilot import Shown, showing

TARGET = f"vast:{LABEL}"


def queue_overview() -> Overview:
    """Return a rental with a run that is over, the open one and two that wait; and one that waits on this machine."""
    states = (JobState.DONE, JobState.RUNNING, JobState.QUEUED, JobState.QUEUED)
    runs = [
        run_line(
            at,
            name=f"style-{at}",
            id=RUN_ID if at == 1 else f"01HY{at:022}",
            target=TARGET,
            state=state,
            step=600 if state is JobState.DONE else 0,
            total=0 if state is JobState.QUEUED else 600,
            spent_microusd=0 if state is JobState.QUEUED else 50_000,
            price_microusd_per_h=360_000,
            created_ts=STARTED_TS + at,
        )
        for at, state in enumerate(states)
    ]
    here = run_line(9, name="here", state=JobState.QUEUED, step=0, total=0)
    return Overview(runs=(here, *reversed(runs)), rentals=(rental_line(),), is_read=True)


@asynccontextmanager
async def on_queue(folder: Path) -> AsyncIterator[Shown]:
    """Show the queue of the rental that the open run is on."""
    clock = HandClock()
    source = trained(folder, clock)
    source.run.target = TARGET
    source.run.rental = rental_cost(clock.monotonic_s())
    preferences = settings.load({"state_dir": str(folder / "state")}, {"LORATUI_CONFIG_DIR": str(folder / "config")})
    (folder / "state").mkdir()
    async with showing(source, clock, desk=DeskOfMany(source, preferences, queue_overview())) as shown:
        await shown.press("6")
        yield shown


QUEUE = {
    "queue_open": Effect(shows("▌5Run▐", "─ loss"), ("j",), on_queue),
    "queue_remove": Effect(sent(("stop", 0)), ("j", "j"), on_queue),
    "queue_undo": Effect(sent(("stop", 0), ("resume", 0)), ("j", "j", "d"), on_queue),
    "queue_before": Effect(shows("queue  this machine", "machine 2 of 2"), start=on_queue),
    "queue_after": Effect(shows("queue  this machine", "machine 2 of 2"), start=on_queue),
}
