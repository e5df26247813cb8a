"""What pictures that are not trained on say of a training: a plain verdict, its evidence, and no more. Pure.

Everything is relative to the looks before: how large an error is says nothing by itself.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from loratui_protocol.messages import Artifact, ArtifactKind, Validation

LEAST_LOOKS = 4
"""Fewer are no curve."""
_RECENT = 3
_NOTHING = 0.005
"""Of the first error: less than half a percent over the recent looks is no change."""
_MUCH = 0.10
_LORAS = (ArtifactKind.LORA, ArtifactKind.CHECKPOINT_LORA)


class Trend(StrEnum):
    """What the looks so far have in common."""

    TOO_EARLY = "too early to say"
    LEARNING = "still learning"
    FLAT = "flat"
    OVERFITTING = "overfitting"
    RATE_TOO_HIGH = "learning rate too high"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A trend, and in ``evidence`` the numbers that it rests on."""

    trend: Trend
    evidence: str

    @property
    def sentence(self) -> str:
        """Return both."""
        return f"{self.trend}: {self.evidence}"


def verdict(looks: Sequence[Validation]) -> Verdict:
    """Return what the looks say, the first one before or early in the training."""
    if not looks:
        return Verdict(Trend.TOO_EARLY, "no pictures are held out")
    last, first = looks[-1], looks[0]
    if not math.isfinite(last.loss) or not math.isfinite(last.train_loss):
        return Verdict(Trend.RATE_TOO_HIGH, f"at step {last.step} the error is not a number")
    if len(looks) < LEAST_LOOKS or not first.loss or not first.train_loss:
        return Verdict(Trend.TOO_EARLY, f"{len(looks)} of {LEAST_LOOKS} looks so far")
    held, trained = _change(first.loss, last.loss), _change(first.train_loss, last.train_loss)
    evidence = (
        f"held-out error {_percent(held)} since step {first.step}, that of pictures it trains on {_percent(trained)}"
    )
    best = min(looks, key=lambda look: look.loss)
    since_best = _change(best.loss, last.loss)
    before = looks[-_RECENT - 1]
    recent_held, recent_trained = _change(before.loss, last.loss), _change(before.train_loss, last.train_loss)
    trained_since = _change(best.train_loss, last.train_loss)
    turned = f"it was lowest at step {best.step}, {_percent(since_best)} since"
    if min(held, trained) > _MUCH:
        return Verdict(Trend.RATE_TOO_HIGH, evidence)
    if min(since_best, trained_since) > _MUCH:
        return Verdict(Trend.RATE_TOO_HIGH, f"{evidence}; {turned}, the other {_percent(trained_since)}")
    is_past_best = best is not last and looks.index(best) <= len(looks) - _RECENT
    if is_past_best and since_best > 2 * _NOTHING and trained_since < _NOTHING:
        return Verdict(Trend.OVERFITTING, f"{evidence}; {turned}")
    if abs(recent_held) < _NOTHING and abs(recent_trained) < _NOTHING:
        return Verdict(Trend.FLAT, f"{evidence}; hardly any change since step {before.step}")
    return Verdict(Trend.LEARNING, evidence)


def judged_files(files: Iterable[Artifact], looks: Sequence[Validation]) -> list[tuple[Artifact, Validation]]:
    """Return the LoRA files that were looked at, each with its look, the one with the lowest error first."""
    by_step = {look.step: look for look in looks if math.isfinite(look.loss)}
    judged = [(file, by_step[file.step]) for file in files if file.kind in _LORAS and file.step in by_step]
    return sorted(judged, key=lambda each: (each[1].loss, each[0].step))


def _change(before: float, now: float) -> float:
    return now / before - 1 if before else 0.0


def _percent(change: float) -> str:
    return f"{'down' if change < 0 else 'up'} {100 * abs(change):.1f} %"
