"""Long curves cost what is new of them, and are drawn as if all of them had been looked at."""

import math

from hypothesis import given
from hypothesis import strategies as st

from loratui.domain.series import Series
from loratui.ui.widgets.chart_maths import Dots, Limits, draw
from loratui.ui.widgets.thinning import Smoothed, Thinned

WHOLE = Limits(low=-10, high=10)
value = st.one_of(st.floats(-10, 10), st.sampled_from([math.nan, math.inf]))
pushed = st.lists(st.tuples(st.integers(1, 60), value), min_size=1, max_size=80)


def grown(pushes: list[tuple[int, float]]) -> list[Series]:
    """Return a series after each of its values; a lower step replaces the tail."""
    series, copies = Series(), []
    for step, each in pushes:
        series.append(step, each)
        copies.append(series.copy())
    return copies


def picture(series: Series, span: tuple[int, int], columns: int) -> tuple[list[list[int]], set[int]]:
    dots = Dots(columns, 4)
    gaps = draw(dots, series, span, WHOLE)
    return [dots[row] for row in range(4)], gaps


def same(one: list[float], other: list[float]) -> bool:
    return repr(one) == repr(other)


@given(pushed, st.integers(1, 30), st.integers(0, 40), st.integers(1, 60))
def test_a_thinned_curve_is_drawn_the_same(
    pushes: list[tuple[int, float]], columns: int, first: int, width: int
) -> None:
    thinned, span = Thinned(), (first, first + width)
    for series in grown(pushes):
        thin = thinned.of(series, span, columns * 2)

        assert picture(thin, span, columns) == picture(series, span, columns)
        assert len(thin.steps) <= 6 * columns


@given(pushed, st.sampled_from([0.1, 0.02]))
def test_an_average_that_goes_on_is_the_average_of_all(pushes: list[tuple[int, float]], alpha: float) -> None:
    smoothed = Smoothed()
    for series in grown(pushes):
        assert same(smoothed.of(series, alpha).values, series.ema(alpha))


def test_another_run_another_window_and_another_weight_begin_anew() -> None:
    one, other = grown([(n, n / 10) for n in range(1, 60)])[-1], grown([(n, -n / 10) for n in range(1, 60)])[-1]
    thinned, smoothed = Thinned(), Smoothed()
    for series, span, alpha in ((one, (0, 60), 0.1), (other, (0, 60), 0.1), (other, (20, 30), 0.02)):
        assert picture(thinned.of(series, span, 20), span, 10) == picture(series, span, 10)
        assert same(smoothed.of(series, alpha).values, series.ema(alpha))


class Counting(list[float]):
    """Counts how many of its values are looked at."""

    looks = 0

    def __getitem__(self, at: object) -> object:  # type: ignore[override]
        found = super().__getitem__(at)  # type: ignore[index]
        self.looks += len(found) if isinstance(found, list) else 1
        return found


def test_of_a_long_curve_only_what_is_new_is_looked_at() -> None:
    series = Series(list(range(1, 100_001)), Counting([0.5] * 100_000))
    thinned, smoothed = Thinned(), Smoothed()
    thinned.of(series, (0, 120_000), 160)
    smoothed.of(series, 0.02)
    series.append(100_001, 0.7)
    counting = series.values
    assert isinstance(counting, Counting)
    counting.looks = 0
    thinned.of(series, (0, 120_000), 160)
    smoothed.of(series, 0.02)

    assert counting.looks < 10
