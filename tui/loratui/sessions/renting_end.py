"""The last part of a rental: ended for certain, its traces taken off the account, its ledger closed, the receipt."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from loratui.domain.formatting import hourly_price
from loratui.domain.ledger import Phase, Rates, by_phase, spent
from loratui.domain.rental import Happened, RentalState, after
from loratui.providers.base import Charges, Instance, Provider, ProviderError, ProviderRefusedError
from loratui.sessions.ending import (
    FIRST_WAIT_S,
    EndingView,
    OtherAccountError,
    StillBillingError,
    end_for_certain,
    finish,
)
from loratui.sessions.market import CONSOLES
from loratui.sessions.reckoning import Travelled
from loratui.sessions.steady_clock import steady_ts
from loratui.store.rentals import Rentals, StoredRental
from loratui_protocol.errors import LoratuiError, StorageError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a rental has cost: by our ledger, and by its provider's own records, which may be minutes behind."""

    rental: StoredRental
    seconds: float
    phases: Mapping[Phase, int]
    """Micro-dollars, in the order in which they came."""
    ours_microusd: int
    """With the billing floor, and the traffic as far as it was counted."""
    disk_microusd: int = 0
    """What of it is the disk's."""
    traffic_microusd: int = 0
    is_exact: bool = True
    """Whether nothing of the traffic is known from the machine alone."""
    billed: Charges | None = None
    """None where the provider says nothing, or nothing yet."""


async def finish_rental(
    provider: Provider,
    ledger: Rentals,
    label: str,
    why: str,
    tell: Callable[[EndingView], None] = lambda _: None,
    *,
    count: Callable[[], Travelled] = Travelled,
    first_wait_s: float = FIRST_WAIT_S,
) -> Receipt:
    """End a rental, whatever interrupts this once; return its receipt when the provider has shown it gone.

    ``count`` says then what has travelled.

    Raises:
        StillBillingError: it was interrupted twice, or the key can't end it, or not any more.
    """
    rental = ledger.rental(label)
    is_gone = rental.state.is_over

    async def work() -> None:
        nonlocal is_gone
        if not is_gone:
            await end_rental(provider, ledger, rental, why, tell, first_wait_s=first_wait_s)
            is_gone = True
        await tidy_up(provider, ledger, rental)

    try:
        await finish(work)
    except (asyncio.CancelledError, ProviderRefusedError, OtherAccountError) as failed:
        if is_gone:
            raise
        raise still_billing(rental, failed) from failed
    return await receipt(provider, ledger, label, count)


async def end_rental(
    provider: Provider,
    ledger: Rentals,
    rental: StoredRental,
    why: str,
    tell: Callable[[EndingView], None] = lambda _: None,
    *,
    first_wait_s: float = FIRST_WAIT_S,
    doubt_s: float = 0.0,
) -> None:
    """End a rental whose instance is known, and write down that it is gone, once its provider has shown that.

    A ledger that can't be written keeps no machine alive. Begun anew it goes on where it was. ``doubt_s`` is that of
    ``end_for_certain``.

    Raises:
        ProviderRefusedError, OtherAccountError: as ``end_for_certain``.
    """
    happened = Happened.FOUND if rental.state.is_over else Happened.END_WANTED
    state, _ = after(rental.state, happened)
    if rental.state.is_over:
        noted(lambda: ledger.reopen(rental.label, rental.instance_id))
    noted(lambda: ledger.note(rental.label, state=state, why=why, instance_id=rental.instance_id))
    noted(lambda: ledger.enter(rental.label, Phase.ENDING, steady_ts(), rental.price_microusd_per_h))
    await end_for_certain(
        provider,
        rental.instance_id,
        tell,
        account_id=rental.account_id,
        first_wait_s=first_wait_s,
        doubt_s=doubt_s,
    )
    state, _ = after(state, Happened.SHOWN_GONE)
    noted(lambda: ledger.note_end(rental.label, state, steady_ts()))


async def tidy_up(provider: Provider, ledger: Rentals, rental: StoredRental) -> None:
    """Take our key off the account; what fails is tried again by the next ``rentals sweep``."""
    if rental.is_tidy:
        return
    try:
        await provider.tidy(rental.label, rental.public_key)
    except ProviderError as error:
        log.warning("a key is still on the account provider=%s label=%s: %s", provider.name, rental.label, error.what)
        return
    noted(lambda: ledger.note(rental.label, is_tidy=True))


async def receipt(
    provider: Provider,
    ledger: Rentals,
    label: str,
    count: Callable[[], Travelled] = Travelled,
) -> Receipt:
    """Return what a rental has cost, by the ledger and by its provider; ``count`` says what has travelled."""
    rental, spans = ledger.rental(label), ledger.spans(label)
    rates = Rates.of(rental.offer, rental.price_microusd_per_h)
    now_ts = steady_ts()
    travelled = Travelled()
    try:
        travelled = count()
    except LoratuiError as error:
        # It has ended, and that counts.
        log.warning("rental=%s its traffic could not be counted: %s", label, error.what)
    ours = spent(spans, now_ts, rates, sent_bytes=travelled.sent, received_bytes=travelled.received)
    billed: Charges | None = None
    if rental.instance_id:
        try:
            billed = await provider.charges(rental.instance_id)
        except ProviderError as error:
            log.info("no bill from the provider label=%s: %s", label, error.what)
    return Receipt(
        rental=rental,
        seconds=sum(span.elapsed_us(now_ts) for span in spans) / 1e6,
        phases=by_phase(spans, now_ts),
        ours_microusd=ours.total_microusd,
        disk_microusd=ours.disk_microusd,
        traffic_microusd=ours.traffic_microusd,
        is_exact=travelled.is_exact,
        billed=billed,
    )


def still_billing(rental: StoredRental, cause: BaseException | None = None) -> StillBillingError:
    """Return the error for a rental that nobody has seen end."""
    name = rental.instance_id or f"whatever is called {rental.label}"
    why = f": {cause.what}" if isinstance(cause, ProviderError) else ""
    return StillBillingError(
        f"STILL BILLING, perhaps, {hourly_price(rental.price_microusd_per_h)}: {rental.provider} {name}{why}",
        fix=f"loratui rentals sweep; or by hand: {CONSOLES.get(rental.provider, rental.provider)}",
    )


def noted(write: Callable[[], None]) -> None:
    """Write to the ledger if that is possible: while something is being ended nothing else matters."""
    try:
        write()
    except StorageError as error:
        log.warning("the ledger could not be written: %s", error.what)


async def extra_ended(provider: Provider, instances: list[Instance], first_wait_s: float) -> None:
    """End what there should be only one of."""
    for instance in instances:
        await end_for_certain(provider, instance.id, first_wait_s=first_wait_s)


def with_instance(rental: StoredRental, instance_id: str) -> StoredRental:
    """Return the rental once its instance was found by its label: it is there, whatever was thought of it."""
    if rental.state in (RentalState.INTENT, RentalState.CREATING, RentalState.UNKNOWN):
        state, _ = after(rental.state, Happened.FOUND)
        return replace(rental, instance_id=instance_id, state=state)
    return replace(rental, instance_id=instance_id)
