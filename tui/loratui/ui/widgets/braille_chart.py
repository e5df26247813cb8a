"""Line charts in braille dots, raw and smoothed, with a fixed x axis and limits that stay while they fit."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

from loratui.domain import formatting
from loratui.domain.run import RunView
from loratui.domain.series import Series
from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span, rule
from loratui.ui.widgets.chart_maths import Dots, Limits, Window, draw, limits_for, nice_step
from loratui.ui.widgets.rows import Rows
from loratui.ui.widgets.thinning import Smoothed, Thinned

_LABEL = 6
"""Cells of a y label; the axis follows."""
_MOST_TICKS = 8
_MOST_DECIMALS = 3
_FEWEST_ROWS = 2
_FEWEST_COLUMNS = 10
SMOOTHINGS = (0.0, 0.9, 0.98, 0.995)
"""Weight of the past in the smoothed line; 0 is off. An average with weight w spans about 1 / (1 - w) steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartView:
    """What part of the run is shown, and how."""

    window: Window = field(default_factory=Window)
    log: bool = False
    smoothing: float = 0.98

    def next_smoothing(self) -> "ChartView":
        """Return the view with the next smoothing of the list."""
        index = SMOOTHINGS.index(self.smoothing)
        return replace(self, smoothing=SMOOTHINGS[(index + 1) % len(SMOOTHINGS)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """What a chart draws: a name, and where in a run the values are."""

    name: str
    series: Callable[[RunView], Series]
    facts: Callable[[RunView], list[Span]] = lambda _: []
    """What else the title says."""


class BrailleChart(Rows):
    """Draws one curve of a run; the screen's keys change ``chart_view``."""

    def __init__(self, curve: Curve, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self.curve = curve
        self.chart_view = ChartView()
        self.is_small = False
        """Leave out what only the large chart has room for."""
        self._limits: Limits | None = None
        self._smoothed, self._raw, self._mean = Smoothed(), Thinned(), Thinned()

    def change(self, chart_view: ChartView) -> None:
        """Show another part of the run, or show it in another way."""
        if chart_view.window != self.chart_view.window:
            self._limits = None
        self.chart_view = chart_view
        self.rebuild()

    def zoomed(self, factor: float) -> ChartView:
        """Return the view of ``factor`` times as many steps, about the newest or else the middle."""
        total, newest = self._extent()
        first, last = self.chart_view.window.span(total)
        around = newest if first <= newest <= last else (first + last) / 2
        return replace(self.chart_view, window=self.chart_view.window.zoom(factor, total=total, around=around))

    def panned(self, share: float) -> ChartView:
        """Return the view moved by a share of its width."""
        return replace(self.chart_view, window=self.chart_view.window.pan(share, total=self._extent()[0]))

    def _extent(self) -> tuple[int, int]:
        """Return the last step of the run and the newest."""
        if self.frame is None:
            return 1, 0
        steps = self.frame.view.series.steps
        newest = steps[-1] if steps else 0
        return max(self.frame.view.total, newest, 1), newest

    def compose_rows(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return the title, the chart, the axis and its labels."""
        series = self.curve.series(frame.view)
        smoothing = 0.0 if self.is_small else self.chart_view.smoothing
        smoothed = self._smoothed.of(series, 1 - smoothing) if smoothing else None
        title = rule(self._title(frame, smoothed, smoothing), width, "" if self.is_small else _mode(self.chart_view))
        rows, columns = height - 3, width - _LABEL - 1
        if rows < _FEWEST_ROWS or columns < _FEWEST_COLUMNS:
            return [title]
        span = self.chart_view.window.span(self._extent()[0])
        thin = self._raw.of(series, span, columns * 2)
        limits = self._fit_limits(thin) if series.steps else None
        if limits is None:
            return [title, *_waiting(frame, width, height - 1)]
        raw, mean = Dots(columns, rows), Dots(columns, rows)
        gaps = draw(raw, thin, span, limits)
        if smoothed is not None:
            draw(mean, self._mean.of(smoothed, span, columns * 2), span, limits)
        labels = _labels(limits, rows)
        body = [[_label(labels.get(row, "")), *_cells(raw[row], mean[row])] for row in range(rows)]
        _mark(body[-1], gaps)
        return [title, *body, *_axis(span, columns)]

    def _title(self, frame: Frame, smoothed: Series | None, smoothing: float) -> list[Span]:
        title: list[Span] = [(self.curve.name, Role.TITLE)]
        newest = (
            next((value for value in reversed(smoothed.values) if math.isfinite(value)), None) if smoothed else None
        )
        if newest is not None:
            num_steps = round(1 / (1 - smoothing))
            title += [(f"  ema {num_steps} steps ", Role.DIM), (formatting.loss(newest), Role.MEAN)]
        return [*title, *self.curve.facts(frame.view)]

    def _fit_limits(self, series: Series) -> Limits | None:
        shown = [value for value in series.values if math.isfinite(value)]
        if shown:
            log = self.chart_view.log and not self.is_small
            self._limits = limits_for(min(shown), max(shown), log=log, before=self._limits)
        return self._limits


def loss_facts(view: RunView) -> list[Span]:
    """Return what the title of the loss chart says beside the smoothed value: that of a single step is noise."""
    facts: list[Span] = []
    if view.loss is not None:
        role = Role.TEXT if math.isfinite(view.loss) else Role.ALARM
        facts += [("  noisy ", Role.DIM), (formatting.loss(view.loss), role)]
    if view.min_loss is not None:
        least, step = view.min_loss
        facts += [("  min ", Role.DIM), (f"{formatting.loss(least)} @{step}", Role.TEXT)]
    return facts


def _mode(chart_view: ChartView) -> str:
    raw = "" if chart_view.smoothing else "raw · "
    return f"{'log' if chart_view.log else 'lin'} · {raw}L m + -"


def _waiting(frame: Frame, width: int, height: int) -> list[Row]:
    text = "no step was made" if frame.view.state.is_final else "waiting for the first step"
    blank: list[Row] = [[] for _ in range(max(0, (height - 1) // 2))]
    return [*blank, [(text.center(width), Role.DIM)]]


def _labels(limits: Limits, rows: int) -> dict[int, str]:
    """Return the labels of the y axis by chart row."""
    ticks = limits.ticks(min(_MOST_TICKS, max(2, rows // 2)))
    step = min((after - before for before, after in pairwise(ticks)), default=1.0)
    decimals = max(0, math.ceil(-math.log10(step) - 1e-9))

    def text(tick: float) -> str:
        if tick and (decimals > _MOST_DECIMALS or abs(tick) >= 10.0 ** (_LABEL - 1)):
            return f"{tick:.0e}".replace("e-0", "e-").replace("e+0", "e")
        return f"{tick:.{min(decimals, _MOST_DECIMALS)}f}"

    return {rows - 1 - round(limits.place(tick) * (rows - 1)): text(tick) for tick in ticks}


def _label(text: str) -> Span:
    return f"{text[:_LABEL]:>{_LABEL}}{'┤' if text else '│'}", Role.DIM


def _cells(raw: list[int], mean: list[int]) -> list[Span]:
    """Return one row of the chart; a cell that the smoothed line passes shows that line alone."""
    spans: list[Span] = []
    text, role = "", Role.RAW
    for below, above in zip(raw, mean, strict=True):
        char = chr(0x2800 + (above or below)) if above or below else " "
        wanted = Role.MEAN if above else Role.RAW if below else role
        if wanted is not role and text:
            spans.append((text, role))
            text = ""
        role = wanted
        text += char
    return [*spans, (text, role)]


def _mark(row: Row, gaps: set[int]) -> None:
    """Write an x where a loss was no number; the row's first span is the label."""
    if not gaps:
        return
    label, *spans = row
    cells = [(char, role) for text, role in spans for char in text]
    for column in gaps:
        cells[column] = ("x", Role.MARK)
    row[:] = [label, *cells]


def _axis(span: tuple[int, int], columns: int) -> list[Row]:
    """Return the x axis and its labels."""
    first, last = span
    step = max(1, round(nice_step(last - first, max(2, columns // 14))))
    line, labels = ["─"] * columns, [" "] * columns
    tick = -(-first // step) * step
    while tick <= last:
        column = round((tick - first) / (last - first) * (columns - 1))
        line[column] = "┬"
        text = str(tick)
        start = min(max(0, column - len(text) // 2), columns - len(text))
        if set(labels[max(0, start - 1) : start + len(text)]) <= {" "}:
            labels[start : start + len(text)] = text
        tick += step
    return [
        [(" " * _LABEL + "└" + "".join(line), Role.DIM)],
        [(" " * (_LABEL + 1) + "".join(labels), Role.DIM)],
    ]
