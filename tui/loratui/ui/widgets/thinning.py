"""Curves of any length at the cost of what is new: the average goes on where it was, and only extremes are drawn.

A chart has a few hundred columns of dots. Of all values in a column only the least, the greatest, and one that is no
number leave a trace; a series of these alone is drawn the same, and is short.
"""

import math
from dataclasses import dataclass, field

from loratui.domain.series import Average, Series


@dataclass(slots=True)
class _Known:
    """How much of a series was taken in."""

    length: int = 0
    rewinds: int = 0
    last: tuple[int, float] = (0, 0.0)

    def begins(self, series: Series) -> bool:
        """Return whether the series begins with what was taken in."""
        if self.length > len(series.steps) or self.rewinds != series.rewinds:
            return False
        # A value that is no number equals not even itself.
        return not self.length or repr(self._at(series, self.length - 1)) == repr(self.last)

    def note(self, series: Series) -> None:
        """Take note that all of it was taken in."""
        self.length, self.rewinds = len(series.steps), series.rewinds
        if self.length:
            self.last = self._at(series, self.length - 1)

    @staticmethod
    def _at(series: Series, index: int) -> tuple[int, float]:
        return series.steps[index], series.values[index]


class Smoothed:
    """The exponential moving average of a series that grows."""

    def __init__(self) -> None:
        self._known = _Known()
        self._average = Average(1.0)
        self._values: list[float] = []

    def of(self, series: Series, alpha: float) -> Series:
        """Return what ``series.ema(alpha)`` says, as a series."""
        if alpha != self._average.alpha or not self._known.begins(series):
            self._known, self._average, self._values = _Known(), Average(alpha), []
        self._values += [self._average.take(value) for value in series.values[self._known.length :]]
        self._known.note(series)
        return Series(series.steps, self._values, series.rewinds)


@dataclass(slots=True)
class _Column:
    least: tuple[float, int] | None = None
    greatest: tuple[float, int] | None = None
    no_number: int | None = None
    """A step whose value is none."""


@dataclass(slots=True)
class _Seen:
    of: tuple[int, int, int] = (0, 0, 0)
    """First step, last step and columns."""
    known: _Known = field(default_factory=_Known)
    columns: dict[int, _Column] = field(default_factory=dict)


class Thinned:
    """The few values of a growing series that a chart shows."""

    def __init__(self) -> None:
        self._seen = _Seen()

    def of(self, series: Series, span: tuple[int, int], columns: int) -> Series:
        """Return the series of all values within ``span`` that leave a trace in so many columns of dots."""
        wanted = (*span, columns)
        if wanted != self._seen.of or not self._seen.known.begins(series):
            self._seen = _Seen(wanted)
        seen = self._seen
        first, last = span
        width = last - first + 1
        for index in range(seen.known.length, len(series.steps)):
            step = series.steps[index]
            if first <= step <= last:
                column = min((step - first) * columns // width, columns - 1)
                _take(seen.columns.setdefault(column, _Column()), step, series.values[index])
        seen.known.note(series)
        return self._series()

    def _series(self) -> Series:
        values: dict[int, float] = {}
        for column in self._seen.columns.values():
            for extreme in (column.least, column.greatest):
                if extreme is not None:
                    values[extreme[1]] = extreme[0]
            if column.no_number is not None:
                values[column.no_number] = math.nan
        steps = sorted(values)
        return Series(steps, [values[step] for step in steps])


def _take(column: _Column, step: int, value: float) -> None:
    if not math.isfinite(value):
        column.no_number = step
        return
    if column.least is None or value < column.least[0]:
        column.least = value, step
    if column.greatest is None or value > column.greatest[0]:
        column.greatest = value, step
