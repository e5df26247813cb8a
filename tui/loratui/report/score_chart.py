"""Curves of one score as SVG, each point with its standard error. Pure: values in, text out."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from loratui.report.chart import ticks

MAX_CURVES = 6
_WIDTH, _HEIGHT = 430, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 12, 12, 40
_CAP = 3


@dataclass(frozen=True, slots=True)
class Point:
    """A mean and its standard error at a place of the axis; the error may be infinite: not known."""

    x: float
    value: float
    error: float


@dataclass(frozen=True, slots=True)
class Curve:
    """Points that belong together; ``label`` says what they have in common."""

    label: str
    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class _Axes:
    left: float
    right: float
    low: float
    high: float

    def x(self, at: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (at - self.left) / ((self.right - self.left) or 1.0)

    def y(self, value: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (self.high - value) / (self.high - self.low)


def score_chart(curves: Sequence[Curve], title: str, of: str) -> str:
    """Return the chart with what its colours mean, over an axis of ``of``; empty where no curve has two places."""
    shown = [curve for curve in curves[:MAX_CURVES] if curve.points]
    points = [point for curve in shown for point in curve.points]
    if len({point.x for point in points}) < 2:
        return ""
    ends = [end for point in points for end in (point.value - _known(point), point.value + _known(point))]
    marks = ticks(min(ends), max(ends), 4)
    places = sorted({point.x for point in points})
    axes = _Axes(places[0], places[-1], marks[0], marks[-1])
    svg = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">',
        *(_line(axes, mark) for mark in marks),
        *(_label(axes, place) for place in _apart(axes, places)),
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 4}" text-anchor="middle">{escape(of)}</text>',
        *(_curve(axes, number, curve) for number, curve in enumerate(shown)),
        "</svg>",
    ]
    legend = " ".join(f'<li class="c{number}">{escape(curve.label)}</li>' for number, curve in enumerate(shown))
    return (
        f'<figure class="curves"><figcaption>{escape(title)}</figcaption>'
        f'{"".join(svg)}<ul class="legend">{legend}</ul></figure>'
    )


def _known(point: Point) -> float:
    return point.error if math.isfinite(point.error) else 0.0


def _line(axes: _Axes, mark: float) -> str:
    y = f"{axes.y(mark):.1f}"
    return (
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>'
        f'<text x="{_LEFT - 6}" y="{y}" dy="4" text-anchor="end">{mark:g}</text>'
    )


def _label(axes: _Axes, place: float) -> str:
    return f'<text x="{axes.x(place):.1f}" y="{_HEIGHT - 22}" text-anchor="middle">{place:g}</text>'


def _apart(axes: _Axes, places: Sequence[float]) -> Iterator[float]:
    """Yield the places whose labels do not run into one another."""
    last = -math.inf
    for place in places:
        if axes.x(place) - last >= 42:
            last = axes.x(place)
            yield place


def _curve(axes: _Axes, number: int, curve: Curve) -> str:
    points = sorted(curve.points, key=lambda point: point.x)
    bars = "".join(
        f"M{x - _CAP:.1f} {high:.1f}h{2 * _CAP}M{x:.1f} {high:.1f}V{low:.1f}M{x - _CAP:.1f} {low:.1f}h{2 * _CAP}"
        for point in points
        if _known(point)
        for x, high, low in [
            (axes.x(point.x), axes.y(point.value + point.error), axes.y(point.value - point.error)),
        ]
    )
    through = "".join(
        f"{'L' if index else 'M'}{axes.x(point.x):.1f} {axes.y(point.value):.1f}" for index, point in enumerate(points)
    )
    dots = "".join(f'<circle cx="{axes.x(point.x):.1f}" cy="{axes.y(point.value):.1f}" r="3"/>' for point in points)
    return f'<g class="c{number}"><path d="{bars}"/><path class="through" d="{through}"/>{dots}</g>'
