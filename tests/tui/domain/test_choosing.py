"""Which offer is rented, and which others may take its place: within what one person has agreed to."""

from collections.abc import Callable

import pytest

from loratui.domain.estimate import estimate
from loratui.domain.estimate_limits import Choice, RunLimits, choose, run_limits
from loratui.domain.estimate_ranking import Quote, quotes
from loratui.domain.memory_need import Rung
from loratui.domain.offers import Offer
from loratui_protocol.errors import UsageError
from support.estimates import A_WORK, a_work, an_offer

USD = 1_000_000


def limits(
    balances: dict[str, int] | None = None, budget: int | None = USD, deadline_s: float | None = None
) -> Callable[[Quote, int | None], RunLimits]:
    def of(quote: Quote, cap: int | None) -> RunLimits:
        return run_limits(
            quote.estimate,
            quote.offer,
            budget_microusd=budget if cap is None else cap,
            balance_microusd=(balances or {}).get(quote.offer.provider),
            deadline_s=deadline_s,
        )

    return of


def chosen(offers: list[Offer], of: Callable[[Quote, int | None], RunLimits], most: int = 5) -> Choice:
    return choose(quotes(A_WORK, offers), of, most)


def ids(choice: Choice) -> list[str]:
    return [quote.offer.id for quote in choice.quotes]


def test_the_first_is_taken_and_so_many_in_all_stand_by_in_their_order():
    offers = [an_offer(id=str(number)) for number in range(9)]
    assert ids(chosen(offers, limits(), most=3)) == ["0", "1", "2"]
    assert ids(chosen(offers[:1], limits())) == ["0"]


def test_the_highest_price_is_that_of_whatever_may_be_taken():
    choice = chosen([an_offer(id="a"), an_offer(id="b", price_microusd_per_h=400_000)], limits())
    assert choice.highest_price_microusd_per_h == 400_000


def test_an_offer_above_the_budget_is_passed_over():
    dear = an_offer(id="dear", price_microusd_per_h=90 * USD)
    choice = chosen([dear, an_offer(id="cheap"), dear], limits())
    assert ids(choice) == ["cheap"]
    assert choice.limits.cap_microusd == USD


def test_an_account_that_is_empty_leaves_the_other_provider():
    offers = [an_offer(id="v"), an_offer(id="r", provider="runpod"), an_offer(id="w")]
    assert ids(chosen(offers, limits({"vast": 0, "runpod": 50 * USD}))) == ["r"]


def test_an_account_that_would_lower_the_cap_is_first_or_not_at_all():
    small = {"vast": USD, "runpod": 50 * USD}
    offers = [an_offer(id="v"), an_offer(id="r", provider="runpod")]
    first = chosen(offers, limits(small))
    assert (ids(first), first.limits.cap_microusd) == (["v", "r"], USD * 10 // 13)
    assert ids(chosen(offers[::-1], limits(small))) == ["r"], "its cap would be another one"


def test_a_machine_on_which_it_would_not_be_over_at_the_auto_stop_does_not_stand_by():
    fast = an_offer(id="fast")
    slow = an_offer(id="slow", download_mbit_s=10.0, price_microusd_per_h=50_000)
    took_s = {each.id: estimate(A_WORK, each).p50_s for each in (fast, slow)}
    assert took_s["slow"] > chosen([fast], limits()).limits.auto_stop_s
    assert ids(chosen([fast, slow], limits())) == ["fast"]
    assert ids(chosen([slow, fast], limits())) == ["slow", "fast"]


def test_a_deadline_that_is_too_short_for_all_keeps_those_that_are_no_slower():
    offers = [an_offer(id="a"), an_offer(id="b")]
    assert ids(chosen(offers, limits(deadline_s=600.0))) == ["a", "b"]


def test_where_nothing_is_allowed_the_first_says_why():
    with pytest.raises(UsageError) as refused:
        chosen([an_offer(gpu_name="RTX 4090"), an_offer(gpu_name="Tesla T4")], limits(budget=1))
    assert refused.value.code == "budget.too_low"
    assert "RTX 4090" in refused.value.what


def test_an_account_that_may_not_spend_so_much_in_an_hour_rents_nothing_above_it():
    quote = quotes(A_WORK, [an_offer(price_microusd_per_h=352_800)])[0]
    with pytest.raises(UsageError) as refused:
        run_limits(quote.estimate, quote.offer, spend_limit_microusd_per_h=352_799)
    assert refused.value.code == "balance.spend_limit"
    assert "$0.35/h" in refused.value.what
    assert run_limits(quote.estimate, quote.offer, spend_limit_microusd_per_h=352_800)


def test_a_run_that_was_agreed_to_as_configured_is_not_begun_with_less_when_its_gpu_is_gone():
    rungs = (Rung(min_vram_mib=12_000, given_up=("1 of 4 pictures at a time",), slowdown=1.0),)
    work = a_work(min_vram_mib=24_000, rungs=rungs)
    offers = [an_offer(id="a"), an_offer(id="tight", vram_mib=16_000), an_offer(id="b")]
    assert ids(choose(quotes(work, offers), limits(), 5)) == ["a", "b"]
    only_tight = choose(quotes(work, offers[1:]), limits(), 5)
    assert ids(only_tight) == ["tight", "b"], "one that takes it whole gives up nothing"
    dear = [an_offer(id="dear", price_microusd_per_h=90 * USD), offers[1]]
    assert ids(choose(quotes(work, dear), limits(), 5)) == ["tight"], "what may not be spent is no choice"
