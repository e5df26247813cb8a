"""The loss curve as SVG: what was measured, faint, and its moving average, bold. Pure: values in, text out."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_MOST = 1e12
"""What is larger was made up, or is as good as no number: sums of it overflow."""
_WIDTH, _HEIGHT = 860, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 12, 12, 34
_MAX_POINTS = 800


@dataclass(frozen=True, slots=True)
class _Axes:
    """Maps steps and losses to places in the picture."""

    first_step: float
    last_step: float
    low: float
    high: float

    def x(self, step: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (step - self.first_step) / (self.last_step - self.first_step)

    def y(self, loss: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (self.high - loss) / (self.high - self.low)


def loss_chart(
    steps: Sequence[int], losses: Sequence[float], smoothed: Sequence[float], title: str = "loss by step"
) -> str:
    """Return the SVG element, empty with fewer than two finite values; NaN and infinity leave a gap."""
    losses, smoothed = ([loss if abs(loss) <= _MOST else math.nan for loss in each] for each in (losses, smoothed))
    finite = [loss for loss in (*losses, *smoothed) if math.isfinite(loss)]
    if len(finite) < 2:
        return ""
    loss_ticks = ticks(min(finite), max(finite))
    axes = _Axes(steps[0], max(steps[-1], steps[0] + 1), loss_ticks[0], loss_ticks[-1])
    step_ticks = [tick for tick in ticks(axes.first_step, axes.last_step) if axes.first_step <= tick <= axes.last_step]
    return "\n".join(
        [
            f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{title}">',
            *(_grid_line(axes, tick) for tick in loss_ticks),
            *(_step_label(axes, tick) for tick in step_ticks),
            f'<path class="raw" d="{_path(axes, steps, losses)}"/>',
            f'<path class="smooth" d="{_path(axes, steps, smoothed)}"/>',
            "</svg>",
        ]
    )


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return round values at equal distances that enclose ``low`` and ``high``."""
    span = (high - low) or abs(high) or 1.0
    magnitude = 10.0 ** math.floor(math.log10(span / about))
    distance = next(magnitude * factor for factor in (1, 2, 5, 10) if span / (magnitude * factor) <= about)
    start, end = math.floor(low / distance), max(math.ceil(high / distance), math.floor(low / distance) + 1)
    return [round(index * distance, 12) for index in range(start, end + 1)]


def _grid_line(axes: _Axes, loss: float) -> str:
    y = f"{axes.y(loss):.1f}"
    return (
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>'
        f'<text x="{_LEFT - 8}" y="{y}" dy="4" text-anchor="end">{loss:g}</text>'
    )


def _step_label(axes: _Axes, step: float) -> str:
    return f'<text x="{axes.x(step):.1f}" y="{_HEIGHT - 12}" text-anchor="middle">{step:g}</text>'


def _path(axes: _Axes, steps: Sequence[int], values: Sequence[float]) -> str:
    commands, pen_down = [], False
    for step, value in _thinned(steps, values):
        if math.isfinite(value):
            # A moving average may leave the range of what was measured by nothing but rounding.
            y = axes.y(min(max(value, axes.low), axes.high))
            commands.append(f"{'L' if pen_down else 'M'}{axes.x(step):.1f} {y:.1f}")
        pen_down = math.isfinite(value)
    return "".join(commands)


def _thinned(steps: Sequence[int], values: Sequence[float]) -> Iterator[tuple[int, float]]:
    """Yield all points, or of each column the lowest and the highest, so that no spike is lost."""
    size = -(-len(values) // (_MAX_POINTS // 2))
    if size <= 2:
        yield from zip(steps, values, strict=True)
        return
    for start in range(0, len(values), size):
        column = range(start, min(start + size, len(values)))
        extremes = {min(column, key=values.__getitem__), max(column, key=values.__getitem__)}
        for index in sorted(extremes):
            yield steps[index], values[index]
