"""Line charts in braille dots, raw and smoothed, with a fixed x axis and limits that stay while they fit."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from loratui.domain.run_stop import goes_to
from loratui.domain.series import Average, Envelope, Series
from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span, rule
from loratui.ui.widgets import chart_facts
from loratui.ui.widgets.chart_facts import Compared
from loratui.ui.widgets.chart_maths import Dots, Limits, Window, draw, limits_for
from loratui.ui.widgets.chart_rows import LABEL, axis, cells, column, label, labels, mark, write
from loratui.ui.widgets.curves import LOSS, METRICS, Curve
from loratui.ui.widgets.rows import Rows

_FEWEST_ROWS = 2
_FEWEST_COLUMNS = 10
_ROWS_WITH_FOOT = 4
SMOOTHINGS = (0.0, 0.9, 0.98, 0.995)
"""Weight of the past in the smoothed line; 0 is off. An average with weight w spans about 1 / (1 - w) steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartView:
    """What part of the run is shown, and how."""

    window: Window = field(default_factory=Window)
    log: bool = False
    smoothing: float = 0.98
    cursor: int | None = None
    """The step under the crosshair; None: there is none."""
    skipped: int | None = None
    """How many of the newest steps the table leaves out; None: no table is shown, but the chart."""

    def next_smoothing(self) -> "ChartView":
        """Return the view with the next smoothing of the list."""
        index = SMOOTHINGS.index(self.smoothing)
        return replace(self, smoothing=SMOOTHINGS[(index + 1) % len(SMOOTHINGS)])


class BrailleChart(Rows):
    """Draws one curve of a run; the screen's keys change ``chart_view``. What was drawn once is not looked at again."""

    is_pane = True

    def __init__(self, curve: Curve, *, id: str) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self.curve = curve
        self.chart_view = ChartView()
        self.is_small = False
        """Leave out what only the large chart has room for."""
        self.compared: Compared | None = None
        self._limits: Limits | None = None
        self._averages: dict[str, Average] = {}
        self._envelopes: dict[str, Envelope] = {}
        self._table_page = 1

    def change(self, chart_view: ChartView) -> None:
        """Show another part of the run, or show it in another way."""
        if chart_view.window != self.chart_view.window:
            self._limits = None
        self.chart_view = chart_view
        self.rebuild()

    def choose(self, by: int) -> None:
        """Show another curve, so many further in the list of all."""
        self.curve = METRICS[(METRICS.index(self.curve) + by) % len(METRICS)]
        self._begin_anew()

    def compare(self, other: Compared | None) -> None:
        """Draw the loss of another run beside that of this one, or no other one any more."""
        self.curve, self.compared = LOSS, other
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._limits = None
        self._averages.clear()
        self._envelopes.clear()
        self.rebuild()

    # --- other views -------------------------------------------------------------------------------------------------

    def zoomed(self, factor: float) -> ChartView:
        """Return the view of ``factor`` times as many steps, about the crosshair, the newest, or else the middle."""
        total, newest = self._extent()
        first, last = self.chart_view.window.span(total)
        wanted = newest if self.chart_view.cursor is None else self.chart_view.cursor
        around = wanted if first <= wanted <= last else (first + last) / 2
        return replace(self.chart_view, window=self.chart_view.window.zoom(factor, total=total, around=around))

    def panned(self, share: float) -> ChartView:
        """Return the view moved by a share of its width: the crosshair or the table if one is on, else the window."""
        chart_view = self.chart_view
        if chart_view.skipped is not None:
            by = self._table_page if share < 0 else -self._table_page
            most = max(0, len(self._series()) - self._table_page)
            return replace(chart_view, skipped=max(0, min(most, chart_view.skipped + by)))
        if chart_view.cursor is not None:
            return replace(chart_view, cursor=self._beside(chart_view.cursor, 1 if share > 0 else -1))
        return replace(chart_view, window=chart_view.window.pan(share, total=self._extent()[0]))

    def crossed(self) -> ChartView:
        """Return the view with the crosshair on the newest step in sight, or without one."""
        if self.chart_view.cursor is not None:
            return replace(self.chart_view, cursor=None)
        newest = self._series().upto(self.chart_view.window.span(self._extent()[0])[1])
        return replace(self.chart_view, skipped=None, cursor=None if newest is None else newest[0])

    def tabled(self) -> ChartView:
        """Return the view as a table, or as a chart again."""
        return replace(self.chart_view, cursor=None, skipped=0 if self.chart_view.skipped is None else None)

    def _beside(self, step: int, cells: int) -> int:
        """Return the measured step that is so many cells beside one, or the next one where that is further."""
        series, (first, last) = self._series(), self.chart_view.window.span(self._extent()[0])
        target = step + cells * max(1, (last - first + 1) // max(1, self.size.width - LABEL - 1))
        if cells > 0:
            index = max(series.index_after(step), series.index_from(target))
            index = min(index, series.index_after(last) - 1)
        else:
            index = min(series.index_from(step), series.index_after(target)) - 1
            index = max(index, series.index_from(first))
        return series.at(index)[0] if 0 <= index < len(series) else step

    def _series(self) -> Series:
        return Series() if self.frame is None else self.curve.series(self.frame.view)

    def _extent(self) -> tuple[int, int]:
        """Return the last step of the run and the newest."""
        if self.frame is None:
            return 1, 0
        newest = self.frame.view.series.last_step or 0
        return max(goes_to(self.frame.view), newest, 1), newest

    # --- rows --------------------------------------------------------------------------------------------------------

    def compose_rows(self, frame: Frame, width: int, height: int) -> list[Row]:
        """Return the title, the chart, the axis and its labels, and what there is to say under them; or the table."""
        series, mean = self.curve.series(frame.view), self._mean(frame)
        title = rule(self._title(frame, mean), width, "" if self.is_small else self._mode(frame))
        if self.chart_view.skipped is not None and not self.is_small:
            self._table_page = max(1, height - 2)
            return [title, *chart_facts.table(frame, self.curve, mean, height - 1, self.chart_view.skipped)]
        foot = [] if self.is_small or height - 4 < _ROWS_WITH_FOOT else self._foot(frame, mean)
        rows, columns = height - 3 - (1 if foot else 0), width - LABEL - 1
        if rows < _FEWEST_ROWS or columns < _FEWEST_COLUMNS:
            return [title]
        span = self.chart_view.window.span(self._extent()[0])
        faint = series if self.curve.is_noisy else self.curve.beside(frame.view)
        lines = {"raw": faint, "mean": mean if self.curve.is_noisy else series, "other": self._other_mean()}
        envelopes = {name: self._envelope(name, line, span, columns) for name, line in lines.items() if line}
        limits = self._fit_limits(envelopes.values())
        if limits is None:
            return [title, *self._waiting(frame, width, height - 1)]
        grids = {name: Dots(columns, rows, is_dashed=name == "other") for name in lines}
        gaps = {name: draw(grids[name], envelope, limits) for name, envelope in envelopes.items()}
        texts = labels(limits, rows)
        body = [
            [label(texts.get(row, "")), *cells(*(grids[name][row] for name in ("raw", "other", "mean")))]
            for row in range(rows)
        ]
        mark(body[-1], gaps.get("raw", set()) | (set() if self.curve.is_noisy else gaps.get("mean", set())))
        line, steps = axis(span, columns)
        self._mark_axis(line, frame, span, columns)
        self._cross([*body, line], span, columns)
        return [title, *body, line, steps, *([foot] if foot else [])]

    def _mean(self, frame: Frame) -> Series | None:
        smoothing = 0.0 if self.is_small or not self.curve.is_noisy else self.chart_view.smoothing
        return self._average("mean", smoothing).of(self.curve.series(frame.view)) if smoothing else None

    def _other_mean(self) -> Series:
        if self.compared is None or self.curve is not LOSS:
            return Series()
        smoothing = self.chart_view.smoothing
        return self._average("other", smoothing).of(self.compared.series) if smoothing else self.compared.series

    def _average(self, name: str, smoothing: float) -> Average:
        known = self._averages.get(name)
        if known is None or known.alpha != 1 - smoothing:
            known = self._averages[name] = Average(1 - smoothing)
        return known

    def _envelope(self, name: str, series: Series, span: tuple[int, int], columns: int) -> Envelope:
        """Return the envelope of a line, two parts to a cell, in which only what is new has to be taken."""
        known = self._envelopes.get(name)
        if known is None or (known.first, known.last, known.columns) != (*span, 2 * columns):
            known = self._envelopes[name] = Envelope(columns=2 * columns, first=span[0], last=span[1])
        return known.take(series)

    def _fit_limits(self, envelopes: Iterable[Envelope]) -> Limits | None:
        extremes = [each for each in (envelope.extremes for envelope in envelopes) if each is not None]
        if extremes:
            log = self.chart_view.log and not self.is_small
            low, high = min(low for low, _ in extremes), max(high for _, high in extremes)
            self._limits = limits_for(low, high, log=log, before=self._limits)
        return self._limits if self._series() else None

    def _title(self, frame: Frame, mean: Series | None) -> list[Span]:
        title: list[Span] = [(self.curve.name, Role.TITLE)]
        if self.chart_view.skipped is not None and not self.is_small:
            return [*title, ("  newest first", Role.DIM)]
        newest = None if mean is None else _newest_number(mean)
        if newest is not None:
            num_steps = round(1 / (1 - self.chart_view.smoothing))
            title += [(f"  ema {num_steps} steps ", Role.DIM), (self.curve.number(newest), Role.MEAN)]
        if self.compared is not None and self.curve is LOSS and not self.is_small:
            ours = frame.view.series if mean is None else mean
            return [*title, *chart_facts.difference(ours, self.compared, self._other_mean())]
        last = self._last(frame)
        return [*title, *(self.curve.facts(frame.view) or last)]

    def _last(self, frame: Frame) -> list[Span]:
        series = self.curve.series(frame.view)
        if self.is_small or not series:
            return []
        return [("  last ", Role.DIM), (self.curve.number(series.at(len(series) - 1)[1]), Role.TEXT)]

    def _mode(self, frame: Frame) -> str:
        if self.chart_view.skipped is not None:
            return frame.keys.fill("{pan_left} older · {pan_right} newer · {table} chart")
        raw = "" if self.chart_view.smoothing else "raw · "
        keys = frame.keys.fill("{log_scale} {smooth} {zoom_in} {zoom_out}")
        return f"{'log' if self.chart_view.log else 'lin'} · {raw}{keys}"

    def _foot(self, frame: Frame, mean: Series | None) -> Row:
        """Return what is known of the step under the crosshair, else what the looks at held-out pictures say."""
        if self.chart_view.cursor is not None:
            return chart_facts.about_step(frame, self.curve, mean, self.chart_view.cursor)
        return chart_facts.learning(frame.view)

    def _waiting(self, frame: Frame, width: int, height: int) -> list[Row]:
        text = "waiting for the first step"
        if frame.view.series:
            text = f"no {self.curve.name} was measured yet"
        elif frame.view.tries_out:
            text = frame.keys.fill("files are tried out, nothing is trained: screen {go_samples} has the pictures")
        elif frame.view.state.is_final:
            text = "no step was made"
        blank: list[Row] = [[] for _ in range(max(0, (height - 1) // 2))]
        return [*blank, [(text.center(width), Role.DIM)]]

    def _mark_axis(self, line: Row, frame: Frame, span: tuple[int, int], columns: int) -> None:
        """Write a letter under each checkpoint, sample and restart; a star where several are."""
        if self.is_small:
            return
        letters: dict[int, str] = {}
        for letter, steps in chart_facts.marks(frame.view):
            for step in steps:
                if span[0] <= step <= span[1]:
                    at = column(step, span, columns)
                    letters[at] = letter if letters.get(at, letter) == letter else "*"
        write(line, letters, Role.KEY)

    def _cross(self, rows: Sequence[Row], span: tuple[int, int], columns: int) -> None:
        """Draw the crosshair where no line is."""
        cursor = self.chart_view.cursor
        if cursor is None or not span[0] <= cursor <= span[1]:
            return
        at = column(cursor, span, columns)
        for row in rows[:-1]:
            if "".join(text for text, _ in row)[LABEL + 1 + at] == " ":
                write(row, {at: "│"}, Role.KEY)
        write(rows[-1], {at: "┴"}, Role.KEY)


def _newest_number(series: Series) -> float | None:
    """Return the newest value that is a number, of the last few."""
    last = range(len(series) - 1, max(-1, len(series) - 1000), -1)
    return next((value for value in (series.at(index)[1] for index in last) if math.isfinite(value)), None)
