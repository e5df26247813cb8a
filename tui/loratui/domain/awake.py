"""Whether this machine slept, or this process was suspended, since somebody last looked at the clocks."""

MAX_GAP_S = 5.0


class Awake:
    """Looks at two clocks: one that goes on in sleep, and a monotonic one, which on Linux and macOS does not.

    Where the monotonic clock goes on as well, and where only this process stood still, the gap between looks tells.
    """

    def __init__(self, wall_s: float, monotonic_s: float) -> None:
        self._wall_s = wall_s
        self._monotonic_s = monotonic_s

    def has_slept(self, wall_s: float, monotonic_s: float, expected_s: float) -> bool:
        """Return whether much more passed since the last look than the ``expected_s`` between two looks."""
        wall_gap_s, monotonic_gap_s = wall_s - self._wall_s, monotonic_s - self._monotonic_s
        self._wall_s, self._monotonic_s = wall_s, monotonic_s
        # A wall clock that is set, forward or back, looks like sleep: connecting again costs less than missing one.
        return abs(wall_gap_s - monotonic_gap_s) > MAX_GAP_S or monotonic_gap_s - expected_s > MAX_GAP_S
