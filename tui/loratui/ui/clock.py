"""The one place where the interface asks what time it is."""

import time
from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time; tests bring their own."""

    def monotonic_s(self) -> float:
        """Return seconds that never jump, comparable with the times in a ``RunView``."""
        ...

    def local(self) -> datetime:
        """Return the time on the wall, with its zone."""
        ...


class SystemClock:
    """The clock of this machine."""

    def monotonic_s(self) -> float:
        """Return ``time.monotonic()``."""
        return time.monotonic()

    def local(self) -> datetime:
        """Return now, in the local zone."""
        return datetime.now().astimezone()
