"""The run screen: each state of a run, on a machine of one's own and on one that is rented."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from loratui.domain.overview import Overview
from loratui.domain.rental import RentalState
from loratui.domain.run import LinkState
from loratui.domain.supplied import Supplied
from loratui_protocol.messages import JobState, Setup, State
from support.scripted_source import STARTED_TS, HandClock, ScriptedSource
from support.ui_effects.home import on_home
from support.ui_effects.money import forget_a_file, on_rental, rental_cost
from support.ui_effects.run import beside_another
from support.ui_pilot import Shown
from support.ui_states.state import LARGE, SMALL, USUAL, on_source, state
from tui.ui.test_cost_pane import rent

ALL = (SMALL, USUAL, LARGE)


def _boots(source: ScriptedSource, *_: object) -> None:
    source.add(State(state=JobState.PREPARING))
    source.add(Setup(phase="environment", done=2, total=5, message="installing packages"))
    source.add(Setup(phase="base_model", done=2_840_000_000, total=6_940_000_000, unit="bytes"))
    source.add(Setup(phase="dataset", done=100_000_000, total=400_000_000, unit="bytes"))
    source.run.supply = Supplied(done=100_000_000, total=400_000_000, bytes_per_s=2e6)


def _pauses(source: ScriptedSource, *_: object) -> None:
    source.add(State(state=JobState.PAUSED))


def _loses_its_link(source: ScriptedSource, clock: HandClock, _: Path) -> None:
    source.run.heard(LinkState.DOWN, clock.monotonic_s(), retry_at_s=clock.monotonic_s() + 45)


def _is_silent(source: ScriptedSource, clock: HandClock, _: Path) -> None:
    source.run.heard(LinkState.STALE, clock.monotonic_s())


def _finishes(source: ScriptedSource, _: HandClock, folder: Path) -> None:
    source.finish(folder)


def _stops(source: ScriptedSource, *_: object) -> None:
    source.add(State(state=JobState.STOPPED))


def _fails(source: ScriptedSource, *_: object) -> None:
    source.add(State(state=JobState.FAILED, reason="disk.full", detail="the disk is full, 0 B free"))


@asynccontextmanager
async def on_billing_stopped(folder: Path) -> AsyncIterator[Shown]:
    """Show a run that is done, whose rental is proven gone."""
    async with on_rental(is_over=True)(folder) as shown:
        rental = shown.source.run.rental
        assert rental is not None
        shown.source.run.rental = replace(rental, state=RentalState.GONE, ended_ts=STARTED_TS + 2000)
        shown.screen.desk.now = replace(shown.screen.desk.overview(), rentals=())  # type: ignore[attr-defined]
        await shown.tick()
        yield shown


@asynccontextmanager
async def on_losing(folder: Path) -> AsyncIterator[Shown]:
    """Show a run on a rented machine that has a file which is nowhere else."""
    async with on_rental()(folder) as shown:
        forget_a_file(shown.source)
        yield shown


@asynccontextmanager
async def on_ledger(folder: Path) -> AsyncIterator[Shown]:
    """Show a run on a rented machine whose time is in the ledger."""
    rent(folder)
    async with on_rental()(folder) as shown:
        run = shown.source.run
        run.rental = rental_cost(shown.clock.monotonic_s(), traffic_microusd=50_000, spent_microusd=270_000)
        yield shown


@asynccontextmanager
async def on_no_run(folder: Path) -> AsyncIterator[Shown]:
    """Show the run screen with nothing open."""
    async with on_home(folder, Overview(is_read=True)) as shown:
        await shown.press("5")
        yield shown


RUN = {
    "run-nothing": state(on_no_run, "No run is open", sizes=(USUAL,)),
    "run-boot": state(on_source(_boots, step=0, later_s=37), "installing packages", sizes=ALL),
    "run-training": state(on_source(), "● TRAINING", sizes=ALL),
    "run-rented": state(on_rental(), "≈$0.31 in all", sizes=ALL),
    "run-others": state(on_rental(other="31234568"), "1 more rented", sizes=(SMALL, USUAL)),
    "run-paused": state(on_source(_pauses), "‖ PAUSED (still billing)", sizes=ALL),
    "run-link-down": state(on_source(_loses_its_link, later_s=37), "! LINK DOWN 0:38", sizes=ALL),
    "run-silent": state(on_source(_is_silent, later_s=37), "! NO HEARTBEAT 0:38", sizes=(USUAL,)),
    "run-done": state(on_source(_finishes, step=2500), "■ DONE", sizes=ALL),
    "run-done-billing": state(on_rental(is_over=True), "still billing", sizes=ALL),
    "run-billing-stopped": state(on_billing_stopped, "provider confirmed", sizes=ALL),
    "run-stopped": state(on_source(_stops), "■ STOPPED"),
    "run-failed": state(on_source(_fails), "x FAILED", sizes=ALL),
    "run-crosshair": state(on_source(), " @124", keys=("v",)),
    "run-table": state(on_source(), "newest first", keys=("t",)),
    "run-compare": state(beside_another, "lower than older-style", keys=("b", "enter")),
    "run-stop": state(on_source(), "STOP my-style-v3", keys=("x",)),
    "run-terminate": state(on_rental(), "TERMINATE vast 31234567", keys=("ctrl+t",), sizes=ALL),
    "run-terminate-losing": state(on_losing, "Type 31234567 to go on", keys=("ctrl+t", "n"), sizes=ALL),
    "run-terminating": state(on_rental(is_over=True), "TERMINATING vast 31234567", keys=("ctrl+t", "y")),
    "run-cost": state(on_ledger, "booting", keys=("$",), sizes=ALL),
    "run-leave": state(on_rental(), "LEAVE my-style-v3", keys=("q",), sizes=ALL),
    "run-help": state(on_source(), "─ keys", keys=("?",), sizes=ALL),
    "run-palette": state(on_source(), "commands  >", keys=("ctrl+p",), sizes=ALL),
    "run-palette-found": state(on_source(), "commands  > term", keys=("ctrl+p", *"term"), sizes=(USUAL,)),
}
