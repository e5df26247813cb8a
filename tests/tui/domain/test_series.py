import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui.domain.series import Series, envelope


def test_value_at_an_earlier_step_replaces_the_tail() -> None:
    series = Series()
    for step in (1, 2, 3, 4):
        series.append(step, float(step))
    series.append(3, 30.0)
    assert (series.steps, series.values) == ([1, 2, 3], [1.0, 2.0, 30.0])


def test_copy_shares_nothing() -> None:
    series = Series([1], [1.0])
    copied = series.copy()
    series.append(2, 2.0)
    assert copied.steps == [1]


def test_minimum_is_the_lowest_finite_value() -> None:
    assert Series().minimum() is None
    assert Series([1, 2, 3, 4], [math.nan, 0.5, 0.3, -math.inf]).minimum() == (0.3, 3)


def test_average_starts_at_the_first_value_and_follows() -> None:
    assert Series([1, 2], [4.0, 4.0]).ema(0.1) == pytest.approx([4.0, 4.0])
    assert Series([1, 2], [0.0, 1.0]).ema(1.0) == [0.0, 1.0]


def test_value_that_is_no_number_is_a_gap_and_leaves_no_trace() -> None:
    smoothed = Series([1, 2, 3], [1.0, math.nan, 2.0]).ema(0.5)
    assert math.isnan(smoothed[1])
    assert smoothed[2] == Series([1, 3], [1.0, 2.0]).ema(0.5)[1]


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40), st.floats(0.01, 1.0))
def test_average_stays_within_the_values(values: list[float], alpha: float) -> None:
    for average in Series(list(range(len(values))), values).ema(alpha):
        assert min(values) - 1e-6 <= average <= max(values) + 1e-6


def test_envelope_keeps_every_spike() -> None:
    values = [1.0] * 100
    values[37] = 9.0
    parts = envelope(list(range(100)), values, columns=10, first=0, last=99)
    assert parts[3] == (1.0, 9.0)
    assert [part for part in parts if part != (1.0, 1.0)] == [(1.0, 9.0)]


def test_envelope_leaves_empty_columns_empty_and_stays_in_its_window() -> None:
    parts = envelope([0, 5, 9, 10], [1.0, math.nan, 2.0, 7.0], columns=10, first=0, last=9)
    assert parts[0] == (1.0, 1.0)
    assert parts[5] is None
    assert parts[9] == (2.0, 2.0)


def test_envelope_survives_step_numbers_of_any_size() -> None:
    last = 2**63 - 1
    parts = envelope([0, last - 1, last], [1.0, 2.0, 3.0], columns=80, first=0, last=last)
    assert parts[-1] == (2.0, 3.0)
