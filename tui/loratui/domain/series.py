"""A measured curve: values over optimizer steps, as charts and summaries need it. What only grows is looked at once."""

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class Series:
    """Values at strictly rising steps; a value may be NaN or infinite.

    A copy costs nothing, however long the series: both hold the same numbers, and each counts those that it knows.
    Numbers are only ever added behind them, so what a copy knows never changes. Who takes some back, or finds that
    another one has added its own, goes on with numbers of its own.
    """

    __slots__ = ("_num", "_steps", "_values")

    def __init__(self, steps: Iterable[int] = (), values: Iterable[float] = ()) -> None:
        self._steps, self._values = array("q", steps), array("d", values)
        self._num = len(self._steps)

    def __len__(self) -> int:
        return self._num

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Series) and (self.steps, self.values) == (other.steps, other.values)

    __hash__ = None  # type: ignore[assignment]  # Its numbers change.

    def __repr__(self) -> str:
        return f"Series({self.steps}, {self.values})"

    @property
    def steps(self) -> list[int]:
        """Return all steps; this takes as long as the series is."""
        return self._steps[: self._num].tolist()

    @property
    def values(self) -> list[float]:
        """Return all values; this takes as long as the series is."""
        return self._values[: self._num].tolist()

    @property
    def last_step(self) -> int | None:
        """Return the newest step."""
        return self._steps[self._num - 1] if self._num else None

    def at(self, index: int) -> tuple[int, float]:
        """Return a step and its value, the oldest at 0."""
        return self._steps[index], self._values[index]

    def since(self, index: int) -> Iterator[tuple[int, float]]:
        """Return steps and values from ``index`` on."""
        return zip(self._steps[index : self._num], self._values[index : self._num], strict=True)

    def index_after(self, step: int) -> int:
        """Return how many values are at or before ``step``."""
        return bisect_right(self._steps, step, hi=self._num)

    def index_from(self, step: int) -> int:
        """Return how many values are before ``step``."""
        return bisect_left(self._steps, step, hi=self._num)

    def upto(self, step: int) -> tuple[int, float] | None:
        """Return the newest step at or before ``step``, and its value."""
        index = self.index_after(step)
        return self.at(index - 1) if index else None

    def append(self, step: int, value: float) -> None:
        """Add a value; one at or before the last step replaces the tail: the run went back to a checkpoint."""
        num = self._num
        if num < len(self._steps) or (num and step <= self._steps[num - 1]):
            keep = self.index_from(step)
            self._steps, self._values, self._num = self._steps[:keep], self._values[:keep], keep
        self._steps.append(step)
        self._values.append(value)
        self._num += 1

    def copy(self) -> "Series":
        """Return a series that later values don't reach."""
        copied = Series.__new__(Series)
        copied._steps, copied._values, copied._num = self._steps, self._values, self._num
        return copied

    def continues(self, earlier: "Series") -> bool:
        """Return whether this is ``earlier`` with nothing but later values added, as far as can be told at once."""
        return self._steps is earlier._steps and earlier._num <= self._num

    def minimum(self) -> tuple[float, int] | None:
        """Return the smallest finite value and its step."""
        finite = [(value, step) for step, value in self.since(0) if math.isfinite(value)]
        return min(finite, default=None)

    def ema(self, alpha: float) -> list[float]:
        """Return the exponential moving average, as ``Average`` does."""
        return Average(alpha).of(self).values


class Average:
    """The exponential moving average of a series that grows: a value is averaged once.

    It starts unbiased, at the first value. Where the value is not finite the average is NaN, a gap in the chart, and
    goes on after it as if the value had not been there.
    """

    def __init__(self, alpha: float) -> None:
        """``alpha`` is the weight of the newest value, 0 to 1."""
        self.alpha = alpha
        self._begin(Series())

    def _begin(self, series: Series) -> None:
        self._of, self._mean = series, Series()
        self._sum_of_values = self._sum_of_weights = 0.0

    def of(self, series: Series) -> Series:
        """Return the average at every step; of a series that goes on from the last one only the rest is worked out."""
        if not series.continues(self._of):
            self._begin(series)
        for step, value in series.since(len(self._mean)):
            self._mean.append(step, self._add(value))
        self._of = series.copy()
        return self._mean.copy()

    def _add(self, value: float) -> float:
        if not math.isfinite(value):
            return math.nan
        self._sum_of_values += self.alpha * (value - self._sum_of_values)
        self._sum_of_weights += self.alpha * (1 - self._sum_of_weights)
        return self._sum_of_values / self._sum_of_weights


class Envelope:
    """The lowest and highest finite value in each of ``columns`` equal parts of the steps ``first`` to ``last``.

    Drawing it keeps every spike visible, however many steps share a column.
    """

    def __init__(self, *, columns: int, first: int, last: int) -> None:
        self.columns, self.first, self.last = columns, first, last
        self._begin(Series())

    def _begin(self, series: Series) -> None:
        self._of, self._taken = series, 0
        self._lows, self._highs = [math.inf] * self.columns, [-math.inf] * self.columns
        self.gaps = set[int]()
        """Columns in which a value is not a number."""

    def take(self, series: Series) -> "Envelope":
        """Take all values of a series in, and return this; of one that goes on from the last one only the rest is."""
        if not series.continues(self._of):
            self._begin(series)
        width = (self.last - self.first + 1) / self.columns
        for step, value in series.since(max(self._taken, series.index_from(self.first))):
            if step > self.last:
                break
            # Rounding must not lead out of the list where step numbers are huge.
            column = min(int((step - self.first) / width), self.columns - 1)
            if not math.isfinite(value):
                self.gaps.add(column)
                continue
            if value < self._lows[column]:
                self._lows[column] = value
            if value > self._highs[column]:
                self._highs[column] = value
        self._of, self._taken = series.copy(), len(series)
        return self

    @property
    def parts(self) -> list[tuple[float, float] | None]:
        """Return the lowest and highest of each column; a column without a finite value is None."""
        return [(low, high) if low <= high else None for low, high in zip(self._lows, self._highs, strict=True)]

    @property
    def extremes(self) -> tuple[float, float] | None:
        """Return the lowest and the highest of all; None: there is no finite value."""
        low, high = min(self._lows), max(self._highs)
        return (low, high) if low <= high else None
