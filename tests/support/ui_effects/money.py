"""What the keys that are about money must bring about, and an interface whose run is on a rented machine."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from loratui import settings
from loratui.domain.overview import Overview, RentalLine
from loratui.domain.rental import RentalState
from loratui.domain.rental_cost import RentalCost
from loratui.ui.environment import UiOptions
from loratui_protocol.messages import ArtifactKind
from support.scripted_source import RUN_ID, STARTED_TS, HandClock, ScriptedSource
from support.ui_effects.effect import Effect, lacks, sent, shows, trained
from support.ui_effects.home import DeskOfMany, run_line
from support.ui_pilot import Shown, showing

LABEL = "loratui-x"
INSTANCE = "31234567"


def rental_line(**changes: object) -> RentalLine:
    """Return a rental that bills, and that is minded."""
    line = {
        "label": LABEL,
        "provider": "vast",
        "instance_id": INSTANCE,
        "gpu": "RTX 4090",
        "state": "ready",
        "price_microusd_per_h": 360_000,
        "spent_microusd": 120_000,
        "created_ts": STARTED_TS,
        "deadline_ts": STARTED_TS + 3600,
        "is_minded": True,
    }
    return RentalLine(**(line | changes))


def rental_cost(now_s: float, **changes: object) -> RentalCost:
    """Return the same as the run that is on it knows it."""
    cost = RentalCost(
        label=LABEL,
        provider="vast",
        state=RentalState.READY,
        at_s=now_s,
        price_microusd_per_h=360_000,
        spent_microusd=120_000,
        projected_microusd=310_000,
        cap_microusd=1_000_000,
        left_s=3000.0,
        armed="end",
        heard_s=now_s,
    )
    return replace(cost, **changes)


def on_rental(
    *, is_over: bool = False, options: UiOptions | None = None, **more: object
) -> Callable[[Path], AbstractAsyncContextManager[Shown]]:
    """Return what shows a run on a rented machine; ``more`` are further rentals, by label."""

    @asynccontextmanager
    async def start(folder: Path) -> AsyncIterator[Shown]:
        clock = HandClock()
        source = trained(folder, clock)
        source.run.target = f"vast:{LABEL}"
        source.run.rental = rental_cost(clock.monotonic_s())
        if is_over:
            source.finish(folder)
        preferences = settings.load(
            {"state_dir": str(folder / "state")}, {"LORATUI_CONFIG_DIR": str(folder / "config")}
        )
        runs = (run_line(0, id=RUN_ID, name=source.run.name, target=source.run.target, state=source.run.state),)
        others = tuple(rental_line(label=label, instance_id=str(id_)) for label, id_ in more.items())
        desk = DeskOfMany(source, preferences, Overview(runs=runs, rentals=(rental_line(), *others), is_read=True))
        async with showing(source, clock, desk=desk, options=options) as shown:
            yield shown

    return start


def forget_a_file(source: ScriptedSource) -> None:
    """Let a file of the run be on its machine alone."""
    lora = next(each for each in source.run.artifacts.values() if each.kind is ArtifactKind.CHECKPOINT_LORA)
    del source.run.downloaded[lora.id]


MONEY = {
    "terminate": Effect(shows("TERMINATE vast 31234567", "49 %"), start=on_rental()),
    "extend_anywhere": Effect(sent(("extend", 1800))),
    "terminate_now": Effect(
        shows("TERMINATING vast 31234567 in 5 s · u keeps it"), ("ctrl+t",), on_rental(is_over=True)
    ),
    "end_cancel": Effect(lacks("Enter does nothing"), ("ctrl+t",), on_rental(is_over=True)),
    "terminate_fetched": Effect(
        lambda shown: shown.source.sent == [("stop", 0)] and "once it has saved" in shown.text(),
        ("ctrl+t",),
        on_rental(),
    ),
    "stop_terminate": Effect(
        lambda shown: shown.source.sent == [("stop", 0)] and "once it has saved" in shown.text(),
        ("x",),
        on_rental(),
    ),
    "terminate_losing": Effect(shows("Type 31234567 to go on", "LOST"), ("ctrl+t",), on_rental()),
    "loss_cancel": Effect(lacks("Enter does nothing"), ("ctrl+t",), on_rental()),
    "type_cancel": Effect(lacks("Enter does nothing"), ("ctrl+t", "n"), on_rental()),
    "terminate_undo": Effect(shows("kept, and billing: vast 31234567"), ("ctrl+t", "y"), on_rental(is_over=True)),
    "cost": Effect(shows("cost  vast 31234567", "the ledger does not know it"), start=on_rental()),
    "cost_close": Effect(shows("─ loss"), ("$",), on_rental()),
}
