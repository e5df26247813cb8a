import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui.domain.series import Average, Envelope, Series


def test_value_at_an_earlier_step_replaces_the_tail() -> None:
    series = Series()
    for step in (1, 2, 3, 4):
        series.append(step, float(step))
    series.append(3, 30.0)
    assert (series.steps, series.values) == ([1, 2, 3], [1.0, 2.0, 30.0])


def test_later_values_do_not_reach_a_copy() -> None:
    series = Series([1], [1.0])
    copied = series.copy()
    series.append(2, 2.0)
    assert copied.steps == [1]

    copied.append(3, 3.0)
    assert (series.steps, copied.steps) == ([1, 2], [1, 3])


def test_a_copy_keeps_what_its_original_takes_back() -> None:
    series = Series([1, 2, 3], [1.0, 2.0, 3.0])
    copied = series.copy()
    series.append(2, 20.0)
    assert (series.values, copied.values) == ([1.0, 20.0], [1.0, 2.0, 3.0])
    assert not series.continues(copied)


def test_the_newest_value_up_to_a_step_is_found() -> None:
    series = Series([10, 20], [1.0, 2.0])
    assert [series.upto(step) for step in (9, 10, 19, 25)] == [None, (10, 1.0), (10, 1.0), (20, 2.0)]


steps_of_growth = st.lists(st.tuples(st.integers(0, 30), st.floats(-9, 9) | st.just(math.nan)), max_size=60)


@given(steps_of_growth, st.integers(1, 7))
def test_what_grows_is_worked_out_as_if_it_had_been_there_at_once(made: list[tuple[int, float]], every: int) -> None:
    """Steps may go back: then all is worked out anew."""
    series, average, envelope = Series(), Average(0.3), Envelope(columns=5, first=3, last=22)
    for num, (step, value) in enumerate(made):
        series.append(step, value)
        if num % every == 0:
            average.of(series.copy())
            envelope.take(series.copy())
    mean, taken = average.of(series), envelope.take(series)

    again = Series(series.steps, series.values)
    anew = Envelope(columns=5, first=3, last=22).take(again)
    assert (taken.parts, taken.gaps, taken.extremes) == (anew.parts, anew.gaps, anew.extremes)
    assert mean.steps == series.steps
    assert mean.values == pytest.approx(again.ema(0.3), nan_ok=True)


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
    parts = Envelope(columns=10, first=0, last=99).take(Series(list(range(100)), values)).parts
    assert parts[3] == (1.0, 9.0)
    assert [part for part in parts if part != (1.0, 1.0)] == [(1.0, 9.0)]


def test_envelope_leaves_empty_columns_empty_and_stays_in_its_window() -> None:
    parts = Envelope(columns=10, first=0, last=9).take(Series([0, 5, 9, 10], [1.0, math.nan, 2.0, 7.0])).parts
    assert parts[0] == (1.0, 1.0)
    assert parts[5] is None
    assert parts[9] == (2.0, 2.0)


def test_envelope_survives_step_numbers_of_any_size() -> None:
    last = 2**63 - 1
    parts = Envelope(columns=80, first=0, last=last).take(Series([0, last - 1, last], [1.0, 2.0, 3.0])).parts
    assert parts[-1] == (2.0, 3.0)
