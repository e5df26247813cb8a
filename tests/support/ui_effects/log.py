"""What the keys of the log screen must bring about, on a real store."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from loratui.store import Store, StoredRun
from loratui_protocol.messages import Event, Log, Record
from support.scripted_source import RUN_ID, STARTED_TS, HandClock, ScriptedSource
from support.ui_effects.effect import Effect, lacks, shows, until
from support.ui_effects.files import preferences_in
from support.ui_effects.home import DeskOfMany
from support.ui_pilot import Shown, showing

NUM_LINES = 1_500


def lines(first: int, last: int) -> list[Event]:
    """Return lines of a log; every hundredth is a warning, every five hundredth an error."""
    return [Log(level=_level(number), line=f"line {number:06} is here") for number in range(first, last + 1)]


def _level(number: int) -> str:
    return "ERROR" if number % 500 == 0 else "WARNING" if number % 100 == 0 else "INFO"


def store_run(folder: Path, events: Iterable[Event], run_id: str = RUN_ID) -> None:
    """Store a run with these events."""
    preferences = preferences_in(folder)
    run = StoredRun(id=run_id, name="n", target="local", created_ts=1.0, config_toml="", home=preferences.local_home)
    with Store(preferences.database) as store:
        store.add_run(run)
        store.begin_history(run_id, "e", reset=False)
    append(folder, events, run_id)


def append(folder: Path, events: Iterable[Event], run_id: str = RUN_ID) -> None:
    """Store more of a run, as it comes from its agent."""
    with Store(preferences_in(folder).database) as store:
        head = store.run(run_id).head
        records = [Record(seq=head + at, ts=STARTED_TS, event=event) for at, event in enumerate(events, 1)]
        store.append(run_id, "e", records)


@asynccontextmanager
async def on_log(folder: Path, size: tuple[int, int] = (80, 24)) -> AsyncIterator[Shown]:
    """Show a log of several pages."""
    preferences = preferences_in(folder)
    if not preferences.database.exists():
        store_run(folder, lines(1, NUM_LINES))
    clock = HandClock()
    source = ScriptedSource(clock, step=40)
    async with showing(source, clock, desk=DeskOfMany(source, preferences), size=size) as shown:
        await shown.press("9")
        await until(shown, lacks("reading…"))
        yield shown


LAST, BEFORE_LAST = f"line {NUM_LINES:06}", f"line {NUM_LINES - 1:06}"
LOG_LINES = {
    "line_find": Effect(shows("find:"), start=on_log),
    "line_find_next": Effect(shows("> "), ("/", "0", "0", "7", "enter"), on_log),
    "line_find_before": Effect(shows("> "), ("/", "0", "0", "7", "enter"), on_log),
    "line_level": Effect(shows("warnings and errors", "line 001400", "line 001300"), start=on_log),
    "line_wrap": Effect(shows(LAST), start=on_log),
    "line_last": Effect(shows(LAST, "─ follow"), ("g",), on_log),
    "line_first": Effect(shows("line 000001", "line 000002", "G follows"), start=on_log),
    "line_down": Effect(lambda shown: "line 000001" not in shown.text(), ("g",), on_log),
    "line_up": Effect(lambda shown: LAST not in shown.text() and BEFORE_LAST in shown.text(), start=on_log),
    "line_page_down": Effect(shows("line 000030"), ("g",), on_log),
    "line_page_up": Effect(lambda shown: LAST not in shown.text() and "line 001470" in shown.text(), start=on_log),
}
