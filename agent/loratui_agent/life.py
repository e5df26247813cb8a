"""Shows the reaper that the agent's loop turns, also while it waits for a slow disk.

A thread of its own touches the file: the loop can't while a sync holds it up.
"""

import asyncio
import contextlib
import threading
import time
from pathlib import Path

from loratui_agent.disk_wait import waited_s
from loratui_agent.sign_of_life import BEAT_S

_MISSED_TURNS = 3
DISK_PATIENCE_S = 600.0
"""A disk that takes longer has taken the agent with it."""


class Life:
    """The life of the loop that runs ``turn``; ``path`` is touched every ``beat_s`` seconds inside the block."""

    def __init__(self, path: Path, beat_s: float = BEAT_S) -> None:
        self._path = path
        self._beat_s = beat_s
        self._turned_s = time.monotonic()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="life", daemon=True)

    def __enter__(self) -> "Life":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Not waited for: it may be the one that a slow disk holds up.
        self._ending.set()

    async def turn(self) -> None:
        """Show that the loop turns, forever."""
        while True:
            self._turned_s = time.monotonic()
            await asyncio.sleep(self._beat_s)

    def _beat(self) -> None:
        while True:
            if self._is_well():
                with contextlib.suppress(OSError):
                    self._path.touch()
            if self._ending.wait(self._beat_s):
                return

    def _is_well(self) -> bool:
        waited = waited_s()
        if waited is not None:
            return waited < DISK_PATIENCE_S
        return time.monotonic() - self._turned_s < _MISSED_TURNS * self._beat_s
