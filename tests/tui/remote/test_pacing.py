from hypothesis import given
from hypothesis import strategies as st

from loratui.remote.pacing import FIRST_BYTES, LEAST_BYTES, MOST_BYTES, Pace

BLOCK = 64 << 10


def simulate(bytes_per_s: float, rtt_s: float, seconds: float) -> tuple[Pace, float, float]:
    """Return the pace after some seconds on such a line, the share of it that was used, and the longest way."""
    pace = Pace()
    now_s = free_s = longest_s = 0.0
    arrived = 0
    on_the_way: list[tuple[float, int]] = []
    sent = 0
    while now_s < seconds:
        while pace.may_send:
            free_s = max(free_s, now_s) + BLOCK / bytes_per_s
            sent += BLOCK
            on_the_way.append((free_s + rtt_s, sent))
            longest_s = max(longest_s, free_s + rtt_s - now_s) if now_s > seconds / 2 else longest_s
            pace.sent(BLOCK, now_s)
        now_s += 0.05
        while on_the_way and on_the_way[0][0] <= now_s:
            arrived = on_the_way.pop(0)[1]
        pace.arrived(arrived, now_s)
    return pace, arrived / (bytes_per_s * seconds), longest_s


def test_a_fast_line_is_filled_soon():
    for rtt_s in (0.001, 0.08, 0.3):
        _, used, _ = simulate(20e6, rtt_s, 10)
        assert used > 0.8


def test_on_a_slow_line_nothing_waits_long_behind_an_upload_and_it_is_used_all_the_same():
    for bytes_per_s in (30e3, 100e3, 1e6):
        _, used, longest_s = simulate(bytes_per_s, 0.08, 120)
        assert longest_s < 9
        assert used > 0.8


@given(st.lists(st.tuples(st.integers(1, 1 << 22), st.floats(0, 10)), max_size=50))
def test_the_window_stays_within_its_bounds_and_what_has_arrived_always_makes_room(steps):
    pace, now_s, sent = Pace(), 0.0, 0
    assert pace.window == FIRST_BYTES
    for num_bytes, seconds in steps:
        pace.sent(num_bytes, now_s)
        sent += num_bytes
        now_s += seconds
        pace.arrived(sent, now_s)
        assert pace.may_send
        assert LEAST_BYTES <= pace.window <= MOST_BYTES
