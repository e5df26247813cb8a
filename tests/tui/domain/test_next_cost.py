"""What comes after a run costs what every plan would say, less what a machine that is there already has behind it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui.domain.base_kinds import SD1
from loratui.domain.estimate import RESULTS, SAMPLES, STATES, TRAINING, Known, estimate
from loratui.domain.estimate_speeds import MeasuredSpeed
from loratui.domain.next_cost import Machine, NextCost, Place, cost_on
from support.estimates import a_work, an_offer

PACE_S = 0.5
KNOWN = Known(
    speeds=[MeasuredSpeed(gpu="RTX 4090", kind=SD1, units_per_s=4 / PACE_S, units_per_step=4.0, run="cat")],
)


def cost(place: Place, steps: int = 400, price: int = 352_800, left_s: float | None = None) -> NextCost:
    machine = Machine(place=place, offer=an_offer(price_microusd_per_h=price), name="RTX 4090", left_s=left_s)
    return cost_on(a_work(steps=steps, state_bytes=10_000_000), machine, KNOWN, PACE_S)


def test_on_a_machine_that_is_rented_anew_it_is_the_plans_own_estimate() -> None:
    planned = estimate(a_work(steps=400, state_bytes=10_000_000), an_offer(), KNOWN)
    assert cost(Place.ANEW).estimate == planned
    assert cost(Place.ANEW).microusd == (planned.p50_microusd, planned.p90_microusd)


@pytest.mark.parametrize(
    ("place", "phases"),
    [
        (Place.KEPT, [TRAINING, SAMPLES, RESULTS, STATES]),
        (Place.HOST, [TRAINING, SAMPLES, RESULTS]),
        (Place.HERE, [TRAINING, SAMPLES]),
    ],
)
def test_where_the_machine_is_there_nobody_pays_for_a_set_up(place: Place, phases: list[str]) -> None:
    found, anew = cost(place).estimate, cost(Place.ANEW).estimate
    assert [part.name for part in found.parts] == phases
    assert set(found.parts) <= set(anew.parts)
    assert found.p50_microusd < anew.p50_microusd


@given(st.sampled_from(Place), st.integers(1, 100_000), st.integers(0, 100_000), st.integers(1, 10_000_000))
def test_more_steps_never_take_less_nor_cost_less(place: Place, steps: int, more: int, price: int) -> None:
    few, many = cost(place, steps, price), cost(place, steps + more, price)
    assert few.estimate.p50_s <= many.estimate.p50_s
    assert few.estimate.p90_s <= many.estimate.p90_s
    assert few.microusd is not None
    assert many.microusd is not None
    assert few.microusd <= many.microusd


def test_the_steps_take_what_one_took_here() -> None:
    longer, shorter = cost(Place.HERE, 1400).estimate, cost(Place.HERE, 400).estimate
    assert longer.p50_s - shorter.p50_s == 1000 * PACE_S


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (Place.HERE, "on this machine, which costs nothing: no price is set for it"),
        (Place.HOST, "on RTX 4090; what an hour of it costs is not known here"),
    ],
)
def test_no_price_is_made_up(place: Place, said: str) -> None:
    found = cost(place, price=0)
    assert found.microusd is None
    assert found.lines[0].endswith(said)
    assert "$" not in " ".join(found.lines)


def test_it_is_said_what_it_is_made_of() -> None:
    assert cost(Place.ANEW).lines == [
        "400 steps: ≈8 to 20 min and ≈$0.06 to $0.15 on a machine rented anew (RTX 4090, $0.35/h as this run paid), "
        "set-up and download included",
        "reckoned as every plan, from 0.5 s a step as measured in this run; set-up as documented, not measured by you",
    ]
    assert cost(Place.KEPT).lines[0].endswith("on its machine, which is still rented (RTX 4090, $0.35/h): no set-up")


def test_a_machine_that_would_end_too_soon_is_warned_of() -> None:
    slow_s = cost(Place.KEPT).estimate.p90_s
    [*_, warning] = cost(Place.KEPT, left_s=slow_s - 1.0).lines
    assert warning.startswith("its auto-stop is in ")
    assert cost(Place.KEPT, left_s=float(slow_s)).lines == cost(Place.KEPT).lines


def test_one_step_is_one() -> None:
    assert replace(cost(Place.HERE), steps=1).short.startswith("1 step: ")
