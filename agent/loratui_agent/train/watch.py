"""Compares a run with what was measured before it and at its first steps, and names what makes it slower.

Pure rules: the loop brings the figures. Each thing is said once, with its evidence, what to do, and what it costs.
"""

import statistics
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

FIRST_STEPS = 20
"""A run's own pace; the very first step warms up and does not count."""
_SLOWER = 1.5
"""Times the pace that was expected: below it is what a busy machine does now and then."""
_DATA_WAIT = 0.15
_FULL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFacts:
    """What a step took. ``waited_s`` of it the device had nothing to do; None where nobody knows."""

    step: int
    duration_s: float
    num_pictures: int
    waited_s: float | None = None
    reserved_bytes: int | None = None


@dataclass(slots=True)
class Watch:
    """Watches the pace of one attempt."""

    num_steps: int
    measured_picture_s: float | None
    """Seconds a picture in the largest micro-batch, as measured before the first step; None: nothing was."""
    total_bytes: int | None = None
    """Of the device's memory; None: unknown."""
    microusd_per_h: int = 0
    """What the machine costs; 0: nothing."""
    _first_s: list[float] = field(default_factory=list)
    _last_s: deque[float] = field(default_factory=lambda: deque(maxlen=FIRST_STEPS))
    _waits: deque[float] = field(default_factory=lambda: deque(maxlen=FIRST_STEPS))
    _num_taken: int = 0
    _said: set[str] = field(default_factory=set)

    def take(self, facts: StepFacts) -> list[tuple[str, str]]:
        """Return (code, sentence) of what is noticed with this step and was not said before."""
        self._num_taken += 1
        if self._num_taken == 1:
            return []
        picture_s = facts.duration_s / facts.num_pictures
        self._last_s.append(picture_s)
        if facts.waited_s is not None:
            self._waits.append(facts.waited_s / facts.duration_s)
        if len(self._first_s) < FIRST_STEPS:
            self._first_s.append(picture_s)
        if len(self._last_s) < FIRST_STEPS:
            return []
        found = [each for each in self._findings(facts) if each[0] not in self._said]
        self._said.update(code for code, _ in found)
        return found

    def _findings(self, facts: StepFacts) -> Iterator[tuple[str, str]]:
        now_s, first_s = statistics.median(self._last_s), statistics.median(self._first_s)
        left = (self.num_steps - facts.step) * facts.num_pictures
        wait = statistics.median(self._waits) if self._waits else 0.0
        if wait > _DATA_WAIT:
            yield (
                "pace.data_wait",
                f"the GPU waits for {wait:.0%} of each step, {self._price(wait * now_s * left)} until the end: "
                "the machine's processor is slow or busy and takes so long to draw each batch. A larger "
                "train_batch_size makes less of it; on another machine loratui resume goes on from the last state",
            )
        expected_s = first_s if self.measured_picture_s is None else min(first_s, self.measured_picture_s)
        if now_s <= expected_s * _SLOWER:
            return
        slower = f"a picture takes {now_s:.3g} s instead of {expected_s:.3g} s"
        price = f"{self._price((now_s - expected_s) * left)} until the end"
        is_full = (
            self.total_bytes is not None
            and facts.reserved_bytes is not None
            and facts.reserved_bytes > self.total_bytes * _FULL
        )
        if is_full:
            yield (
                "pace.spill",
                f"{slower}, and the GPU's memory is full: it may spill into the host's, {price}. Lower "
                "train_batch_size, or set gradient_checkpointing",
            )
        elif first_s > expected_s * _SLOWER:
            yield (
                "pace.slow_host",
                f"{slower} as measured before the first step, {price}: the machine's processor is slow or busy. "
                "Another machine would be faster; loratui resume goes on there from the last state",
            )
        else:
            yield (
                "pace.slower",
                f"{slower} as at first, {price}: the machine is shared, hot or throttled. Another machine may "
                "be faster; loratui resume goes on there from the last state",
            )

    def _price(self, duration_s: float) -> str:
        """Return what so many seconds are, in time and in money where the machine costs any."""
        time = f"≈{duration_s / 60:.0f} min" if duration_s >= 60 else f"≈{duration_s:.0f} s"
        dollars = duration_s / 3600 * self.microusd_per_h / 1e6
        return f"{time} and ≈${dollars:.2f}" if self.microusd_per_h else time
