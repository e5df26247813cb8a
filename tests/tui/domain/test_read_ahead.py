from hypothesis import given
from hypothesis import strategies as st

from loratui.domain.read_ahead import CHUNK_BYTES, LEAST_BYTES, MAX_WINDOW_BYTES, PACE_S, Pace, ReadAhead


def window(ahead: ReadAhead) -> int:
    in_flight = 0
    while ahead.may_ask(in_flight):
        in_flight += CHUNK_BYTES
    return in_flight


def carry(ahead: ReadAhead, *, bytes_per_s: float, round_trip_s: float, seconds: float) -> tuple[float, float]:
    """Fetch without end over a way of this kind; return bytes a second and the last answer's time."""
    now_s, free_s, in_flight, arrived = 0.0, 0.0, 0, 0
    under_way: list[tuple[float, float]] = []
    took_s = 0.0
    while now_s < seconds:
        while not under_way or ahead.may_ask(in_flight):
            free_s = max(free_s, now_s + round_trip_s) + CHUNK_BYTES / bytes_per_s
            under_way.append((free_s, now_s))
            in_flight += CHUNK_BYTES
        arrives_s, asked_s = under_way.pop(0)
        now_s = max(now_s, arrives_s)
        took_s = now_s - asked_s
        in_flight -= CHUNK_BYTES
        arrived += CHUNK_BYTES
        ahead.arrived(CHUNK_BYTES, asked_s, now_s)
    return arrived / now_s, took_s


def test_far_and_fast_way_is_kept_full() -> None:
    rate, _ = carry(ReadAhead(), bytes_per_s=70e6, round_trip_s=0.08, seconds=3)
    assert rate > 0.9 * 70e6


def test_slow_way_gets_no_queue_that_events_would_wait_behind() -> None:
    rate, took_s = carry(ReadAhead(), bytes_per_s=1.25e6, round_trip_s=0.05, seconds=30)
    assert rate > 0.9 * 1.25e6
    assert took_s < 1.2


def test_one_stall_shrinks_the_window_once() -> None:
    ahead = ReadAhead()
    for number in range(100):
        ahead.arrived(CHUNK_BYTES, number * 0.01, number * 0.01 + 0.08)
    before = window(ahead)
    for number in range(20):
        ahead.arrived(CHUNK_BYTES, 1.0 + number * 0.01, 2.0)
    assert before / 2 - CHUNK_BYTES <= window(ahead) <= before / 2


@given(
    answers=st.lists(st.tuples(st.integers(1, CHUNK_BYTES), st.floats(0, 100), st.floats(0, 100)), max_size=200),
    cap=st.sampled_from([0.0, 1000.0, 1e6, 1e9]),
)
def test_window_stays_within_its_bounds_whatever_comes(answers: list[tuple[int, float, float]], cap: float) -> None:
    ahead = ReadAhead(cap)
    for num_bytes, asked_s, took_s in answers:
        ahead.arrived(num_bytes, asked_s, asked_s + took_s)
        assert CHUNK_BYTES <= window(ahead) <= MAX_WINDOW_BYTES
        assert 0 < ahead.chunk_bytes <= CHUNK_BYTES


def test_cap_is_kept_and_nothing_is_saved_up_for_a_burst() -> None:
    ahead = ReadAhead(1e6)
    now_s, asked = 50.0, 0
    while now_s < 60:
        now_s += ahead.wait_s(now_s) or 0.0
        ahead.asked(ahead.chunk_bytes, now_s)
        asked += ahead.chunk_bytes
    assert 0.95e7 < asked <= 1.05e7
    assert ReadAhead().wait_s(1.0) == 0


def lasts_s(bytes_per_s: float, every_s: float, max_bytes_per_s: float = 0.0) -> float:
    """Return how long a file is waited for that comes like this, an hour at most."""
    pace, now_s = Pace(0, 0.0, max_bytes_per_s), 0.0
    while now_s < 3600 and not pace.is_lost(int(bytes_per_s * now_s), now_s):
        now_s += every_s
    return now_s


def test_way_that_brings_hardly_anything_is_given_up_and_a_slow_one_is_not() -> None:
    assert lasts_s(1 / 19, every_s=19) <= PACE_S + 19
    assert lasts_s(LEAST_BYTES / PACE_S * 0.9, every_s=1) == PACE_S
    assert lasts_s(LEAST_BYTES / PACE_S * 1.1, every_s=1) >= 3600


def test_cap_of_the_users_own_is_no_reason_to_give_up() -> None:
    assert lasts_s(300, every_s=1, max_bytes_per_s=300) >= 3600
    # The pieces that are asked for under a cap may come less often than once in a while.
    assert lasts_s(16_384 / 200, every_s=200, max_bytes_per_s=16_384 / 200) >= 3600
