"""What a run has cost and how long it may go on. Pure: facts and times in, numbers out.

While the agent lives the monotonic clock counts. Between two agents only the wall clock knows the gap; should it have
been set back the gap counts as zero, so the earlier deadline wins.
"""

from dataclasses import dataclass, replace

_S_PER_H = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """Seconds that a job's trainers were there. Persisted; ``running_since_ts`` is wall time, None while none is."""

    price_microusd_per_h: int = 0
    limit_s: float | None = None
    elapsed_s: float = 0.0
    running_since_ts: float | None = None

    def spent_microusd(self) -> int:
        """Return what the elapsed time costs, in millionths of a dollar."""
        return round(self.price_microusd_per_h * self.elapsed_s / _S_PER_H)

    def left_s(self) -> float | None:
        """Return the seconds until auto-stop, None without one; never negative."""
        return None if self.limit_s is None else max(0.0, self.limit_s - self.elapsed_s)

    def advanced(self, seconds: float, now_ts: float) -> "Meter":
        """Return the meter after ``seconds`` more by the monotonic clock."""
        return replace(self, elapsed_s=self.elapsed_s + seconds, running_since_ts=now_ts)

    def after_gap(self, now_ts: float) -> "Meter":
        """Return the meter of a restarted agent: a run that was going on went on meanwhile."""
        if self.running_since_ts is None:
            return self
        return self.advanced(max(0.0, now_ts - self.running_since_ts), now_ts)

    def extended(self, seconds: float) -> "Meter":
        """Return the meter with the auto-stop moved; without an auto-stop nothing changes."""
        return self if self.limit_s is None else replace(self, limit_s=max(0.0, self.limit_s + seconds))

    def stopped(self) -> "Meter":
        """Return the meter with the clock stopped."""
        return replace(self, running_since_ts=None)
