import math
from datetime import UTC

import pytest

from loratui.domain import formatting
from loratui_protocol.errors import UsageError


@pytest.mark.parametrize(
    ("microusd", "text"),
    [
        (1_870_000, "$1.87"),
        (0, "$0.00"),
        (9_999, "$0.0100"),
        (420, "$0.0004"),
        (10_000, "$0.01"),
        (-1_500_000, "-$1.50"),
        (90_071_992_547_409_910_000, "$90071992547409.91"),
    ],
)
def test_money_is_exact_decimal(microusd: int, text: str) -> None:
    assert formatting.money(microusd) == text


def test_estimates_are_marked() -> None:
    assert formatting.money(1_880_000, exact=False) == "≈$1.88"
    assert formatting.duration(2400, exact=False) == "≈40 min"


def test_hourly_price_says_per_hour() -> None:
    assert formatting.hourly_price(690_000) == "$0.69/h"


@pytest.mark.parametrize(("text", "microusd"), [("0.69", 690_000), ("$5", 5_000_000), (" 0.000001 ", 1), ("0", 0)])
def test_amounts_are_read_as_written(text: str, microusd: int) -> None:
    assert formatting.parse_microusd(text) == microusd


@pytest.mark.parametrize("text", ["", "five", "-1", "nan", "inf", "0.0000001", "1,5"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"usage\.money"):
        formatting.parse_microusd(text)


@pytest.mark.parametrize(
    ("seconds", "words", "watch"),
    [
        (-3, "0 s", "0:00"),
        (37, "37 s", "0:37"),
        (570, "9 min 30 s", "9:30"),
        (600, "10 min", "10:00"),
        (6065, "1 h 41 min", "1:41:05"),
        (math.nan, "–", "–"),  # noqa: RUF001
        (1e300, "–", "–"),  # noqa: RUF001
        (math.inf, "–", "–"),  # noqa: RUF001
    ],
)
def test_durations(seconds: float, words: str, watch: str) -> None:
    assert formatting.duration(seconds) == words
    assert formatting.stopwatch(seconds) == watch


def test_auto_stop_that_is_not_set_says_so() -> None:
    assert formatting.auto_stop(None) == "none set"
    assert formatting.auto_stop(60) == "1 min 00 s"


def test_time_of_day_is_in_the_zone_asked_for() -> None:
    assert formatting.time_of_day(0, UTC) == "00:00:00"


@pytest.mark.parametrize("ts", [math.nan, math.inf, -1e300, 1e300])
def test_time_that_can_not_be_is_unknown(ts: float) -> None:
    assert formatting.time_of_day(ts, UTC) == "–"  # noqa: RUF001


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [
        (0, "0 B"),
        (812, "812 B"),
        (5_900_000, "5.9 MB"),
        (148_000_000, "148 MB"),
        (999_700, "1.0 MB"),
        (3 * 10**12, "3000 GB"),
    ],
)
def test_sizes(num_bytes: int, text: str) -> None:
    assert formatting.size(num_bytes) == text


def test_readings_of_a_run() -> None:
    assert formatting.gib(21.44) == "21.4 GiB"
    assert formatting.gib(None) == "–"  # noqa: RUF001
    assert formatting.loss(0.08412) == "0.0841"
    assert formatting.loss(math.nan) == "nan"
    assert formatting.loss(None) == "–"  # noqa: RUF001
    assert formatting.speed(2.314) == "2.31 it/s"
    assert formatting.speed(0.25) == "4.00 s/it"
    assert formatting.speed(0.0) == "–"  # noqa: RUF001
    assert formatting.share(2499, 2500) == "99 %"
    assert formatting.share(1, 0) == "–"  # noqa: RUF001


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (9.24, "9.2 img/s"),
        (54.2, "54 img/s"),
        (0.0123, "0.012 img/s"),
        (1239.6, "1240 img/s"),
        (0.0, "0 img/s"),
        (None, "\u2013"),
        (math.nan, "\u2013"),
        (-1.0, "\u2013"),
        (1e300, "1e+300 img/s"),
    ],
)
def test_two_digits_count_and_what_is_unknown_is_a_dash(value, said):
    assert formatting.significant(value, "img/s") == said


def test_a_share_is_told_in_percent_however_small():
    shares = (0.0123, 0.000031, 1.5, None)
    assert [formatting.percent(share) for share in shares] == ["1.2 %", "0.0031 %", "150 %", "\u2013"]
