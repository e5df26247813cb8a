"""How much may be on its way at once: no more than arrives within seconds, so that others on the line are heard too.

A slow line with megabytes queued before it answers nothing for half a minute, and looks dead to every keepalive.
"""

import collections

FIRST_BYTES = 512 << 10
LEAST_BYTES = 64 << 10
MOST_BYTES = 64 << 20
_LATE_S = 4.0
_EARLY_S = 1.5
_AIM_S = 3.0


class Pace:
    """The bytes on their way, and how many there may be; grows while they arrive soon, shrinks when they are late."""

    def __init__(self) -> None:
        """Begin with nothing sent."""
        self.window = FIRST_BYTES
        self._sent = 0
        self._arrived = 0
        self._on_the_way: collections.deque[tuple[int, int, float]] = collections.deque()
        self._chosen_at = 0
        self._was_full = False

    @property
    def may_send(self) -> bool:
        """Return whether there is room for more."""
        return self._sent - self._arrived < self.window

    def sent(self, num_bytes: int, now_s: float) -> None:
        """Take note of bytes that were sent."""
        self._sent += num_bytes
        self._on_the_way.append((self._sent, self._sent - self._arrived, now_s))
        self._was_full |= not self.may_send

    def arrived(self, total: int, now_s: float) -> None:
        """Take note that the other end has this many bytes in all."""
        self._arrived = max(self._arrived, total)
        last = None
        while self._on_the_way and self._on_the_way[0][0] <= total:
            last = self._on_the_way.popleft()
        if last is None:
            return
        mark, ahead, sent_s = last
        took_s = now_s - sent_s
        if took_s > _LATE_S:
            # What was ahead of it and itself took so long: as much of it as arrives in the time that is aimed at.
            self._choose(min(self.window, round(ahead * _AIM_S / took_s)))
        elif took_s < _EARLY_S and self._was_full and mark > self._chosen_at:
            # Sent since the last choice: its time tells of the present window. Only what is used up is enlarged.
            self._choose(self.window * 2)

    def _choose(self, window: int) -> None:
        self.window = min(MOST_BYTES, max(LEAST_BYTES, window))
        self._chosen_at = self._sent
        self._was_full = False
