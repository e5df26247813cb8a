"""What comes after a run takes and costs: by the estimator of every plan, at the pace and price of that run. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from loratui.domain import formatting
from loratui.domain.estimate import (
    BOOT,
    ENVIRONMENT,
    RESULTS,
    SAMPLES,
    STATES,
    TRAINING,
    Estimate,
    Known,
    estimate,
)
from loratui.domain.estimate_ranking import cost_range, time_range
from loratui.domain.estimate_work import Work
from loratui.domain.offers import Offer


class Place(StrEnum):
    """Where it is to train, as seen from here."""

    HERE = "here"
    HOST = "host"
    """Over SSH, where this run was: what it needs is there."""
    KEPT = "kept"
    """On its machine, which is still rented."""
    ANEW = "anew"
    """On a machine that is rented for it."""


_PHASES = {
    Place.HERE: (TRAINING, SAMPLES),
    Place.HOST: (TRAINING, SAMPLES, RESULTS),
    Place.KEPT: (TRAINING, SAMPLES, RESULTS, STATES),
}
"""What there is to pay for where no machine has to be set up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The machine of the run, or one like it. ``offer`` has the price that was paid; 0: none is known."""

    place: Place
    offer: Offer
    name: str = ""
    """As a person would call it: a GPU, a host."""
    left_s: float | None = None
    """Until it ends by itself, where it is rented; None: it does not, or it is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NextCost:
    """What so many steps take and cost, the set-up included where one is needed."""

    steps: int
    pace_s: float
    """Of a step, as this run has shown it."""
    machine: Machine
    estimate: Estimate

    @property
    def microusd(self) -> tuple[int, int] | None:
        """Return the likely cost and that if it goes badly; None: what an hour costs is not known."""
        known = bool(self.machine.offer.price_microusd_per_h)
        return (self.estimate.p50_microusd, self.estimate.p90_microusd) if known else None

    @property
    def short(self) -> str:
        """Return steps, time and cost in a few words."""
        times = f"{self.steps} {'step' if self.steps == 1 else 'steps'}: {time_range(self.estimate)}"
        return times if self.microusd is None else f"{times} and {cost_range(self.estimate)}"

    @property
    def lines(self) -> list[str]:
        """Return it in sentences: time and cost, what they are made of, and what is in the way."""
        return [f"{self.short} {self._where}", *self._basis, *self._warnings]

    @property
    def _where(self) -> str:
        price = formatting.hourly_price(self.machine.offer.price_microusd_per_h)
        name = self.machine.name
        match self.machine.place:
            case Place.HERE if self.microusd is None:
                return "on this machine, which costs nothing: no price is set for it"
            case Place.HERE:
                return f"on this machine, at the {price} that are set for it"
            case Place.HOST if self.microusd is None:
                return f"on {name}; what an hour of it costs is not known here"
            case Place.HOST:
                return f"on {name}, at the {price} that are set for it"
            case Place.KEPT:
                return f"on its machine, which is still rented ({name}, {price}): no set-up"
            case Place.ANEW:
                return f"on a machine rented anew ({name}, {price} as this run paid), set-up and download included"

    @property
    def _basis(self) -> Iterator[str]:
        pace = f"reckoned as every plan, from {self.pace_s:.3g} s a step as measured in this run"
        if self.machine.place is not Place.ANEW:
            yield pace
            return
        set_up = [part for part in self.estimate.parts if part.name in (BOOT, ENVIRONMENT)]
        is_measured = all(part.source.startswith("measured") for part in set_up)
        how = "as your rentals have shown it" if is_measured else "as documented, not measured by you"
        yield f"{pace}; set-up {how}"

    @property
    def _warnings(self) -> Iterator[str]:
        left_s = self.machine.left_s
        if left_s is not None and left_s < self.estimate.p90_s:
            yield f"its auto-stop is in {formatting.duration(left_s)}, which may be too soon: extend it first"


def cost_on(work: Work, machine: Machine, known: Known, pace_s: float) -> NextCost:
    """Return what the work takes on a machine; where that is there already, without what sets one up."""
    whole = estimate(work, machine.offer, known)
    phases = _PHASES.get(machine.place)
    parts = tuple(part for part in whole.parts if phases is None or part.name in phases)
    return NextCost(
        steps=sum(load.steps for load in work.loads),
        pace_s=pace_s,
        machine=machine,
        estimate=replace(whole, parts=parts),
    )
