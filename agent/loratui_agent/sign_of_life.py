"""Tells a process that hangs from one that works: it touches a file from its main loop, another looks at the file.

Only this process's own clock counts, so no clock that is set can make anyone look dead. Standard library only.
"""

import time
from pathlib import Path

BEAT_S = 2.0
_OWN_GAP_S = 10.0
"""If the watcher itself comes so much too late, everything was stopped: the watched one gets its time again."""


class SignOfLife:
    """The file ``path`` as its watcher sees it, who looks every ``look_every_s`` seconds."""

    def __init__(self, path: Path, look_every_s: float) -> None:
        self._path = path
        self._max_gap_s = look_every_s + _OWN_GAP_S
        self._seen = 0
        self._changed_s = self._looked_s = time.monotonic()

    def silent_s(self) -> float:
        """Return the seconds since the file was last touched."""
        now_s = time.monotonic()
        touched = self._touched()
        if touched != self._seen or now_s - self._looked_s > self._max_gap_s:
            self._seen, self._changed_s = touched, now_s
        self._looked_s = now_s
        return now_s - self._changed_s

    def reset(self) -> float:
        """Count from now on; return 0."""
        self._changed_s = self._looked_s = time.monotonic()
        return 0.0

    def _touched(self) -> int:
        try:
            return self._path.stat().st_mtime_ns
        except OSError:
            return 0
