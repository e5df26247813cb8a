"""The arithmetic of a line chart in braille: limits, windows, and which dots are set. Pure."""

import math
import sys
from dataclasses import dataclass

from loratui.domain.series import Envelope

# Bits of the dots of a braille character, by row and column within the cell.
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_STEPS = (1.0, 2.0, 5.0, 10.0)
_LEAST_VALUE = 1e-12
_LEAST_SPAN = 1e-9
"""Of the y axis, as a share of the numbers on it."""
_LEAST_WINDOW = 8
_DASH = 4
"""Columns of dots in a dash, and in the gap after it."""


def nice_step(span: float, parts: int) -> float:
    """Return the smallest 1, 2 or 5 times a power of ten that cuts ``span`` into at most ``parts`` parts."""
    # What is smaller still has no logarithm.
    rough = max(span / max(1, parts), sys.float_info.min)
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in _STEPS if step * power >= rough * (1 - 1e-9))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The range of the y axis."""

    low: float
    high: float
    log: bool = False

    def place(self, value: float) -> float:
        """Return where the value lies between ``low`` (0) and ``high`` (1); outside values are moved to the edge."""
        low, high = self._scaled(self.low), self._scaled(self.high)
        return min(1.0, max(0.0, (self._scaled(value) - low) / (high - low)))

    def _scaled(self, value: float) -> float:
        return math.log10(max(value, _LEAST_VALUE)) if self.log else value

    def ticks(self, parts: int) -> list[float]:
        """Return about ``parts`` round values within the limits, the lowest first."""
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
            marks = [step * 10.0**power for power in range(first, last + 1) for step in _STEPS[:3]]
            inside = [mark for mark in marks if self.low * (1 - 1e-9) <= mark <= self.high * (1 + 1e-9)]
            return inside[:: max(1, math.ceil(len(inside) / max(1, parts)))]
        step = nice_step(self.high - self.low, parts)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [index * step for index in range(first, last + 1)]


def limits_for(low: float, high: float, *, log: bool, before: Limits | None = None) -> Limits:
    """Return limits on round values that hold both numbers, and ``before`` unchanged while it still fits.

    Sticky limits are what keeps a growing chart from being redrawn as a whole with every point.
    """
    if log:
        low = max(low, _LEAST_VALUE)
        high = max(high, low)
    if before is not None and before.log == log and before.low <= low and high <= before.high:
        return before
    if log:
        return Limits(low=_round_log(low, up=False), high=_round_log(high * (1 + 1e-6), up=True), log=True)
    size = max(abs(low), abs(high))
    # What differs by less than can be told apart, as sums in another order do, has no span to be cut into steps.
    span = high - low if high - low > _LEAST_SPAN * size else size or 1.0
    step = nice_step(span, 4)
    bottom, top = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    if top <= bottom:
        top = bottom + step
    return Limits(low=bottom, high=top)


def _round_log(value: float, *, up: bool) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    marks = [step * power for step in _STEPS]
    if up:
        return next((mark for mark in marks if mark > value), 10 * power)
    return max(mark for mark in marks if mark <= value * (1 + 1e-9))


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The steps that the chart shows, out of 0 to ``total``; ``end`` None means the whole run."""

    start: int = 0
    end: int | None = None

    def span(self, total: int) -> tuple[int, int]:
        """Return the first and the last step shown."""
        return (0, max(1, total)) if self.end is None else (self.start, self.end)

    def zoom(self, factor: float, *, total: int, around: float) -> "Window":
        """Return a window ``factor`` times as wide about the step ``around``, the whole run if that is as wide."""
        first, last = self.span(total)
        length = max(round((last - first) * factor), _LEAST_WINDOW)
        if length >= total:
            return Window()
        return Window(start=0, end=length).move(round(around - length / 2), total=total)

    def pan(self, share: float, *, total: int) -> "Window":
        """Return the window moved by a share of its width, kept within the run."""
        first, last = self.span(total)
        return self.move(round((last - first) * share), total=total)

    def move(self, steps: int, *, total: int) -> "Window":
        """Return the window moved by ``steps``, kept within the run."""
        if self.end is None:
            return self
        steps = min(max(steps, -self.start), total - self.end)
        return Window(start=self.start + steps, end=self.end + steps)


class Dots:
    """A grid of braille cells to draw lines in; one that is dashed leaves every other stretch of them out."""

    def __init__(self, columns: int, rows: int, *, is_dashed: bool = False) -> None:
        self.columns = columns
        self.is_dashed = is_dashed
        self.rows = rows
        self._cells = [[0] * columns for _ in range(rows)]

    def __getitem__(self, row: int) -> list[int]:
        return self._cells[row]

    def line(self, x: int, top: int, bottom: int) -> None:
        """Set the dots of column ``x`` from ``top`` to ``bottom``."""
        if self.is_dashed and x // _DASH % 2:
            return
        for y in range(top, bottom + 1):
            self._cells[y >> 2][x >> 1] |= _DOTS[y & 3][x & 1]


def draw(dots: Dots, envelope: Envelope, limits: Limits) -> set[int]:
    """Draw what is within ``limits`` as a line and return the cell columns in which a value is not a number.

    Every column of dots shows all that falls into it, from the least to the greatest, so no spike is lost; a line
    joins it to the one before unless a value that is no number lies between. ``envelope`` has two parts to a cell.
    """
    height = dots.rows * 4

    def down(value: float) -> int:
        return height - 1 - round(limits.place(value) * (height - 1))

    before: tuple[int, int, int] | None = None
    for x, part in enumerate(envelope.parts):
        if x in envelope.gaps:
            before = None
        if part is None:
            continue
        top, bottom = down(part[1]), down(part[0])
        dots.line(x, top, bottom)
        if before is not None:
            _join(dots, before, (x, top, bottom))
        before = (x, top, bottom)
    return {x >> 1 for x in envelope.gaps}


def _join(dots: Dots, left: tuple[int, int, int], right: tuple[int, int, int]) -> None:
    """Close the way between two columns of dots, given as column, top and bottom, where they are nearest."""
    x0, top, bottom = left
    x1, *ends = right
    y0 = min(max(ends[0], top), bottom)
    y1 = min(max(y0, ends[0]), ends[1])
    before = y0
    for x in range(x0 + 1, x1 + 1):
        y = round(y0 + (y1 - y0) * (x - x0) / (x1 - x0))
        # From beside the last dot to the new one: steep parts stay closed without thickening flat ones.
        near = before + (y > before) - (y < before)
        dots.line(x, min(near, y), max(near, y))
        before = y
