from hypothesis import given
from hypothesis import strategies as st

from loratui_agent.meter import Meter

SECONDS = st.floats(0, 1e6)


def test_an_hour_costs_the_price_in_whole_microdollars():
    meter = Meter(price_microusd_per_h=340_001).advanced(3600, now_ts=5.0)
    assert meter.spent_microusd() == 340_001
    assert isinstance(Meter(price_microusd_per_h=1).advanced(0.5, 0).spent_microusd(), int)


def test_a_gap_between_two_agents_counts_when_the_run_was_going_on():
    running = Meter(limit_s=100, running_since_ts=1000.0)
    assert running.after_gap(1030.0).left_s() == 70
    assert Meter(limit_s=100).after_gap(1030.0).left_s() == 100


@given(gap=st.floats(-1e6, 1e6))
def test_a_wall_clock_set_back_never_moves_the_auto_stop_away(gap):
    before = Meter(limit_s=100, elapsed_s=40, running_since_ts=1000.0)
    after = before.after_gap(1000.0 + gap)
    assert after.left_s() <= before.left_s()
    assert after.spent_microusd() >= before.spent_microusd()


@given(first=SECONDS, second=SECONDS)
def test_counting_in_pieces_is_counting_at_once(first, second):
    whole = Meter(price_microusd_per_h=500_000).advanced(first + second, 0)
    pieces = Meter(price_microusd_per_h=500_000).advanced(first, 0).advanced(second, 1)
    assert abs(whole.spent_microusd() - pieces.spent_microusd()) <= 1


def test_extending_moves_the_auto_stop_both_ways_and_makes_none():
    assert Meter(limit_s=100, elapsed_s=40).extended(60).left_s() == 120
    assert Meter(limit_s=100, elapsed_s=40).extended(-90).left_s() == 0
    assert Meter().extended(60).left_s() is None
