"""How far to ask ahead of what has arrived, so that a far host is kept busy and a slow one gets no queue. Pure.

On a far host every byte that is not asked for ahead costs a round trip. On a slow one everything that is asked for
waits in line, and what happens in the run waits behind it. So the window grows while answers come as fast as they can,
and shrinks when they start to queue.
"""

CHUNK_BYTES = 256 << 10
MAX_WINDOW_BYTES = 32 << 20
MAX_SPAN_BYTES = 1 << 20
_SPANS = 16
_FIRST_WINDOW_BYTES = 4 << 20
_MIN_CHUNK_BYTES = 16 << 10
_QUEUE_S = 0.25
"""How much longer than the quickest an answer may take: what waits in line, and holds up what comes behind it."""
_CHUNKS_PER_S = 4
PACE_S = 60.0
LEAST_BYTES = 64 << 10
"""In ``PACE_S``: a way that brings less is as good as dead, and whoever keeps it up holds up all other files."""


class ReadAhead:
    """The window of one way to a host, for one file after the other; moments are monotonic seconds.

    ``max_bytes_per_s`` 0: as fast as it goes.
    """

    def __init__(self, max_bytes_per_s: float = 0.0) -> None:
        self.max_bytes_per_s = max_bytes_per_s
        self._window = float(_FIRST_WINDOW_BYTES)
        self._quickest_s = float("inf")
        self._next_ask_s = 0.0
        self._shrunk_s = float("-inf")

    @property
    def chunk_bytes(self) -> int:
        """Return how much to ask for at once: less under a cap, lest it arrives in bursts."""
        if not self.max_bytes_per_s:
            return CHUNK_BYTES
        return int(min(CHUNK_BYTES, max(_MIN_CHUNK_BYTES, self.max_bytes_per_s / _CHUNKS_PER_S)))

    @property
    def span_bytes(self) -> int:
        """Return how much to ask for at once where an answer has no size limit: on a fast way every question costs."""
        return max(self.chunk_bytes, min(MAX_SPAN_BYTES, int(self._window / _SPANS)) if not self.max_bytes_per_s else 0)

    def may_ask(self, in_flight: int) -> bool:
        """Return whether more may be asked for while ``in_flight`` bytes have yet to arrive."""
        return in_flight + self.chunk_bytes <= self._window

    def wait_s(self, now_s: float) -> float:
        """Return how long the cap has the next question wait."""
        return max(0.0, self._next_ask_s - now_s)

    def asked(self, num_bytes: int, now_s: float) -> None:
        """Note a question."""
        if self.max_bytes_per_s:
            # What was not used before is not saved up: that would be a burst.
            self._next_ask_s = max(self._next_ask_s, now_s) + num_bytes / self.max_bytes_per_s

    def arrived(self, num_bytes: int, asked_s: float, now_s: float) -> None:
        """Note the answer to a question that was asked at ``asked_s``."""
        took_s = now_s - asked_s
        self._quickest_s = min(self._quickest_s, took_s)
        if took_s <= self._quickest_s + _QUEUE_S:
            self._window = min(MAX_WINDOW_BYTES, self._window + num_bytes)
        elif asked_s >= self._shrunk_s:
            # Once for what was under way together: one stall is one sign, however many answers it delays.
            self._window = max(CHUNK_BYTES, self._window / 2)
            self._shrunk_s = now_s


class Pace:
    """How a file comes: ``here`` bytes at a moment, in monotonic seconds."""

    def __init__(self, here: int, now_s: float, max_bytes_per_s: float = 0.0) -> None:
        self._here = here
        self._since_s = now_s
        # A cap of the user's own may be lower. Half of it: questions come in steps.
        self._least = min(LEAST_BYTES, max_bytes_per_s * PACE_S / 2) if max_bytes_per_s else LEAST_BYTES

    def is_lost(self, here: int, now_s: float) -> bool:
        """Return whether too little has come for too long."""
        if here - self._here >= self._least:
            self._here, self._since_s = here, now_s
        return now_s - self._since_s >= PACE_S
