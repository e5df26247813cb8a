import pytest

from loratui.domain.countdown import Urgency, bell, urgency


@pytest.mark.parametrize(
    ("left_s", "expected"),
    [
        (None, Urgency.NONE),
        (901, Urgency.CALM),
        (900, Urgency.SOON),
        (301, Urgency.SOON),
        (300, Urgency.URGENT),
        (0.1, Urgency.URGENT),
        (0, Urgency.OVER),
    ],
)
def test_urgency_rises_at_fifteen_and_five_minutes(left_s: float | None, expected: Urgency) -> None:
    assert urgency(left_s) is expected


def test_bell_rings_once_for_each_threshold_passed() -> None:
    assert bell(901, 900) == 900
    assert bell(900, 899) is None
    assert bell(1000, 50) == 60


@pytest.mark.parametrize(("before_s", "left_s"), [(None, 30), (30, None), (100, 1000)])
def test_bell_is_silent_at_the_first_look_without_a_limit_and_after_an_extension(
    before_s: float | None, left_s: float | None
) -> None:
    assert bell(before_s, left_s) is None
