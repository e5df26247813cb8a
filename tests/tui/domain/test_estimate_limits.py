import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui.domain.estimate import Estimate, estimate
from loratui.domain.estimate_limits import default_cap_microusd, needed_balance_microusd, run_limits
from loratui.domain.offers import Offer
from loratui_protocol.errors import UsageError
from support.estimates import A_WORK, an_offer

OFFER = an_offer()
ESTIMATE = estimate(A_WORK, OFFER)
USD = 1_000_000


def dear() -> tuple[Estimate, Offer]:
    """A run that costs more than anyone spends without saying so."""
    offer = an_offer(price_microusd_per_h=60 * USD)
    return estimate(A_WORK, offer), offer


def test_without_a_budget_the_cap_is_half_more_than_the_run_costs_if_it_goes_badly():
    limits = run_limits(ESTIMATE, OFFER)
    assert limits.cap_microusd == math.ceil(ESTIMATE.p90_microusd * 3 / 2)
    assert limits.auto_stop_s == math.ceil(ESTIMATE.p90_s * 3 / 2)
    assert limits.notes == ()


def test_ten_dollars_are_the_most_that_is_spent_unasked():
    offer = an_offer(price_microusd_per_h=20 * USD)
    estimated = estimate(A_WORK, offer)
    assert estimated.p50_microusd < 10 * USD < estimated.p90_microusd * 3 / 2
    assert default_cap_microusd(estimated) == 10 * USD
    with pytest.raises(UsageError) as refused:
        run_limits(*dear())
    assert refused.value.code == "budget.too_low"
    assert "without --budget no more is spent than $10.00" in refused.value.what


def test_what_is_spent_unasked_can_be_set_and_a_budget_goes_before_it():
    offer = an_offer(price_microusd_per_h=20 * USD)
    estimated = estimate(A_WORK, offer)
    most = estimated.p50_microusd + 1000
    assert run_limits(estimated, offer, most_microusd=most).cap_microusd == most
    assert run_limits(estimated, offer, most_microusd=most, budget_microusd=50 * USD).cap_microusd == 50 * USD


def test_a_budget_is_the_cap_and_does_not_move_the_auto_stop():
    limits = run_limits(ESTIMATE, OFFER, budget_microusd=50 * USD)
    assert limits.cap_microusd == 50 * USD
    assert limits.auto_stop_s == run_limits(ESTIMATE, OFFER).auto_stop_s


def test_a_budget_below_what_is_likely_is_refused_with_the_numbers():
    with pytest.raises(UsageError) as refused:
        run_limits(ESTIMATE, OFFER, budget_microusd=ESTIMATE.p50_microusd - 1)
    assert refused.value.code == "budget.too_low"
    assert "the run is likely to cost ≈$0.11 to $0.25" in refused.value.what
    assert "Nothing was rented" in refused.value.what
    assert "--budget 0.26" in refused.value.fix
    assert run_limits(ESTIMATE, OFFER, budget_microusd=230_000)


def test_a_budget_that_is_just_enough_brings_the_auto_stop_forward_and_says_so():
    limits = run_limits(ESTIMATE, OFFER, budget_microusd=ESTIMATE.p50_microusd)
    traffic = ESTIMATE.p90_traffic_microusd
    assert limits.auto_stop_s == (limits.cap_microusd - traffic) * 3600 // OFFER.price_microusd_per_h
    assert "the cap pays for no more" in limits.notes[0]


def test_keeping_the_machine_moves_the_auto_stop_as_far_as_the_cap_pays():
    kept = run_limits(ESTIMATE, OFFER, budget_microusd=5 * USD, linger_s=1800)
    assert kept.auto_stop_s == run_limits(ESTIMATE, OFFER).auto_stop_s + 1800
    assert kept.notes == ()
    short = run_limits(ESTIMATE, OFFER, linger_s=7200)
    assert short.auto_stop_s < kept.auto_stop_s
    assert short.notes


def test_a_deadline_of_the_users_comes_first_and_a_run_that_it_cuts_is_said_to_be_cut():
    assert run_limits(ESTIMATE, OFFER, deadline_s=1e6).auto_stop_s == run_limits(ESTIMATE, OFFER).auto_stop_s
    limits = run_limits(ESTIMATE, OFFER, deadline_s=600.0)
    assert limits.auto_stop_s == 600
    assert "it will save and stop before its last step" in limits.notes[0]


def test_a_small_balance_lowers_the_cap_and_says_so():
    limits = run_limits(ESTIMATE, OFFER, budget_microusd=2 * USD, balance_microusd=1_300_000)
    assert limits.cap_microusd == 1_000_000
    assert "the cap is lowered from $2.00 to $1.00: there is $1.30 on the vast account" in limits.notes[0]
    assert run_limits(ESTIMATE, OFFER, budget_microusd=2 * USD, balance_microusd=2_600_000).notes == ()


def test_a_balance_that_does_not_pay_for_the_run_is_refused_with_what_to_add():
    with pytest.raises(UsageError) as refused:
        run_limits(ESTIMATE, OFFER, balance_microusd=100_000)
    assert refused.value.code == "balance.too_low"
    assert "there is $0.10 on the vast account" in refused.value.what
    assert refused.value.fix.startswith("add $0.2")


def test_what_a_provider_wants_on_the_account_is_wanted():
    offer = an_offer(balance_floor_microusd=3 * USD)
    assert needed_balance_microusd(ESTIMATE, offer) == 3 * USD
    assert needed_balance_microusd(ESTIMATE, OFFER) == math.ceil(ESTIMATE.p90_microusd * 1.3)
    with pytest.raises(UsageError) as refused:
        run_limits(ESTIMATE, offer, balance_microusd=2_990_000)
    assert refused.value.fix.startswith("add $0.01")


def test_traffic_that_eats_the_budget_leaves_no_time_and_is_refused():
    offer = an_offer(received_microusd_per_gb=USD)
    estimated = estimate(A_WORK, offer)
    with pytest.raises(UsageError) as refused:
        run_limits(estimated, offer, budget_microusd=estimated.p50_microusd)
    assert refused.value.code == "budget.too_low"
    with pytest.raises(UsageError) as refused:
        run_limits(estimated, offer, balance_microusd=math.ceil(estimated.p50_microusd * 1.3) + 2, most_microusd=10**9)
    assert refused.value.code == "balance.too_low"


def test_a_machine_that_costs_nothing_may_run_as_long_as_it_takes():
    offer = an_offer(price_microusd_per_h=0, received_microusd_per_gb=0, sent_microusd_per_gb=0)
    limits = run_limits(estimate(A_WORK, offer), offer, balance_microusd=0)
    assert (limits.cap_microusd, limits.needed_balance_microusd) == (0, 0)
    assert limits.auto_stop_s > 0


@given(
    st.integers(1, 50 * USD),
    st.none() | st.integers(0, 100 * USD),
    st.none() | st.integers(0, 100 * USD),
    st.floats(0, 1e6),
    st.none() | st.floats(1, 1e6),
)
def test_time_and_traffic_until_auto_stop_are_never_above_cap_budget_or_balance(
    price, budget, balance, linger_s, deadline_s
):
    offer = an_offer(price_microusd_per_h=price)
    estimated = estimate(A_WORK, offer)
    try:
        limits = run_limits(
            estimated,
            offer,
            budget_microusd=budget,
            balance_microusd=balance,
            linger_s=linger_s,
            deadline_s=deadline_s,
        )
    except UsageError:
        return
    assert limits.cap_microusd >= estimated.p50_microusd
    assert limits.cap_microusd <= (10 * USD if budget is None else budget)
    assert balance is None or limits.cap_microusd <= balance
    assert limits.auto_stop_s * price + 3600 * estimated.p90_traffic_microusd <= 3600 * limits.cap_microusd
    assert deadline_s is None or limits.auto_stop_s <= deadline_s
    assert isinstance(limits.auto_stop_s, int)
