"""What the large chart says in words and numbers: about the step under the crosshair, as a table, and the verdict."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from loratui.domain import formatting
from loratui.domain.early_stop import course_of, early_stop, said_of
from loratui.domain.run import RunView
from loratui.domain.series import Series
from loratui.ui.frame import Frame
from loratui.ui.text import Role, Row, Span, cut
from loratui.ui.widgets.curves import LOSS, LR, Curve

_NAME = 20


@dataclass(frozen=True, slots=True)
class Compared:
    """Another run, whose loss is drawn beside that of the open one."""

    name: str
    series: Series


def about_step(frame: Frame, curve: Curve, mean: Series | None, step: int) -> Row:
    """Return what is known of a step, the most important first; at its end the nearest marks of the axis."""
    view = frame.view
    row: Row = [(f" @{step}", Role.KEY)]
    shown = [curve] if curve is LOSS else [curve, LOSS]
    for each in dict.fromkeys((*shown, LR)):
        row += _fact(each.name, each.number(_value(each.series(view), step)))
        if each is curve and each.is_noisy and mean is not None:
            row += _fact("ema", each.number(_value(mean, step)))
    epoch = _value(view.past.epoch, step)
    row += _fact("epoch", formatting.UNKNOWN if epoch is None else f"{epoch:.0f}")
    row.append((f"  {time_of_step(frame, step)}", Role.TEXT))
    for name, steps in (("c", _checkpoints(view)), ("s", _samples(view))):
        if steps:
            row += _fact(name, str(min(steps, key=lambda other: abs(other - step))))
    return row


def time_of_step(frame: Frame, step: int) -> str:
    """Return when a step was made, by the clock on the wall."""
    ts = _value(frame.view.past.ts, step)
    if ts is None:
        return formatting.UNKNOWN
    ago_s = frame.now_s - (ts + frame.view.clock_offset_s)
    return formatting.time_of_day(frame.wall.timestamp() - ago_s, frame.wall.tzinfo)


def table(frame: Frame, curve: Curve, mean: Series | None, height: int, skipped: int) -> list[Row]:
    """Return a curve as numbers, the newest step first; ``skipped`` newest ones are left out."""
    series = curve.series(frame.view)
    if not series:
        return [[(" no value yet", Role.DIM)]]
    smoothed = f"{'smoothed':>12}" if mean is not None else ""
    rows: list[Row] = [[(f"{'step':>9}{curve.name:>14}{smoothed}  time", Role.DIM)]]
    newest = len(series) - 1 - skipped
    for index in range(newest, max(-1, newest - height + 1), -1):
        step, value = series.at(index)
        average = "" if mean is None else f"{curve.number(_value(mean, step)):>12}"
        text = f"{step:>9}{curve.number(value):>14}{average}  {time_of_step(frame, step)}"
        rows.append([(text, Role.TEXT)])
    return rows


def learning(view: RunView) -> Row:
    """Return what is to be said of the training by pictures that are not trained on, and by other signs."""
    stop = early_stop(course_of(view))
    if not view.validations and stop is None:
        return []
    said = said_of(view.validations, stop)
    return [(f" {said.head}", Role.STRONG), (f": {said.reasons}", Role.TEXT)]


def difference(ours: Series, other: Compared, theirs: Series) -> list[Span]:
    """Return how far apart two runs are at the last step that both have."""
    name = cut(other.name, _NAME)
    if ours.last_step is None or theirs.last_step is None:
        return [(f"  {name} has no loss to compare", Role.DIM)]
    step = min(ours.last_step, theirs.last_step)
    here, there = _value(ours, step), _value(theirs, step)
    if here is None or there is None:
        return [(f"  no step in common with {name}", Role.DIM)]
    apart = here - there
    how = "lower" if apart < 0 else "higher"
    return [(f"  {formatting.loss(abs(apart))} {how}", Role.STRONG), (f" than {name} @{step}", Role.OTHER)]


def marks(view: RunView) -> Iterable[tuple[str, Sequence[int]]]:
    """Return what is marked on the axis: a letter, and the steps it stands for."""
    return ("c", _checkpoints(view)), ("s", _samples(view)), ("r", view.past.restarts)


def _checkpoints(view: RunView) -> list[int]:
    return [each.step for each in view.checkpoints]


def _samples(view: RunView) -> list[int]:
    return [each.step for each in view.samples if each.weight]


def _fact(name: str, value: str) -> Row:
    return [(f"  {name} ", Role.DIM), (value, Role.TEXT)]


def _value(series: Series, step: int) -> float | None:
    found = series.upto(step)
    return None if found is None else found[1]
