"""The arithmetic under the charts."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from loratui.domain.series import Envelope, Series
from loratui.ui.widgets.chart_maths import Dots, Limits, Window, draw, limits_for, nice_step

WHOLE = Limits(low=0, high=1)
finite = st.floats(min_value=-1e6, max_value=1e6, allow_nan=False)


def drawn(dots: Dots) -> list[str]:
    return ["".join(chr(0x2800 + bits) if bits else "." for bits in dots[row]) for row in range(dots.rows)]


def within(dots: Dots, series: Series, first: int, last: int) -> Envelope:
    return Envelope(columns=2 * dots.columns, first=first, last=last).take(series)


@pytest.mark.parametrize(("span", "parts", "step"), [(1, 4, 0.5), (0.4, 4, 0.1), (2500, 5, 500), (9e-5, 4, 5e-5)])
def test_steps_are_one_two_or_five_times_a_power_of_ten(span: float, parts: int, step: float) -> None:
    assert nice_step(span, parts) == pytest.approx(step)


@given(finite, finite, st.booleans())
@example(0.0, 5e-324, False)
@example(0.0, -5e-324, False)
@example(0.10936376452445984, 0.10936376452445985, False)
def test_limits_hold_what_they_were_made_for(one: float, two: float, log: bool) -> None:
    low, high = min(one, two), max(one, two)
    limits = limits_for(low, high, log=log)

    assert limits.low < limits.high
    if not log or low > 1e-9:
        slack = max(1e-9 * max(abs(low), abs(high)), 1e-300)
        assert limits.low <= low + slack
        assert limits.high >= high - slack
    assert 0 <= limits.place(low) <= limits.place(high) <= 1


def test_limits_stay_while_they_fit() -> None:
    first = limits_for(0.07, 0.38, log=False)

    assert limits_for(0.08, 0.2, log=False, before=first) is first
    assert limits_for(0.08, 0.5, log=False, before=first) is not first
    assert limits_for(0.08, 0.2, log=True, before=first) is not first


def test_ticks_are_round_and_within_the_limits() -> None:
    assert Limits(low=0, high=0.4).ticks(4) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    assert Limits(low=0.05, high=0.5, log=True).ticks(4) == pytest.approx([0.05, 0.1, 0.2, 0.5])


def test_a_rising_line_is_drawn_without_a_hole() -> None:
    dots = Dots(4, 2)
    draw(dots, within(dots, Series(list(range(8)), [value / 7 for value in range(8)]), *(0, 7)), WHOLE)

    assert drawn(dots) == ["..⡠⠊", "⡠⠊.."]


def test_points_far_apart_are_joined() -> None:
    dots = Dots(4, 1)
    draw(dots, within(dots, Series([0, 7], [0.0, 0.0]), *(0, 7)), WHOLE)

    assert drawn(dots) == ["⣀⣀⣀⣀"]


def test_a_dashed_line_is_known_without_its_colour() -> None:
    dots = Dots(8, 1, is_dashed=True)
    draw(dots, within(dots, Series([0, 15], [0.0, 0.0]), 0, 15), WHOLE)

    assert drawn(dots) == ["⣀⣀..⣀⣀.."]


def test_a_value_that_is_no_number_leaves_a_gap_that_is_reported() -> None:
    dots = Dots(4, 1)
    gaps = draw(dots, within(dots, Series([0, 1, 4, 6, 7], [0.0, 0.0, math.nan, 0.0, 0.0]), *(0, 7)), WHOLE)

    assert drawn(dots) == ["⣀..⣀"]
    assert gaps == {2}


def test_a_spike_among_thousands_of_values_stays_visible() -> None:
    values = [0.1] * 10_000
    values[5_000] = 1.0
    dots = Dots(40, 4)
    draw(dots, within(dots, Series(list(range(10_000)), values), *(0, 9_999)), WHOLE)

    assert any(dots[0])


def test_only_the_steps_within_the_window_are_drawn() -> None:
    dots = Dots(4, 1)
    draw(dots, within(dots, Series([0, 5, 100], [1.0, 0.0, 1.0]), *(4, 11)), WHOLE)

    assert drawn(dots) == ["⢀..."]


def test_a_new_window_halves_around_the_newest_step() -> None:
    window = Window().zoom(0.5, total=1000, around=600)

    assert window.span(1000) == (350, 850)
    assert window.zoom(2, total=1000, around=600) == Window()


@given(st.lists(st.tuples(st.sampled_from(["in", "out", "left", "right"]), st.integers(0, 1000)), max_size=20))
def test_a_window_never_leaves_the_run(moves: list[tuple[str, int]]) -> None:
    window = Window()
    for move, around in moves:
        match move:
            case "in":
                window = window.zoom(0.5, total=1000, around=around)
            case "out":
                window = window.zoom(2, total=1000, around=around)
            case "left":
                window = window.pan(-0.25, total=1000)
            case _:
                window = window.pan(0.25, total=1000)
        first, last = window.span(1000)
        assert 0 <= first < last <= 1000
