"""The rows of a chart: labels and axis around cells of dots, and what is written into them."""

import math
from collections.abc import Iterable
from itertools import pairwise

from loratui.ui.text import Role, Row, Span
from loratui.ui.widgets.chart_maths import Limits, nice_step

LABEL = 6
"""Cells of a y label; the axis follows."""
_MOST_TICKS = 8
_MOST_DECIMALS = 3


def labels(limits: Limits, rows: int) -> dict[int, str]:
    """Return the labels of the y axis by chart row."""
    ticks = limits.ticks(min(_MOST_TICKS, max(2, rows // 2)))
    alone = abs(ticks[0]) if ticks else 0.0
    step = min((after - before for before, after in pairwise(ticks)), default=alone or 1.0)
    decimals = max(0, math.ceil(-math.log10(step) - 1e-9))

    def text(tick: float) -> str:
        if tick and (decimals > _MOST_DECIMALS or abs(tick) >= 10.0 ** (LABEL - 1)):
            return f"{tick:.0e}".replace("e-0", "e-").replace("e+0", "e")
        return f"{tick:.{min(decimals, _MOST_DECIMALS)}f}"

    return {rows - 1 - round(limits.place(tick) * (rows - 1)): text(tick) for tick in ticks}


def label(text: str) -> Span:
    """Return the cells before a row of dots."""
    return f"{text[:LABEL]:>{LABEL}}{'┤' if text else '│'}", Role.DIM


def cells(raw: list[int], other: list[int], mean: list[int]) -> list[Span]:
    """Return one row of the chart; a cell that several lines pass shows only the one that says most."""
    spans: list[Span] = []
    text, role = "", Role.RAW
    for below, beside, above in zip(raw, other, mean, strict=True):
        dots = above or beside or below
        wanted = Role.MEAN if above else Role.OTHER if beside else Role.RAW if below else role
        if wanted is not role and text:
            spans.append((text, role))
            text = ""
        role = wanted
        text += chr(0x2800 + dots) if dots else " "
    return [*spans, (text, role)]


def mark(row: Row, gaps: set[int]) -> None:
    """Write an x where a value was no number."""
    write(row, dict.fromkeys(gaps, "x"), Role.MARK)


def write(row: Row, chars: dict[int, str], role: Role) -> None:
    """Write characters into cells of the chart; the row's first cells are the label and the axis."""
    if not chars:
        return
    spans = [(char, each) for text, each in row for char in text]
    for at, char in chars.items():
        spans[LABEL + 1 + at] = (char, role)
    row[:] = _joined(spans)


def _joined(spans: Iterable[Span]) -> Row:
    row: Row = []
    for char, role in spans:
        if row and row[-1][1] is role:
            row[-1] = (row[-1][0] + char, role)
        else:
            row.append((char, role))
    return row


def column(step: int, span: tuple[int, int], columns: int) -> int:
    """Return the cell that a step is drawn in."""
    first, last = span
    return min(int((step - first) / ((last - first + 1) / columns)), columns - 1)


def axis(span: tuple[int, int], columns: int) -> list[Row]:
    """Return the x axis and its labels."""
    first, last = span
    step = max(1, round(nice_step(last - first, max(2, columns // 14))))
    line, labels = ["─"] * columns, [" "] * columns
    tick = -(-first // step) * step
    while tick <= last:
        at = round((tick - first) / (last - first) * (columns - 1))
        line[at] = "┬"
        text = str(tick)
        start = min(max(0, at - len(text) // 2), columns - len(text))
        if set(labels[max(0, start - 1) : start + len(text)]) <= {" "}:
            labels[start : start + len(text)] = text
        tick += step
    return [
        [(" " * LABEL + "└" + "".join(line), Role.DIM)],
        [(" " * (LABEL + 1) + "".join(labels), Role.DIM)],
    ]
