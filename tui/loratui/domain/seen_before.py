"""What earlier runs have shown of a duration or a speed, and how far the next one may be off. Pure.

One run tells little, and every further one narrows the range: what is added to the slowest that was seen goes down with
their number. Of ten or more it is the slowest but one in ten, so that one freak does not count for ever.
"""

import math
from collections.abc import Sequence

MOST_RUNS = 20
"""So many of the newest are looked at: hosts, prices and our own programs change."""


def slow_of(seen: Sequence[float], margin: float) -> float:
    """Return what nine of ten are to stay below; ``seen`` are durations, or times a unit, at least one.

    ``margin`` is by how much one alone may be too good: 1.0 is twice as slow.
    """
    ordered = sorted(seen)
    return ordered[math.ceil(0.9 * len(ordered)) - 1] * (1 + margin / len(ordered))


def told_by(run: str, num_runs: int) -> str:
    """Return whose figure it is; ``run`` is the newest of them."""
    before = "" if num_runs < 2 else f" and {num_runs - 1} before it"
    return f"measured in run {run}{before}"
