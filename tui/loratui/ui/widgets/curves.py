"""The curves of a run that the charts can draw, and what is said of each."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from loratui.domain import formatting
from loratui.domain.run import RunView
from loratui.domain.series import Series
from loratui.ui.text import Role, Span


def _rate(lr: float | None) -> str:
    return formatting.UNKNOWN if lr is None or not math.isfinite(lr) else f"{lr:.1e}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """What a chart draws: a name, where in a run the values are, and how one is written."""

    name: str
    series: Callable[[RunView], Series]
    number: Callable[[float | None], str] = formatting.loss
    is_noisy: bool = True
    """Whether single values say little, so that an average is drawn over them."""
    beside: Callable[[RunView], Series] = lambda _: Series()
    """A second line, drawn fainter: only beside a curve that is not noisy."""
    facts: Callable[[RunView], list[Span]] = lambda _: []
    """What else the title says."""


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


def _validation_facts(view: RunView) -> list[Span]:
    if not view.validations:
        return []
    last = view.validations[-1]
    return [
        ("  held out ", Role.DIM),
        (formatting.loss(last.loss), Role.MEAN),
        ("  trained on ", Role.DIM),
        (formatting.loss(last.train_loss), Role.TEXT),
    ]


def _looks(view: RunView, value: Callable[..., float]) -> Series:
    return Series((look.step for look in view.validations), map(value, view.validations))


LOSS = Curve(name="loss", series=lambda view: view.series, facts=loss_facts)
LR = Curve(name="lr", series=lambda view: view.lr_series, number=_rate, is_noisy=False)
GRAD_NORM = Curve(name="grad norm", series=lambda view: view.grad_norm_series)
VALIDATION = Curve(
    name="validation",
    series=lambda view: _looks(view, lambda look: look.loss),
    beside=lambda view: _looks(view, lambda look: look.train_loss),
    is_noisy=False,
    facts=_validation_facts,
)
DELTA = Curve(name="delta", series=lambda view: view.past.delta, number=formatting.percent, is_noisy=False)
SPEED = Curve(name="it/s", series=lambda view: view.past.it_s, number=formatting.speed)
METRICS = (LOSS, LR, GRAD_NORM, VALIDATION, DELTA, SPEED)
"""What the large chart can show, in the order of its keys."""
