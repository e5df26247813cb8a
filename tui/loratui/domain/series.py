"""A measured curve: values over optimizer steps, as charts and summaries need it."""

import math
from bisect import bisect_left
from dataclasses import dataclass, field


@dataclass(slots=True)
class Series:
    """Values at strictly rising steps; a value may be NaN or infinite."""

    steps: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    rewinds: int = 0
    """How often the tail was replaced: while it stays, and the length grows, what was there before has not changed."""

    def append(self, step: int, value: float) -> None:
        """Add a value; one at or before the last step replaces the tail: the run went back to a checkpoint."""
        if self.steps and step <= self.steps[-1]:
            self.rewinds += 1
            keep = bisect_left(self.steps, step)
            del self.steps[keep:], self.values[keep:]
        self.steps.append(step)
        self.values.append(value)

    def copy(self) -> "Series":
        """Return a series that shares nothing with this one."""
        return Series(self.steps.copy(), self.values.copy(), self.rewinds)

    def minimum(self) -> tuple[float, int] | None:
        """Return the smallest finite value and its step."""
        finite = [pair for pair in zip(self.values, self.steps, strict=True) if math.isfinite(pair[0])]
        return min(finite, default=None)

    def ema(self, alpha: float) -> list[float]:
        """Return the exponential moving average, ``alpha`` being the weight of the newest value, 0 to 1.

        It starts unbiased, at the first value. Where the value is not finite the average is NaN, a gap in the chart,
        and goes on after it as if the value had not been there.
        """
        average = Average(alpha)
        return [average.take(value) for value in self.values]


class Average:
    """An exponential moving average that takes one value after the other."""

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha
        self._sum_of_values = self._sum_of_weights = 0.0

    def take(self, value: float) -> float:
        """Return the average with this value; NaN for one that is not finite, which changes nothing."""
        if not math.isfinite(value):
            return math.nan
        self._sum_of_values += self.alpha * (value - self._sum_of_values)
        self._sum_of_weights += self.alpha * (1 - self._sum_of_weights)
        return self._sum_of_values / self._sum_of_weights


def envelope(
    steps: list[int], values: list[float], *, columns: int, first: int, last: int
) -> list[tuple[float, float] | None]:
    """Return the lowest and highest finite value in each of ``columns`` equal parts of the steps ``first``-``last``.

    A column without a finite value is None. Drawing the envelope keeps every spike visible, however many steps share
    a column.
    """
    parts: list[tuple[float, float] | None] = [None] * columns
    width = (last - first + 1) / columns
    start = bisect_left(steps, first)
    end = bisect_left(steps, last + 1)
    for step, value in zip(steps[start:end], values[start:end], strict=True):
        if not math.isfinite(value):
            continue
        # Rounding must not lead out of the list where step numbers are huge.
        column = min(int((step - first) / width), columns - 1)
        part = parts[column]
        parts[column] = (value, value) if part is None else (min(part[0], value), max(part[1], value))
    return parts
