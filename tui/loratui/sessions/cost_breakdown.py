"""What a rental has cost, phase by phase, as the ledger has it."""

from collections.abc import Mapping
from dataclasses import dataclass

from loratui.domain.ledger import Phase
from loratui.domain.rental_cost import RentalCost
from loratui.sessions.reckoning import Reckoning
from loratui.sessions.steady_clock import steady_ts
from loratui.settings import Settings
from loratui.store import Store
from loratui.store.rentals import Rentals


@dataclass(frozen=True, slots=True, kw_only=True)
class CostBreakdown:
    """Of one rental. ``seconds`` are those of each phase, in the order in which they came.

    Of traffic ``cost`` has none: only who follows the runs knows what has travelled.
    """

    cost: RentalCost
    seconds: Mapping[Phase, float]
    floor_microusd: int
    """What is billed beyond its time, because so much is billed at least."""
    estimated_microusd: int | None
    """What it was likely to cost in the end when it was rented."""
    num_runs: int


def cost_breakdown(preferences: Settings, label: str) -> CostBreakdown:
    """Return what a rental has cost so far.

    Raises:
        StorageError: the ledger does not know it, or can't be read.
    """
    with Rentals(preferences.database) as ledger, Store(preferences.database) as store:
        rental, spans, now_ts = ledger.rental(label), ledger.spans(label), steady_ts()
        reckoning = Reckoning(ledger, store)
        seconds: dict[Phase, float] = {}
        for span in spans:
            seconds[span.phase] = seconds.get(span.phase, 0.0) + span.elapsed_us(now_ts) / 1e6
        return CostBreakdown(
            cost=reckoning.cost(rental, {}),
            seconds=seconds,
            floor_microusd=reckoning.spent(rental, {}).floor_microusd,
            estimated_microusd=rental.estimated_microusd,
            num_runs=len(ledger.runs_on(rental)),
        )
