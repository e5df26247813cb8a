from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from loratui_agent.clock import Moment
from loratui_agent.clock import now as now_here
from loratui_agent.meter import Meter

SECONDS = st.floats(0, 1e6)
START = Moment(wall_ts=1e9, boot_s=5000.0, boot="a")


def later(seconds: float, *, wall_jump_s: float = 0.0) -> Moment:
    return Moment(wall_ts=START.wall_ts + seconds + wall_jump_s, boot_s=START.boot_s + seconds, boot="a")


def test_an_hour_costs_the_price_in_whole_microdollars():
    meter = Meter(price_microusd_per_h=340_001).started(START).at(later(3600))
    assert meter.spent_microusd() == 340_001
    assert isinstance(Meter(price_microusd_per_h=1).started(START).at(later(0.5)).spent_microusd(), int)


def test_time_counts_while_a_run_goes_on_and_only_then():
    running = Meter(limit_s=100).started(START)
    assert running.at(later(30)).left_s() == 70
    assert running.started(later(30)).at(later(30)).left_s() == 70
    assert Meter(limit_s=100).at(later(30)).left_s() == 100
    assert running.at(later(30)).stopped().at(later(99)).left_s() == 70
    assert running.at(later(130)).overdue_s() == 30


@given(jump=st.floats(-1e8, 1e8))
def test_a_wall_clock_that_is_set_changes_nothing(jump):
    meter = Meter(limit_s=100, price_microusd_per_h=10**9).started(START)
    assert meter.at(later(40, wall_jump_s=jump)) == replace(
        meter.at(later(40)), running_since_ts=START.wall_ts + 40 + jump
    )


def test_across_a_boot_the_wall_clock_counts_and_no_less_than_the_time_since_that_boot():
    meter = Meter(limit_s=1000).started(START)
    assert meter.at(Moment(wall_ts=START.wall_ts + 300, boot_s=20, boot="b")).left_s() == 700
    assert meter.at(Moment(wall_ts=0.0, boot_s=20, boot="b")).left_s() == 980


def test_a_meter_of_an_earlier_version_counts_by_the_wall_clock():
    meter = Meter(limit_s=1000, running_since_ts=START.wall_ts)
    assert meter.at(Moment(wall_ts=START.wall_ts + 300, boot_s=9e6, boot="b")).left_s() == 700


@given(first=SECONDS, second=SECONDS)
def test_counting_in_pieces_is_counting_at_once(first, second):
    started = Meter(price_microusd_per_h=500_000).started(START)
    whole = started.at(later(first + second))
    pieces = started.at(later(first)).at(later(first + second))
    assert abs(whole.spent_microusd() - pieces.spent_microusd()) <= 1


def test_extending_moves_the_auto_stop_both_ways_and_makes_none():
    meter = Meter(limit_s=100, elapsed_s=40)
    assert meter.extended(60).left_s() == 120
    assert meter.extended(-90).left_s() == 0
    assert Meter().extended(60).left_s() is None


def test_moments_of_this_machine_follow_each_other():
    first = now_here()
    assert 0 <= first.seconds_until(now_here()) < 60
    assert first.boot
