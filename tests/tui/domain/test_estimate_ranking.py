from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui.domain.estimate import TRAINING, estimate
from loratui.domain.estimate_ranking import Quote, SortBy, cost_range, fit_sentence, quotes, rank, time_range, why
from loratui.domain.estimate_speeds import FIGURES
from loratui.domain.estimate_work import joined
from loratui.domain.memory_need import Rung
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
    assert time_range(estimate(a_work(steps=20_000), an_offer())) == "≈2 h 37 min to 4 h 53 min"


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


SMALLER = (
    Rung(min_vram_mib=16_000, given_up=("2 of 4 pictures at a time",), slowdown=1.0),
    Rung(min_vram_mib=11_000, given_up=("1 of 4 pictures at a time", "gradient checkpointing"), slowdown=4 / 3),
)


def test_a_gpu_that_the_run_fits_only_with_less_never_comes_before_one_that_takes_it_whole():
    work = a_work(min_vram_mib=24_000, rungs=SMALLER)
    tight = replace(CHEAP, id="tight", vram_mib=12_000, price_microusd_per_h=1, machine="3", is_datacenter=True)
    tiny = replace(tight, id="tiny", vram_mib=8_000)
    quoted = quotes(work, [tight, tiny, *(replace(offer, is_datacenter=True) for offer in ALL)])
    for by in SortBy:
        ranked = rank(quoted, by, min_vram_mib=work.least_vram_mib)
        assert ids(ranked)[-1] == "tight"
        assert "tiny" not in ids(ranked)
        assert [bool(quote.given_up) for quote in ranked] == [False] * 4 + [True]
    last = ranked[-1]
    assert why(last, ranked) == "tight"
    assert fit_sentence(last) == "fits with 1 of 4 pictures at a time and gradient checkpointing"
    assert fit_sentence(ranked[0]) == ""
    assert "cheapest" in [why(quote, ranked) for quote in ranked[:-1]]


def test_the_time_on_a_gpu_that_takes_less_counts_what_is_computed_twice():
    work = a_work(min_vram_mib=24_000, rungs=SMALLER, num_sample_pictures=0)
    whole, halved, checkpointed = (
        quote.estimate
        for quote in quotes(work, [an_offer(vram_mib=mib, machine=str(mib)) for mib in (24_000, 16_000, 11_000)])
    )
    assert halved.p50_s == whole.p50_s
    [training, slower] = [
        next(part.p50.seconds for part in each.parts if part.name == TRAINING) for each in (whole, checkpointed)
    ]
    load = work.loads[0]
    more = load.steps * load.units_per_step / 3 / whole.speeds[0].likely
    assert slower - training == pytest.approx(more, abs=1)


def test_of_several_runs_each_gives_up_what_it_needs_to():
    first = a_work(min_vram_mib=24_000, rungs=SMALLER)
    second = a_work(min_vram_mib=14_000, rungs=SMALLER[1:])
    both = joined([first, second])
    assert (both.min_vram_mib, both.least_vram_mib) == (24_000, 11_000)
    assert [both.fitted(mib)[1] for mib in (24_000, 16_000, 12_000)] == [
        (),
        ("2 of 4 pictures at a time",),
        ("1 of 4 pictures at a time", "gradient checkpointing"),
    ]
