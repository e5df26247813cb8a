"""Whether a training that goes on is still worth its time: two of three signals, twice in a row, and what it saves.

Pure. It is advice: nothing is stopped by it. ``docs/judging.md`` explains the signals.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from loratui.domain import formatting
from loratui.domain.learning import Trend, verdict
from loratui.domain.remedies import lost
from loratui.domain.run import RunView
from loratui_protocol.judging.advice import FIRST, Pair, pairs_of
from loratui_protocol.messages import Metrics, Scores, Validation

LEAST_EXPOSURES = 40.0
"""Times that each picture is to be seen before anything is advised."""
PAST = "past its best by two signs"
_AGREEING = 2
_AS_FAST = 0.95
"""Of the pace before: what grows more slowly is levelling off."""
_GROWTH = 0.05
"""A LoRA that grew by less since the size before is levelling off, however even its pace is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What is known of a training on its way."""

    looks: Sequence[Validation] = ()
    sizes: Sequence[tuple[int, float]] = ()
    """Steps, and how large the LoRA was beside the weights it changes."""
    scores: Sequence[Scores] = ()
    exposures_a_step: float | None = None
    """Of each picture; None: not known, and then nothing is advised."""
    left_s: float | None = None
    """Until it ends by itself; None or 0: it is not on its way."""
    price_microusd_per_h: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlyStop:
    """The advice to stop: the signals that agree, each as a sentence, and what it saves from now on."""

    signals: tuple[str, ...]
    saves_s: float
    saves_microusd: int

    @property
    def sentence(self) -> str:
        """Return it all."""
        return f"{self.saving}: {'; '.join(self.signals)}"

    @property
    def saving(self) -> str:
        """Return what it saves."""
        money = f" and {formatting.money(self.saves_microusd, exact=False)}" if self.saves_microusd else ""
        return f"stopping now would save {formatting.duration(self.saves_s, exact=False)}{money}"


@dataclass(frozen=True, slots=True)
class Said:
    """What there is to say of a training in one breath: a few words, then what they rest on."""

    head: str
    reasons: str

    @property
    def sentence(self) -> str:
        """Return both."""
        return f"{self.head}: {self.reasons}"


def said_of(looks: Sequence[Validation], stop: EarlyStop | None) -> Said:
    """Return the verdict of the held-out pictures, and the advice to stop with it, so that neither gainsays the other.

    Where two other signals agree while the held-out pictures see no end yet, that is said as the exception that it is.
    """
    said = verdict(looks)
    if stop is None:
        return Said(said.trend, said.evidence)
    others = [signal for signal in stop.signals if signal != said.sentence]
    match said.trend:
        case Trend.OVERFITTING | Trend.RATE_TOO_HIGH | Trend.FLAT:
            head, reasons = str(said.trend), [said.evidence, *others]
        case Trend.LEARNING:
            head, reasons = PAST, [*others, f"the held-out error alone says {said.trend}, {said.evidence}"]
        case Trend.TOO_EARLY:
            # Nothing of the held-out pictures speaks against it.
            head, reasons = PAST, others
    return Said(f"{head}, {stop.saving}", "; ".join(reasons))


def course_of(view: RunView) -> Course:
    """Return what a run's view knows; one that is over has nothing left."""
    return Course(
        looks=view.validations,
        sizes=[view.past.delta.at(index) for index in range(len(view.past.delta))],
        scores=view.scores,
        exposures_a_step=exposures_a_step(view.metrics),
        left_s=None if view.state.is_final else view.eta_s,
        price_microusd_per_h=view.price_microusd_per_h,
    )


def exposures_a_step(metrics: Metrics | None) -> float | None:
    """Return how often a step shows each picture."""
    if metrics is None or metrics.exposures_per_picture is None or not metrics.step:
        return None
    return metrics.exposures_per_picture / metrics.step


def early_stop(course: Course) -> EarlyStop | None:
    """Return the advice to stop; None: too early, too few signals agree, or there is nothing to stop."""
    if not course.left_s or not math.isfinite(course.left_s) or course.exposures_a_step is None:
        return None
    steps = sorted({look.step for look in course.looks} | {each.step for each in course.scores if each.weight})
    last = [step for step in steps if step * course.exposures_a_step >= LEAST_EXPOSURES][-2:]
    if len(last) < 2 or last != steps[-2:]:
        return None
    before, now = (list(_signals(course, step)) for step in last)
    if len(before) < _AGREEING or len(now) < _AGREEING:
        return None
    saves = round(course.left_s / 3600 * course.price_microusd_per_h)
    return EarlyStop(signals=tuple(now), saves_s=course.left_s, saves_microusd=saves)


def _signals(course: Course, step: int) -> Iterator[str]:
    """Yield the signals as they were at a step."""
    said = verdict([look for look in course.looks if look.step <= step])
    if said.trend is Trend.OVERFITTING:
        yield said.sentence
    sizes = [each for each in course.sizes if each[0] <= step][-3:]
    if len(sizes) == 3 and _grows(*sizes):
        measured, size = sizes[-1]
        yield f"the LoRA grows as fast as before, {formatting.percent(size)} of the weights at step {measured}"
    yield from _worse([each for each in course.scores if each.step <= step])


def _grows(first: tuple[int, float], second: tuple[int, float], third: tuple[int, float]) -> bool:
    (a, small), (b, middle), (c, large) = first, second, third
    if not a < b < c or not math.isfinite(small + middle + large):
        return False
    return large > (1 + _GROWTH) * middle and (large - middle) / (c - b) >= _AS_FAST * (middle - small) / (b - a)


def _worse(scores: Sequence[Scores]) -> Iterator[str]:
    """Yield whether the newest file is no better than an earlier one, and worse in something."""
    pairs = sorted((pair for pair in pairs_of(scores) if pair.step), key=lambda pair: pair.step)
    first = next((name for name in FIRST if any(name in pair.means for pair in pairs)), None)
    if first is None:
        return
    newest = [pair for pair in pairs if pair.step == pairs[-1].step]
    if all(_is_past(pair, pairs, first) for pair in newest):
        yield f"{newest[-1].name} is no better than an earlier file, and clearly worse in something"


def _is_past(pair: Pair, pairs: Sequence[Pair], first: str) -> bool:
    earlier = [each for each in pairs if each.step < pair.step and each.weight == pair.weight]
    return bool(lost(pair, earlier, first, (first, "prompt", "copying"))[1])
