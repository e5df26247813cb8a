"""Moments that two processes can tell the distance between, across restarts and clocks that are set.

The clock that counts since the machine's boot, its sleep included, can't be set by anyone. Only across a boot the wall
clock is needed. Standard library only.
"""

import functools
import time
from dataclasses import dataclass

from loratui_agent.process import boot_mark

# macOS has no clock of that name; its monotonic one counts on in sleep.
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A moment on this machine: epoch seconds, seconds since the boot, and which boot that was."""

    wall_ts: float
    boot_s: float
    boot: str

    def seconds_until(self, later: "Moment") -> float:
        """Return the seconds from here to ``later``, never below zero.

        Across a boot that is what the wall clock says, and no less than the time since that boot.
        """
        if self.boot == later.boot and later.boot_s >= self.boot_s:
            return later.boot_s - self.boot_s
        wall_s = max(0.0, later.wall_ts - self.wall_ts)
        return max(wall_s, later.boot_s) if self.boot and self.boot != later.boot else wall_s


def now() -> Moment:
    """Return this moment."""
    return Moment(wall_ts=time.time(), boot_s=time.clock_gettime(_BOOT_CLOCK), boot=_boot())


@functools.cache
def _boot() -> str:
    return boot_mark().hex()
