"""What sending files takes: the speed that was measured, the minutes and the money, and whether that is too much."""

import collections
from dataclasses import dataclass
from enum import StrEnum

from loratui.domain.formatting import duration, money, size

_S_PER_H = 3600
_WINDOW_S = 15.0
_FAR_UNDER = 4
_WORTH_MOVING_S = 180.0
"""Another machine takes about so long until it is as far."""
_MEASURED_S = 4.0
"""A shorter look says more about buffers on the way than about the line."""

ARRIVED_BYTES = 2 << 20
"""So much has to have come before its speed says something about the line."""


class Worth(StrEnum):
    """What to do about a transfer."""

    FINE = "fine"
    WARN = "warn"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferLimits:
    """What an upload may take. A box that costs nothing is never refused for money."""

    warn_s: float = 600.0
    refuse_s: float = 6 * 3600.0
    warn_microusd: int = 100_000
    refuse_microusd: int = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferCost:
    """An estimate; ``sentence`` says it to a person."""

    seconds: float
    microusd: int
    worth: Worth
    sentence: str


def transfer_cost(
    num_bytes: int, bytes_per_s: float, price_microusd_per_h: int = 0, limits: TransferLimits | None = None
) -> TransferCost:
    """Return what ``num_bytes`` more take at this speed, while the box costs this much an hour."""
    limits = limits or TransferLimits()
    seconds = num_bytes / bytes_per_s if bytes_per_s > 0 else (float("inf") if num_bytes else 0.0)
    # A line that stands still costs without end; the number only has to be larger than every limit.
    microusd = round(price_microusd_per_h * min(seconds, 1e9) / _S_PER_H)
    if seconds > limits.refuse_s or microusd > limits.refuse_microusd:
        worth = Worth.REFUSE
    elif seconds > limits.warn_s or microusd > limits.warn_microusd:
        worth = Worth.WARN
    else:
        worth = Worth.FINE
    speed = f"{size(round(bytes_per_s))}/s"
    sentence = f"{size(num_bytes)} at {speed} take {duration(seconds, exact=False)}"
    if price_microusd_per_h and seconds < 1e9:
        sentence += f", which costs {money(microusd, exact=False)}"
    return TransferCost(seconds=seconds, microusd=microusd, worth=worth, sentence=sentence)


def is_far_under_plan(num_bytes: int, bytes_per_s: float, planned_bytes_per_s: float) -> bool:
    """Return whether what is left to be sent goes so much slower than planned that another machine is worth a try."""
    if bytes_per_s <= 0:
        return num_bytes > 0
    lost_s = num_bytes / bytes_per_s - num_bytes / planned_bytes_per_s
    return bytes_per_s * _FAR_UNDER < planned_bytes_per_s and lost_s > _WORTH_MOVING_S


class Speed:
    """Bytes a second, over the last seconds, from what the other end says has arrived."""

    def __init__(self) -> None:
        """Begin without a measurement."""
        self._seen: collections.deque[tuple[float, int]] = collections.deque()

    def add(self, now_s: float, num_bytes: int) -> None:
        """Take in that ``num_bytes`` in all have arrived by now; a smaller number than before begins anew."""
        if self._seen and num_bytes < self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((now_s, num_bytes))
        while len(self._seen) > 2 and self._seen[1][0] < now_s - _WINDOW_S:
            self._seen.popleft()

    def bytes_per_s(self) -> float | None:
        """Return the speed, None until it was watched for long enough to mean something."""
        if len(self._seen) < 2:
            return None
        (first_s, first), (last_s, last) = self._seen[0], self._seen[-1]
        if last_s - first_s < _MEASURED_S:
            return None
        return (last - first) / (last_s - first_s)


class Arrivals:
    """How fast files came from a machine, all of them together."""

    def __init__(self) -> None:
        """Begin without a measurement."""
        self._num_bytes = 0
        self._seconds = 0.0

    def add(self, num_bytes: int, seconds: float) -> None:
        """Take in a file: what came of it, and how long that took, from the first question for it on."""
        self._num_bytes += num_bytes
        self._seconds += seconds

    def bytes_per_s(self) -> float | None:
        """Return the speed; None while there is none to speak of: of little that comes, most of the time is the way."""
        if self._num_bytes < ARRIVED_BYTES or self._seconds <= 0:
            return None
        return self._num_bytes / self._seconds
