"""What a rental has cost, and will have cost: its time by the ledger, its traffic as far as this laptop can count it.

Of traffic is counted: what was sent from here, the models that the machine downloaded, the files that were
fetched, and the saved states. The image and the packages of the environment are not: nobody tells how large they were.
How much of the models has come is the machine's word, which counts no further than what was known before it was
rented.
"""

import contextlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from loratui.domain.base_kinds import LARGEST_MODEL_BYTES
from loratui.domain.ledger import Phase, Rates, Spent, by_phase, projected, traffic_microusd
from loratui.domain.rental_cost import RentalCost
from loratui.domain.run import RunView
from loratui.sessions.steady_clock import steady_ts
from loratui.sessions.supply import Supply
from loratui.store import Store
from loratui.store.rentals import Rentals, StoredRental
from loratui_protocol.errors import StorageError
from loratui_protocol.inputs import ModelPurpose, ModelSource

_MODEL_PHASES = tuple(purpose.phase for purpose in ModelPurpose)
_END_S = 30.0
"""To verify what was fetched, and to end the rental; assumed."""


@dataclass(frozen=True, slots=True)
class Travelled:
    """Bytes from the machine, and to it, as far as they were counted."""

    sent: int = 0
    received: int = 0
    states: int = 0
    """What was sent of saved states; ``sent`` has it, too."""
    is_exact: bool = True
    """Whether none of it is known from the machine alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Needs:
    """What a run is sent, sizes by hash, and the models that its machine gets for it."""

    sizes: Mapping[str, int] = field(default_factory=dict)
    models: Mapping[str, ModelSource] = field(default_factory=dict)
    """By the phase in which each is downloaded."""


def travelled_for(rental: StoredRental, ledger: Rentals, store: Store) -> Travelled:
    """Return what has travelled for a rental as far as it was written down, for whoever does not follow its runs.

    How far an upload had come is not; it counts whole, and as a guess.
    """
    views: dict[str, RunView] = {}
    for run_id in ledger.runs_on(rental):
        with contextlib.suppress(StorageError):
            run = store.run(run_id)
            view = views[run_id] = RunView(run_id=run_id, name=run.name, target=run.target)
            for record in store.records(run_id):
                view.apply(record)
                if view.step:
                    # What a machine says of its preparation comes before that.
                    break
    found = Reckoning(ledger, store).travelled(rental, views)
    return replace(found, is_exact=found.is_exact and not any(view.may_need_supply for view in views.values()))


class Reckoning:
    """Of one rental, and the runs on it."""

    def __init__(self, ledger: Rentals, store: Store) -> None:
        self._ledger = ledger
        self._store = store
        self._supplies: dict[str, _Needs] = {}
        """What each run is sent. What several need travels once."""

    def travelled(self, rental: StoredRental, views: Mapping[str, RunView]) -> Travelled:
        """Return what has travelled for these runs so far."""
        needed: dict[str, int] = {}
        told: dict[ModelSource | str, int] = {}
        on_its_way = files = states = 0
        for run_id, view in views.items():
            if view.supply is not None and not view.supply.is_complete:
                on_its_way += view.supply.done
            else:
                needed |= self._needs(run_id).sizes
            for name in _MODEL_PHASES:
                phase = view.phases.get(name)
                if phase is not None and phase.setup.unit == "bytes":
                    model = self._needs(run_id).models.get(name) or name
                    told[model] = max(told.get(model, 0), phase.setup.done)
            states += self._store.state_bytes(run_id)
            files += sum(file.num_bytes for file in self._store.files(run_id).values())
        most = LARGEST_MODEL_BYTES * len(told) if rental.model_bytes is None else rental.model_bytes
        models = min(sum(told.values()), most)
        return Travelled(
            sent=files + states,
            states=states,
            received=sum(needed.values()) + on_its_way + models,
            is_exact=rental.model_bytes is not None or not models,
        )

    def spent(
        self, rental: StoredRental, views: Mapping[str, RunView], to_come: Iterable[tuple[Phase, float]] = ()
    ) -> Spent:
        """Return what it has cost, or will have cost after these phases; each with its seconds."""
        rates = Rates.of(rental.offer, rental.price_microusd_per_h)
        travelled = self.travelled(rental, views)
        return projected(
            self._ledger.spans(rental.label),
            steady_ts(),
            rates,
            to_come,
            sent_bytes=travelled.sent,
            received_bytes=travelled.received,
        )

    def cost(self, rental: StoredRental, views: Mapping[str, RunView]) -> RentalCost:
        """Return how it stands now, as far as ledger and runs tell."""
        spent, now_ts = self.spent(rental, views), steady_ts()
        travelled = self.travelled(rental, views)
        return RentalCost(
            label=rental.label,
            provider=rental.provider,
            state=rental.state,
            at_s=time.monotonic(),
            price_microusd_per_h=rental.price_microusd_per_h,
            spent_microusd=spent.total_microusd,
            disk_microusd=spent.disk_microusd,
            traffic_microusd=spent.traffic_microusd,
            states_microusd=traffic_microusd(Rates.of(rental.offer), travelled.states, 0),
            sent_microusd_per_gb=rental.offer.sent_microusd_per_gb,
            is_exact=travelled.is_exact,
            projected_microusd=self._in_the_end(rental, views, spent.total_microusd),
            cap_microusd=rental.cap_microusd,
            left_s=None if rental.deadline_ts is None else max(0.0, rental.deadline_ts - now_ts),
            armed=rental.armed,
            stops_for=rental.stops_for,
            ended_ts=rental.ended_ts if rental.proven_gone else None,
            phases=by_phase(self._ledger.spans(rental.label), now_ts),
        )

    def _in_the_end(self, rental: StoredRental, views: Mapping[str, RunView], so_far: int) -> int | None:
        """Return what it will have cost; until the runs say how long they take, what was reckoned before."""
        if rental.state.is_over:
            return so_far
        open_runs = [view for view in views.values() if not view.state.is_final]
        if not views or any(view.eta_s is None for view in open_runs):
            return None if rental.estimated_microusd is None else max(so_far, rental.estimated_microusd)
        to_come = [
            (Phase.TRAINING, sum(view.eta_s or 0.0 for view in open_runs)),
            (Phase.DOWNLOADING, _END_S),
            (Phase.IDLE, rental.keep_s or 0.0),
        ]
        return self.spent(rental, views, to_come).total_microusd

    def _needs(self, run_id: str) -> "_Needs":
        if run_id not in self._supplies:
            needs = _Needs()
            with contextlib.suppress(StorageError):
                if text := self._store.run(run_id).supply:
                    supply = Supply.from_json(text)
                    sizes = {sha256: blob.size for sha256, blob in supply.blobs.items()}
                    models = (supply.inputs.model, *supply.inputs.features)
                    needs = _Needs(sizes=sizes, models={each.purpose.phase: each for each in models})
            self._supplies[run_id] = needs
        return self._supplies[run_id]
