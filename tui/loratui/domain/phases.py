"""What comes before the steps and between them, one phase beside the other: how far, how long, what it cost."""

from dataclasses import dataclass, replace

from loratui.domain import formatting
from loratui_protocol.messages import Setup

PAUSES = {"sample": "SAMPLING", "checkpoint": "CKPT"}
"""Those between two steps, while nothing is learned, and the words that stand for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One phase; ``ts`` are epoch seconds of the box."""

    setup: Setup
    """What was last said of it."""
    started_ts: float
    last_ts: float

    @property
    def is_over(self) -> bool:
        """Return whether it said that it is complete."""
        return 0 < self.setup.total <= self.setup.done

    @property
    def seconds(self) -> float:
        """Return how long it had taken when it last said anything."""
        return max(0.0, self.last_ts - self.started_ts)

    def heard(self, setup: Setup, ts: float) -> "Phase":
        """Return the phase after more was said of it; one that begins anew has its own time."""
        following = replace(self, setup=setup, last_ts=ts)
        is_new = self.is_over and not following.is_over
        return Phase(setup=setup, started_ts=ts, last_ts=ts) if is_new else following


_TITLES = {"judge.draw": "drawing", "judge.likeness": "measuring likeness", "judge.prompts": "measuring prompts"}


def title(phase: str) -> str:
    """Return a phase's name as people read it."""
    return _TITLES.get(phase) or phase.replace("_", " ")


def amount(setup: Setup) -> str:
    """Return how far a phase is, empty where nobody knows."""
    if not setup.total:
        return ""
    if setup.unit == "bytes":
        share = f"{100 * setup.done // setup.total} %"
        return f"{formatting.size(setup.done)} of {formatting.size(setup.total)} ({share})"
    return f"{setup.done} of {setup.total} {setup.unit}".rstrip()


def took(phase: Phase, price_microusd_per_h: int, now_ts: float | None = None) -> str:
    """Return how long a phase took, or has taken by ``now_ts``, and what that cost where it does: "31 s, $0.0042"."""
    passed_s = phase.seconds if now_ts is None else max(phase.seconds, now_ts - phase.started_ts)
    seconds = formatting.duration(passed_s) if passed_s >= 1 else f"{passed_s:.1f} s"
    if not price_microusd_per_h:
        return seconds
    return f"{seconds}, {formatting.money(round(price_microusd_per_h * passed_s / 3600), exact=now_ts is None)}"
