"""What a rental costs: exact, whatever the times and prices, and against the same sum done in fractions."""

from fractions import Fraction
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from loratui.domain.ledger import (
    Phase,
    Rates,
    Span,
    by_phase,
    charges,
    lasts_s,
    microseconds,
    projected,
    spent,
    time_microusd,
    traffic_microusd,
)
from loratui.domain.offers import Offer

START_TS = 1_763_931_200.0
prices = st.integers(0, 50_000_000)
lengths_us = st.integers(0, 48 * 3600 * 1_000_000)
phases = st.sampled_from(Phase)


def spans_of(parts: list[tuple[Phase, int, int]], *, lasts: bool = False) -> list[Span]:
    """Spans that follow one another: phase, microseconds, price."""
    spans, at_us = [], 0
    for phase, length_us, price in parts:
        begin, at_us = START_TS + at_us / 1e6, at_us + length_us
        spans.append(Span(phase=phase, from_ts=begin, to_ts=START_TS + at_us / 1e6, microusd_per_h=price))
    if lasts and spans:
        last = spans[-1]
        spans[-1] = Span(phase=last.phase, from_ts=last.from_ts, microusd_per_h=last.microusd_per_h)
    return spans


def exact(spans: list[Span], now_ts: float) -> Fraction:
    return sum((Fraction(span.microusd_per_h * span.elapsed_us(now_ts), 3_600_000_000) for span in spans), Fraction(0))


parts_of = st.lists(st.tuples(phases, lengths_us, prices), max_size=8)


@given(parts_of)
def test_phases_add_up_to_the_whole_which_is_rounded_up_once(parts: list[tuple[Phase, int, int]]) -> None:
    spans = spans_of(parts)
    amounts = charges(spans, START_TS)
    assert sum(amounts) == ceil(exact(spans, START_TS)) == sum(by_phase(spans, START_TS).values())
    assert all(amount >= 0 for amount in amounts)
    assert all(isinstance(amount, int) for amount in amounts)


@given(parts_of, prices)
def test_the_disk_is_a_part_of_the_time_never_more_and_all_of_it_while_stopped(
    parts: list[tuple[Phase, int, int]], disk: int
) -> None:
    spans = spans_of(parts)
    whole = spent(spans, START_TS, Rates(running_microusd_per_h=340_000, disk_microusd_per_h=disk))
    shares = [
        Fraction((price if phase is Phase.STOPPED else min(price, disk)) * length_us, 3_600_000_000)
        for phase, length_us, price in parts
    ]
    assert whole.disk_microusd == ceil(sum(shares, Fraction(0))) <= whole.time_microusd


@given(parts_of, st.floats(0, 1e6), st.floats(0, 1e6))
def test_cost_never_goes_back(parts: list[tuple[Phase, int, int]], one_s: float, other_s: float) -> None:
    spans = spans_of(parts, lasts=True)
    rates = Rates(running_microusd_per_h=340_000, billing_floor_us=60_000_000)
    early, late = sorted((one_s, other_s))
    assert spent(spans, START_TS + early, rates).total_microusd <= spent(spans, START_TS + late, rates).total_microusd


@given(prices, lengths_us, lengths_us)
def test_a_span_that_is_cut_in_two_costs_the_same(price: int, one_us: int, other_us: int) -> None:
    whole = Span(phase=Phase.TRAINING, from_ts=0.0, to_ts=(one_us + other_us) / 1e6, microusd_per_h=price)
    cut = [
        Span(phase=Phase.TRAINING, from_ts=0.0, to_ts=one_us / 1e6, microusd_per_h=price),
        Span(phase=Phase.IDLE, from_ts=one_us / 1e6, to_ts=(one_us + other_us) / 1e6, microusd_per_h=price),
    ]
    assert sum(charges(cut, 0.0)) == sum(charges([whole], 0.0)) == time_microusd(price, one_us + other_us)


@given(prices, st.integers(0, 1 << 50), st.integers(0, 1 << 50), prices)
def test_traffic_is_billed_by_the_byte(sent_price: int, sent: int, received: int, received_price: int) -> None:
    rates = Rates(running_microusd_per_h=0, sent_microusd_per_gb=sent_price, received_microusd_per_gb=received_price)
    both = Fraction(sent * sent_price + received * received_price, 10**9)
    assert traffic_microusd(rates, sent, received) == ceil(both)


@given(st.integers(1, 50_000_000), st.integers(0, 100_000_000), st.integers(0, 1_000_000))
def test_a_budget_is_never_passed_in_the_time_that_it_lasts_and_would_be_soon_after(
    price: int, budget: int, reserved: int
) -> None:
    lasts = lasts_s(budget, price, reserved)
    assert lasts is not None
    assert lasts >= 0
    if budget >= reserved:
        assert Fraction(price * lasts, 3600) + reserved <= budget < Fraction(price * (lasts + 1), 3600) + reserved
    else:
        assert lasts == 0
    assert lasts_s(budget, 0) is None


@given(parts_of, st.lists(st.tuples(phases, st.floats(0, 1e5)), max_size=4))
def test_what_is_projected_is_at_least_what_is_spent(
    parts: list[tuple[Phase, int, int]], to_come: list[tuple[Phase, float]]
) -> None:
    spans = spans_of(parts, lasts=True)
    rates = Rates(running_microusd_per_h=340_000, stopped_microusd_per_h=8_000)
    now_ts = START_TS + 1e7
    in_the_end = projected(spans, now_ts, rates, to_come)
    assert in_the_end.total_microusd >= spent(spans, now_ts, rates).total_microusd
    later_us = sum(microseconds(now_ts + seconds) - microseconds(now_ts) for _, seconds in to_come)
    most = max(rates.running_microusd_per_h, 1)
    assert in_the_end.time_microusd <= ceil(exact(spans, now_ts)) + time_microusd(most, later_us) + len(to_come) + 1


def test_a_price_that_rises_counts_from_then_on_and_a_stopped_machine_costs_its_disk() -> None:
    offer = Offer(
        provider="vast",
        id="1",
        gpu_name="RTX 4090",
        vram_mib=24_564,
        price_microusd_per_h=360_000,
        stopped_microusd_per_h=7_200,
        disk_gb=40,
        billing_floor_s=60.0,
    )
    rates = Rates.of(offer)
    spans = spans_of(
        [
            (Phase.BOOTING, 600_000_000, rates.per_h(Phase.BOOTING)),
            (Phase.TRAINING, 1_800_000_000, 720_000),
            (Phase.STOPPED, 3_600_000_000, rates.per_h(Phase.STOPPED)),
        ]
    )
    assert by_phase(spans, START_TS) == {Phase.BOOTING: 60_000, Phase.TRAINING: 360_000, Phase.STOPPED: 7_200}


def test_so_much_is_billed_at_least_once_anything_is() -> None:
    rates = Rates(running_microusd_per_h=360_000, billing_floor_us=60_000_000)
    ten_s = [Span(phase=Phase.BOOTING, from_ts=0.0, to_ts=10.0, microusd_per_h=360_000)]
    cost = spent(ten_s, 10.0, rates)
    assert (cost.time_microusd, cost.floor_microusd, cost.total_microusd) == (1_000, 5_000, 6_000)
    assert spent([], 10.0, rates).total_microusd == 0


def test_what_a_provider_does_not_say_about_stopping_is_taken_for_the_full_price() -> None:
    offer = Offer(provider="x", id="1", gpu_name="g", vram_mib=1, price_microusd_per_h=500_000, disk_gb=1)
    assert Rates.of(offer).per_h(Phase.STOPPED) == 500_000
    assert Rates.of(offer, 600_000).per_h(Phase.TRAINING) == 600_000


def test_a_clock_that_is_set_back_takes_nothing_away() -> None:
    span = Span(phase=Phase.IDLE, from_ts=100.0, microusd_per_h=360_000)
    assert charges([span], 50.0) == [0]
