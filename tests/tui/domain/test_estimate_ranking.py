from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from loratui.domain.estimate import estimate
from loratui.domain.estimate_ranking import Quote, SortBy, cost_range, quotes, rank, time_range, why
from loratui.domain.estimate_speeds import FIGURES
from support.estimates import A_WORK, a_work, an_offer

CHEAP = an_offer(id="cheap", gpu_name="RTX 3090", price_microusd_per_h=170_000, reliability=0.981)
FAST = an_offer(id="fast", gpu_name="RTX 5090", price_microusd_per_h=530_000, is_datacenter=True)
SLOW_LINE = an_offer(id="slow line", gpu_name="RTX 3090", price_microusd_per_h=160_000, download_mbit_s=10.0)
UNKNOWN = an_offer(id="unknown", gpu_name="Mystery 9000", price_microusd_per_h=1000, reliability=None, machine="")
ALL = [SLOW_LINE, UNKNOWN, FAST, CHEAP]


def ids(ranked: list[Quote]) -> list[str]:
    return [quote.offer.id for quote in ranked]


def test_the_cheapest_run_comes_first_and_not_the_cheapest_hour():
    quoted = quotes(A_WORK, ALL)
    assert ids(rank(quoted)) == ["cheap", "fast", "slow line", "unknown"]
    assert ids(rank(quoted, SortBy.PRICE)) == ["unknown", "slow line", "cheap", "fast"]


def test_the_fastest_or_the_most_reliable_can_be_had_first():
    quoted = quotes(A_WORK, ALL)
    assert ids(rank(quoted, SortBy.TIME)) == ["fast", "cheap", "slow line", "unknown"]
    assert ids(rank(quoted, SortBy.RELIABILITY)) == ["fast", "slow line", "cheap", "unknown"]


def test_privacy_leaves_only_datacentres():
    assert ids(rank(quotes(A_WORK, ALL), SortBy.PRIVACY)) == ["fast"]


def test_hosts_that_failed_before_that_are_unreliable_or_too_small_are_left_out():
    other = replace(CHEAP, machine="1", id="other")
    quoted = quotes(A_WORK, [CHEAP, other, replace(CHEAP, reliability=0.97, id="flaky", machine="2"), UNKNOWN])
    assert ids(rank(quoted, bad_hosts={("vast", "1"), ("vast", "")})) == ["cheap", "unknown"]
    assert ids(rank(quoted, bad_hosts={("runpod", "1")}, min_reliability=0.9)) == ["cheap", "other", "flaky", "unknown"]
    assert rank(quoted, min_vram_mib=24_565) == []


def test_a_kind_of_which_one_has_just_failed_comes_last_in_every_order_and_is_not_left_out():
    kinds = [replace(offer, provider="runpod", machine="", kind=offer.id, is_datacenter=True) for offer in ALL]
    quoted = quotes(A_WORK, kinds)
    for by in SortBy:
        first, *others = ids(rank(quoted, by))
        assert ids(rank(quoted, by, bad_kinds={("runpod", first), ("vast", others[0])})) == [*others, first]


def test_a_machine_that_is_taken_back_too_soon_is_left_out():
    quoted = quotes(A_WORK, [replace(CHEAP, longest_s=1800.0), replace(FAST, longest_s=86_400.0)])
    assert ids(rank(quoted)) == ["fast"]


def test_a_gpu_without_a_figure_is_compared_by_its_memory_with_one_that_is_offered_too():
    mystery = replace(UNKNOWN, memory_gb_per_s=900.0)
    alone, beside = quotes(A_WORK, [mystery]), quotes(A_WORK, [mystery, replace(CHEAP, memory_gb_per_s=900.0)])
    assert not alone[0].estimate.is_speed_known
    assert beside[0].estimate.is_speed_known
    assert ids(rank(beside))[0] == "unknown", "it costs next to nothing"


def test_a_word_says_why():
    quoted = quotes(replace(A_WORK, base_model_bytes=0), ALL)
    words = {quote.offer.id: why(quote, quoted) for quote in quoted}
    assert words == {"cheap": "cheapest", "fast": "fastest", "slow line": "boot", "unknown": "unknown"}


def test_ranges_are_said_as_estimates():
    estimated = estimate(A_WORK, an_offer())
    assert cost_range(estimated) == "≈$0.11 to $0.25"
    assert time_range(estimated) == "≈16 to 36 min"
    assert time_range(estimate(a_work(steps=20_000), an_offer())) == "≈2 h 38 min to 4 h 55 min"


@given(
    st.lists(
        st.builds(
            an_offer,
            id=st.uuids().map(str),
            gpu_name=st.sampled_from([*(figure.gpu for figure in FIGURES), "Mystery 9000"]),
            price_microusd_per_h=st.integers(0, 5_000_000),
            reliability=st.none() | st.floats(0, 1),
            is_datacenter=st.none() | st.booleans(),
            memory_gb_per_s=st.none() | st.floats(0, 1e4),
        ),
        max_size=8,
    ),
    st.sampled_from(SortBy),
)
def test_no_offer_is_made_up_or_taken_that_is_unreliable_and_unknown_totals_come_last(offers, by):
    ranked = rank(quotes(A_WORK, offers), by)
    assert len(set(ids(ranked))) == len(ranked)
    assert all(quote.offer in offers for quote in ranked)
    assert all(quote.offer.reliability is None or quote.offer.reliability >= 0.98 for quote in ranked)
    if by is SortBy.TOTAL:
        known = [quote.estimate.is_speed_known for quote in ranked]
        assert known == sorted(known, reverse=True)
        totals = [quote.estimate.p50_microusd for quote in ranked if quote.estimate.is_speed_known]
        assert totals == sorted(totals)
    assert all(why(quote, ranked) for quote in ranked)
