"""The time left before a run stops itself: how urgent it is, and when to ring."""

from enum import StrEnum

BELLS_S = (900.0, 300.0, 60.0)
"""Seconds left at which the user is called, whatever the screen shows."""


class Urgency(StrEnum):
    """How the auto-stop is shown."""

    NONE = "none"
    """No limit is set, or the run is over."""
    CALM = "calm"
    SOON = "soon"
    """Fifteen minutes or less: a warning colour and a mark."""
    URGENT = "urgent"
    """Five minutes or less: reversed."""
    OVER = "over"
    """The moment has come: the run is saving and stopping."""


def urgency(left_s: float | None) -> Urgency:
    """Return how urgent ``left_s`` seconds before auto-stop are."""
    if left_s is None:
        return Urgency.NONE
    if left_s <= 0:
        return Urgency.OVER
    if left_s <= BELLS_S[1]:
        return Urgency.URGENT
    return Urgency.SOON if left_s <= BELLS_S[0] else Urgency.CALM


def bell(before_s: float | None, left_s: float | None) -> float | None:
    """Return the threshold passed between two looks at the time left, the most urgent if several; else None.

    The first look (``before_s`` None) never rings: attaching to a run late in its life is no event.
    """
    if before_s is None or left_s is None:
        return None
    passed = [threshold for threshold in BELLS_S if left_s <= threshold < before_s]
    return min(passed, default=None)
