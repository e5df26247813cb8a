"""The time of day as money counts it: while a process runs it never goes back, however the clock is set.

Set back, a clock would take time from what a rental has cost, and give it to its deadline. Set forward it looks like a
laptop that slept, and is believed.
"""

import time

# It counts on in sleep. macOS has none of that name; its monotonic one does. Windows has neither.
_CLOCK_ID: int | None = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


class SteadyClock:
    """Epoch seconds that go on at least as fast as a clock does that nobody sets."""

    def __init__(self) -> None:
        self._ts, self._at_s = time.time(), unset_s()

    def now_ts(self) -> float:
        """Return the time."""
        now_s = unset_s()
        self._ts, self._at_s = max(time.time(), self._ts + now_s - self._at_s), now_s
        return self._ts


def unset_s() -> float:
    """Return seconds of a clock that nobody sets; where the system has one that does, it counts on in sleep."""
    return time.monotonic() if _CLOCK_ID is None else time.clock_gettime(_CLOCK_ID)


_CLOCK = SteadyClock()


def steady_ts() -> float:
    """Return epoch seconds."""
    return _CLOCK.now_ts()
