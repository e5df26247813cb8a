"""What a rental costs while it lasts, as it is shown: what is spent, what is to come, until when it goes on. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from loratui.domain.ledger import Phase
from loratui.domain.rental import RentalState

FRESH_S = 180.0
"""So long the provider's last word counts as what is so now."""
_S_PER_H = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What the machine alone has, for people; ``fetch`` are the commands that bring it, each once."""

    what: str
    num_files: int
    fetch: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RentalCost:
    """A rental as of ``at_s``. Amounts in micro-dollars; ``_s`` moments are monotonic seconds of this machine."""

    label: str
    provider: str
    state: RentalState
    at_s: float
    price_microusd_per_h: int
    """By the provider's last word."""
    spent_microusd: int
    """Its time, what is billed at least, and the traffic that was counted."""
    disk_microusd: int = 0
    """What of that is the disk's, as of ``at_s``."""
    traffic_microusd: int = 0
    states_microusd: int = 0
    """What of the traffic was saved states."""
    sent_microusd_per_gb: int = 0
    is_exact: bool = True
    """Whether nothing of it is known from the machine alone, which may say what it likes."""
    projected_microusd: int | None = None
    """What it will have cost in the end, as far as anybody can tell; None: nobody can yet."""
    cap_microusd: int | None = None
    left_s: float | None = None
    """Until it ends whatever goes on."""
    armed: str = ""
    """What the machine was read back to be able to do then: "end", "stop" or "none"; empty: nobody knows."""
    stops_for: str = ""
    """Why then, in a few words."""
    keep_left_s: float | None = None
    """Until it ends because the user wanted to keep it for so long; None: it is not kept."""
    held: Held | None = None
    """What it is kept for though its runs are over: the machine has the only copy."""
    ended_ts: float | None = None
    """Since when its provider has shown it gone, epoch seconds."""
    heard_s: float | None = None
    """When the provider last showed it."""
    trouble: str = ""
    """Why the provider can't be understood, or the rental not be ended, now."""
    phases: Mapping[Phase, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What a person should know of, in order: prices that changed, a deadline that was moved."""

    @property
    def is_over(self) -> bool:
        """Return whether the provider has shown that nothing bills any more."""
        return self.state.is_over

    @property
    def time_microusd(self) -> int:
        """Return what its time has cost."""
        return sum(self.phases.values())

    def spent_at(self, now_s: float) -> int:
        """Return what it has cost at ``now_s``, carried on at the hourly price."""
        since_s = 0.0 if self.is_over else max(0.0, now_s - self.at_s)
        return self.spent_microusd + round(self.price_microusd_per_h * since_s / _S_PER_H)

    def is_known(self, now_s: float) -> bool:
        """Return whether what is spent can be shown as a fact."""
        return self.is_exact and self.is_fresh(now_s)

    def is_fresh(self, now_s: float) -> bool:
        """Return whether the price is known to be what the provider says now."""
        return self.is_over or (self.heard_s is not None and now_s - self.heard_s <= FRESH_S)

    def ends_in_s(self, now_s: float) -> float | None:
        """Return the seconds until it ends, not below 0; None: nobody knows, or it is over."""
        lefts = [left for left in (self.left_s, self.keep_left_s) if left is not None]
        if self.is_over or not lefts:
            return None
        return max(0.0, min(lefts) - (now_s - self.at_s))
