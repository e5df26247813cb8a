from hypothesis import given
from hypothesis import strategies as st

from loratui.domain.awake import MAX_GAP_S, Awake

TICK_S = 0.5
late = st.floats(0, MAX_GAP_S - TICK_S)


@given(st.lists(late, min_size=1, max_size=20))
def test_late_looks_of_a_busy_machine_are_no_sleep(gaps: list[float]) -> None:
    awake, wall_s, monotonic_s = Awake(1e9, 50), 1e9, 50.0
    for gap_s in gaps:
        wall_s, monotonic_s = wall_s + TICK_S + gap_s, monotonic_s + TICK_S + gap_s
        assert not awake.has_slept(wall_s, monotonic_s, TICK_S)


@given(st.floats(MAX_GAP_S + 0.01, 1e7))
def test_sleep_shows_whether_or_not_the_monotonic_clock_goes_on_and_is_told_once(asleep_s: float) -> None:
    for monotonic_gap_s in (TICK_S, TICK_S + asleep_s):
        awake = Awake(1e9, 50)
        wall_s = 1e9 + TICK_S + asleep_s
        assert awake.has_slept(wall_s, 50 + monotonic_gap_s, TICK_S)
        assert not awake.has_slept(wall_s + TICK_S, 50 + monotonic_gap_s + TICK_S, TICK_S)


def test_clock_that_is_set_back_looks_like_sleep() -> None:
    assert Awake(1e9, 50).has_slept(1e9 - 3600, 50.5, TICK_S)
