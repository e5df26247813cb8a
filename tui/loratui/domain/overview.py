"""Everything at a glance: the runs that are known here, what is rented now, and what this month has cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from loratui_protocol.messages import JobState


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLine:
    """A run in the list of all. ``ts`` epoch seconds; what is not followed now is as it was when last heard of."""

    id: str
    name: str
    target: str
    state: JobState
    step: int
    total: int
    spent_microusd: int
    created_ts: float
    ended_ts: float | None = None
    gpu: str = ""
    is_machine_gone: bool = False
    """Whether it was on a rented machine that was shown to be gone before the run was over."""
    is_there: bool = True
    """Whether its machine may still be there, for all that is known."""
    is_live: bool = False
    """Whether it is heard now; else the numbers are from ``heard_ts``."""
    heard_ts: float | None = None
    """When it was last heard; None: never."""
    loss: float | None = None
    eta_s: float | None = None
    stop: int | None = None
    """After which step it stops, where that is before the last one that is planned."""
    price_microusd_per_h: int = 0
    is_lacking: bool = False
    """Whether it is done, and its LoRA is not here though it may still be had."""

    @property
    def is_over(self) -> bool:
        """Return whether nothing more will come of it."""
        return self.state.is_final or self.is_machine_gone


@dataclass(frozen=True, slots=True, kw_only=True)
class RentalLine:
    """Something rented that is not proven gone, and so may bill. Amounts in micro-dollars, ``ts`` epoch seconds."""

    label: str
    provider: str
    instance_id: str
    gpu: str
    state: str
    price_microusd_per_h: int
    spent_microusd: int
    created_ts: float
    deadline_ts: float | None
    is_minded: bool
    """Whether a loratui of this machine looks after it now."""
    is_elsewhere: bool = False
    """Whether its provider alone told of it: another computer may look after it. What it has cost is not known."""

    @property
    def is_orphan(self) -> bool:
        """Return whether it was rented here, and nobody looks after it now."""
        return not self.is_minded and not self.is_elsewhere

    @property
    def target(self) -> str:
        """Return it as the target of runs."""
        return f"{self.provider}:{self.label}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """What the client's own records say, and providers. ``runs`` newest first, ``rentals`` what may bill."""

    runs: tuple[RunLine, ...] = ()
    rentals: tuple[RentalLine, ...] = ()
    month_microusd: int = 0
    """What the time of rentals has cost since the first of this month."""
    trouble: str = ""
    """Why the records can't be read; then nothing said here is known to be whole, or to be so still."""
    is_read: bool = False
    """Whether the records were read at all yet."""
    most_microusd: int = 0
    """What a rental may cost where no budget is named."""
    balances: Mapping[str, int] = field(default_factory=dict)
    """What is left on the accounts, by provider, as far as they were asked; in micro-dollars."""
    unheard: Mapping[str, str] = field(default_factory=dict)
    """By provider why it is not known what else is rented there."""
    is_unasked: bool = False
    """Whether it was not even looked yet which providers are to be asked: more may be rented at any."""

    @property
    def is_all_known(self) -> bool:
        """Return whether all providers that there is a key for have said what is rented there."""
        return not self.unheard and not self.is_unasked

    @property
    def price_microusd_per_h(self) -> int:
        """Return what everything that may bill costs an hour."""
        return sum(rental.price_microusd_per_h for rental in self.rentals)

    def troubled(self, why: str) -> "Overview":
        """Return what was known before the records could no longer be read: nothing of it is shown to be over."""
        runs = tuple(replace(run, is_live=False) for run in self.runs)
        return replace(self, runs=runs, trouble=why, is_read=True)

    def holds(self, label: str) -> bool:
        """Return whether a rental is, by the records, among what may bill."""
        return any(rental.label == label and not rental.is_elsewhere for rental in self.rentals)

    def rental_of(self, target: str) -> RentalLine | None:
        """Return the rental that a run's target names, if that may bill."""
        return next((rental for rental in self.rentals if rental.target == target), None)

    def run(self, run_id: str) -> RunLine | None:
        """Return the run of this id."""
        return next((line for line in self.runs if line.id == run_id), None)
