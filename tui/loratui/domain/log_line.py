"""A line of a run's log."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A line of the run's log; ``ts`` is epoch seconds, ``level`` a name from ``logging``."""

    ts: float
    level: str
    text: str
