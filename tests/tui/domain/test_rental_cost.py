from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from loratui.domain.rental import RentalState
from loratui.domain.rental_cost import FRESH_S, RentalCost

COST = RentalCost(
    label="loratui-x",
    provider="vast",
    state=RentalState.READY,
    at_s=1000.0,
    price_microusd_per_h=360_000,
    spent_microusd=50_000,
    left_s=600.0,
    heard_s=1000.0,
)


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_what_is_spent_never_shrinks_with_time(first: float, second: float) -> None:
    earlier, later = sorted((COST.at_s + first, COST.at_s + second))
    assert COST.spent_microusd <= COST.spent_at(earlier) <= COST.spent_at(later)


def test_a_clock_that_goes_back_costs_nothing_and_gives_nothing_back() -> None:
    assert COST.spent_at(COST.at_s - 500) == COST.spent_microusd


def test_what_is_over_costs_no_more() -> None:
    for state in (RentalState.GONE, RentalState.LOST):
        over = replace(COST, state=state)
        assert over.spent_at(COST.at_s + 3600) == COST.spent_microusd
        assert over.ends_in_s(COST.at_s) is None
        assert over.is_fresh(COST.at_s + 1e6)


def test_it_ends_when_it_is_kept_no_longer_or_at_its_deadline_whichever_is_first() -> None:
    assert COST.ends_in_s(1100.0) == 500.0
    assert replace(COST, keep_left_s=60.0).ends_in_s(1010.0) == 50.0
    assert replace(COST, left_s=None).ends_in_s(1000.0) is None
    assert COST.ends_in_s(5000.0) == 0.0


def test_a_price_that_nobody_has_confirmed_lately_is_an_estimate() -> None:
    assert COST.is_fresh(1000.0 + FRESH_S)
    assert not COST.is_fresh(1001.0 + FRESH_S)
    assert not replace(COST, heard_s=None).is_fresh(1000.0)
