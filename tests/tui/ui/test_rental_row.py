"""The row of the money while a run is on a rented machine: billing stops when its provider says so, not before."""

from dataclasses import replace

import pytest

from loratui.domain.rental import RentalState
from loratui.domain.rental_cost import Held, RentalCost
from loratui.domain.run import LinkState
from loratui_protocol.messages import JobState, State
from support.scripted_source import HandClock, ScriptedSource
from support.ui_pilot import showing


def cost(now_s: float) -> RentalCost:
    return RentalCost(
        label="loratui-x",
        provider="vast",
        state=RentalState.READY,
        at_s=now_s,
        price_microusd_per_h=360_000,
        spent_microusd=120_000,
        projected_microusd=310_000,
        cap_microusd=1_000_000,
        left_s=3000.0,
        armed="end",
        stops_for="1.5 x p90",
        heard_s=now_s,
    )


@pytest.mark.parametrize(
    ("state", "changes", "words"),
    [
        (JobState.RUNNING, {}, ("$0.12 spent · $0.36/h · ≈$0.31 in all", "AUTO-STOP")),
        (JobState.QUEUED, {}, ("$0.12 spent", "AUTO-STOP 50 min (15:12, 1.5 x p90)")),
        (JobState.RUNNING, {"armed": "stop"}, ("! NO DEAD-MAN", "AUTO-STOP")),
        (JobState.RUNNING, {"heard_s": None}, ("≈$0.12 spent",)),
        (JobState.DONE, {}, ("still billing", "AUTO-STOP 50 min (15:12")),
        (JobState.DONE, {"keep_left_s": 1500.0}, ("still billing", "KEPT 25 min (14:47")),
        (
            JobState.DONE,
            {
                "projected_microusd": None,
                "held": Held(what="x.safetensors (why) of x", num_files=1, fetch=("loratui download x",)),
            },
            ("still billing", "KEPT 50 min (15:12, for 1 file)"),
        ),
        (JobState.DONE, {"state": RentalState.ENDING}, ("STILL BILLING, until it is shown gone",)),
        (
            JobState.DONE,
            {"state": RentalState.ENDING, "trouble": "its key is wrong"},
            ("STILL BILLING: its key is wrong",),
        ),
        (JobState.DONE, {"state": RentalState.GONE}, ("$0.12 spent in all", "the rental is gone")),
    ],
)
async def test_money_row_tells_what_the_rental_costs_and_until_when(
    state: JobState, changes: dict[str, object], words: tuple[str, ...]
) -> None:
    clock = HandClock()
    source = ScriptedSource(clock, target="vast:loratui-x")
    async with showing(source, clock) as shown:
        source.add(State(state=state))
        source.run.deadline_s = None
        source.run.rental = replace(cost(clock.monotonic_s()), **changes)
        await shown.tick(0)
        row = shown.rows()[1]
        for expected in words:
            assert expected in row
        if source.run.rental.state is not RentalState.GONE:
            assert "gone" not in row.replace("until it is shown gone", "")


async def test_money_of_a_rental_grows_by_itself_until_it_is_gone() -> None:
    clock = HandClock()
    source = ScriptedSource(clock, target="vast:loratui-x")
    async with showing(source, clock) as shown:
        source.run.rental = replace(cost(clock.monotonic_s()), price_microusd_per_h=36_000_000)
        await shown.tick(10)
        assert "$0.22 spent · $36.00/h" in shown.rows()[1]
        source.run.rental = replace(source.run.rental, state=RentalState.GONE)
        await shown.tick(10)
        assert "$0.12 spent in all" in shown.rows()[1]


async def test_a_machine_that_is_gone_in_mid_run_is_no_run_that_goes_on() -> None:
    clock = HandClock()
    source = ScriptedSource(clock, target="vast:loratui-x")
    async with showing(source, clock) as shown:
        source.run.rental = replace(cost(clock.monotonic_s()), state=RentalState.LOST)
        source.run.heard(LinkState.DOWN, clock.monotonic_s(), detail="it is gone")
        await shown.tick(1)
        assert "! MACHINE GONE" in shown.rows()[0]
        assert "was ● TRAINING" in shown.rows()[0]
        assert "the rental is gone" in shown.rows()[1]
        await shown.pilot.press("q")
        assert not shown.pilot.app.is_running, "there is nothing to be asked"
