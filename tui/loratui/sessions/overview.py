"""Reads what the client's records say of all runs and rentals: from the database alone, nobody is asked."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from loratui.domain.ledger import Rates, Span, spent
from loratui.domain.overview import Overview, RentalLine, RunLine
from loratui.sessions.rented import rental_label
from loratui.sessions.renting_folder import RentalFolder
from loratui.sessions.steady_clock import steady_ts
from loratui.settings import Settings
from loratui.store import Store, StoredRun
from loratui.store.history import Glance, glances
from loratui.store.rentals import Rentals, StoredRental
from loratui_protocol.errors import StorageError


def overview(preferences: Settings) -> Overview:
    """Return all runs and rentals as they stand in the records; trouble in reading them is a part of it."""
    now_ts = steady_ts()
    try:
        with Store(preferences.database) as store:
            runs = store.runs()
        seen = glances(preferences.database, runs)
        with Rentals(preferences.database) as ledger:
            rentals = ledger.rentals()
            spans = {rental.label: ledger.spans(rental.label) for rental in rentals}
    except StorageError as error:
        return Overview(trouble=error.what, is_read=True)
    gone = {rental.label for rental in rentals if rental.state.is_over}
    costs = {rental.label: _cost(rental, spans[rental.label], now_ts) for rental in rentals}
    num_runs = Counter(rental_label(run.target) for run in runs)
    # A run that had a machine to itself cost what the machine did, from before it began until after it was over.
    alone = {label: cost for label, cost in costs.items() if num_runs[label] == 1}
    return Overview(
        runs=tuple(_run_line(run, gone, seen.get(run.id, Glance()), alone) for run in runs),
        rentals=tuple(
            _rental_line(rental, costs[rental.label], preferences) for rental in rentals if not rental.proven_gone
        ),
        month_microusd=sum(
            _cost(rental, _since(spans[rental.label], month_start_ts(now_ts), now_ts), now_ts) for rental in rentals
        ),
        is_read=True,
        most_microusd=preferences.rental_max_microusd,
    )


def month_start_ts(now_ts: float) -> float:
    """Return when this month began, by the local calendar."""
    today = datetime.fromtimestamp(now_ts).astimezone()
    return today.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()


def _since(spans: list[Span], from_ts: float, now_ts: float) -> list[Span]:
    """Return what of these spans lies after a moment."""
    later = [span for span in spans if (now_ts if span.to_ts is None else span.to_ts) > from_ts]
    return [replace(span, from_ts=max(span.from_ts, from_ts)) for span in later]


def _cost(rental: StoredRental, spans: list[Span], now_ts: float) -> int:
    return spent(spans, now_ts, Rates.of(rental.offer, rental.price_microusd_per_h)).total_microusd


def _run_line(run: StoredRun, gone: set[str], seen: Glance, alone: Mapping[str, int]) -> RunLine:
    label = rental_label(run.target)
    is_gone = label in gone
    return RunLine(
        id=run.id,
        name=run.name,
        target=run.target,
        state=run.state,
        step=run.step,
        total=run.total,
        spent_microusd=max(run.spent_microusd, alone.get(label, 0)),
        created_ts=run.created_ts,
        ended_ts=run.ended_ts,
        gpu=run.gpu,
        is_machine_gone=not run.state.is_final and is_gone,
        is_there=not is_gone,
        heard_ts=seen.heard_ts,
        price_microusd_per_h=run.price_microusd_per_h,
        is_lacking=seen.is_lacking and not is_gone,
    )


def _rental_line(rental: StoredRental, cost_microusd: int, preferences: Settings) -> RentalLine:
    return RentalLine(
        label=rental.label,
        provider=rental.provider,
        instance_id=rental.instance_id,
        gpu=rental.offer.gpu_name,
        state=str(rental.state),
        price_microusd_per_h=rental.price_microusd_per_h,
        spent_microusd=cost_microusd,
        created_ts=rental.created_ts,
        deadline_ts=rental.deadline_ts,
        is_minded=RentalFolder(preferences.state_dir, rental.label).is_minded(),
    )
