"""What a run has cost and how long it may go on. Pure: facts and moments in, numbers out. Standard library only.

The agent and its reaper read the same figures from ``state.json``, so they agree on when a run's time is up whichever
of them is there.
"""

from dataclasses import dataclass, replace

from loratui_agent.clock import Moment

_S_PER_H = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """Seconds that a job's trainers were there, and since when one has been there that is not counted in yet.

    Persisted; ``running_since_ts`` is epoch seconds, None while no trainer is there.
    """

    price_microusd_per_h: int = 0
    limit_s: float | None = None
    elapsed_s: float = 0.0
    running_since_ts: float | None = None
    running_since_boot_s: float = 0.0
    boot: str = ""

    def spent_microusd(self) -> int:
        """Return what the elapsed time costs, in millionths of a dollar."""
        return round(self.price_microusd_per_h * self.elapsed_s / _S_PER_H)

    def left_s(self) -> float | None:
        """Return the seconds until auto-stop, None without one; never negative."""
        return None if self.limit_s is None else max(0.0, self.limit_s - self.elapsed_s)

    def overdue_s(self) -> float | None:
        """Return the seconds since auto-stop, negative before it; None without one."""
        return None if self.limit_s is None else self.elapsed_s - self.limit_s

    def started(self, now: Moment) -> "Meter":
        """Return the meter with the clock running from ``now`` on; one that runs already stays as it is."""
        return self if self.running_since_ts is not None else self._from(now)

    def at(self, now: Moment) -> "Meter":
        """Return the meter as of ``now``: a run that was going on went on, whether an agent watched it or not."""
        if self.running_since_ts is None:
            return self
        since = Moment(wall_ts=self.running_since_ts, boot_s=self.running_since_boot_s, boot=self.boot)
        return replace(self._from(now), elapsed_s=self.elapsed_s + since.seconds_until(now))

    def extended(self, seconds: float) -> "Meter":
        """Return the meter with the auto-stop moved; without an auto-stop nothing changes."""
        return self if self.limit_s is None else replace(self, limit_s=max(0.0, self.limit_s + seconds))

    def stopped(self) -> "Meter":
        """Return the meter with the clock stopped."""
        return replace(self, running_since_ts=None)

    def _from(self, now: Moment) -> "Meter":
        return replace(self, running_since_ts=now.wall_ts, running_since_boot_s=now.boot_s, boot=now.boot)
