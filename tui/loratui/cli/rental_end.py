"""The end of a rental, for whoever waits for it at the terminal: how it goes, its proof, its receipt."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import Any, TypeVar

from loratui.cli.following import INTERRUPTED
from loratui.cli.leaving import interrupted_at_rest, tell
from loratui.cli.still_rented import how_it_ends
from loratui.domain import formatting
from loratui.domain.ledger import Phase, microseconds, time_microusd
from loratui.domain.rental import RentalState
from loratui.domain.rental_cost import RentalCost
from loratui.domain.run import RunView
from loratui.headless.json_lines import print_line, to_json
from loratui.headless.rental_narration import RentalNarrator
from loratui.providers.base import Charges
from loratui.sessions import ending
from loratui.sessions.ending import EndingView
from loratui.sessions.host import SessionHost
from loratui.sessions.market import opened
from loratui.sessions.reckoning import Travelled, travelled_for
from loratui.sessions.rented import rental_label
from loratui.sessions.renting_end import Receipt, finish_rental, still_billing
from loratui.sessions.renting_folder import RentalFolder
from loratui.sessions.targets import Targets
from loratui.settings import Settings
from loratui.store import Store
from loratui.store.rentals import Rentals
from loratui_protocol.errors import StorageError
from loratui_protocol.inputs import ModelPurpose
from loratui_protocol.messages import MICROUSD_PER_USD

T = TypeVar("T")
_LOOK_S = 0.5
_SHARED = ("environment", *(purpose.phase for purpose in ModelPurpose))
"""Phases of a run's preparation that the next run on the same machine finds done."""


def see_to_rental(
    host: SessionHost, preferences: Settings, view: RunView, narrator: RentalNarrator, *, is_all_here: bool
) -> int:
    """Wait for the end of a run's rental where everything of it is here; else say that it goes on, and until when.

    Returns the exit status: 0, or 130 where whoever waits leaves a machine that is kept.

    Raises:
        StillBillingError: it can't be ended, or nobody has waited for that.
    """
    label = rental_label(view.target)
    ended = host.rental_ended(view.run_id)
    if ended is None or (not is_all_here and not _is_ending(preferences, label)):
        _tell_that_it_goes_on(preferences, label)
        return 0
    try:
        receipt = _wait_for(host, view.run_id, ended, narrator)
    except KeyboardInterrupt:
        with Rentals(preferences.database) as ledger:
            rental = ledger.rental(label)
        if rental.state is RentalState.READY:
            _tell_that_it_goes_on(preferences, label)
            return INTERRUPTED
        raise still_billing(rental) from None
    if receipt is None:
        # Nobody here ended it; or it is kept, which was said, for the files of another run.
        _tell_that_it_goes_on(preferences, label)
    else:
        print_receipt(receipt, as_json=narrator.as_json)
        _tell_savings(host, preferences, receipt)
    return 0


def finish(preferences: Settings, name: str, label: str, why: str) -> Callable[[Targets], Coroutine[Any, Any, Receipt]]:
    """Return what ends a rental for certain and returns its receipt, for ``wait``.

    Interrupted once, even before its provider was spoken to, it goes on; twice, it says what may still bill.
    """

    async def work() -> Receipt:
        said = ""

        def tell_how(view: EndingView) -> None:
            nonlocal said
            if view.sentence != said:
                said = view.sentence
                tell(f"ending the rental: {said}")

        with Rentals(preferences.database) as ledger:
            async with opened(preferences, (name,)) as providers:
                if not providers:
                    raise still_billing(ledger.rental(label))
                receipt = await finish_rental(
                    providers[0], ledger, label, why, tell_how, count=lambda: travelled_on(preferences, ledger, label)
                )
        RentalFolder(preferences.state_dir, label).remove()
        return receipt

    async def end(_: Targets) -> Receipt:
        try:
            return await ending.finish(work)
        except asyncio.CancelledError:
            with Rentals(preferences.database) as ledger:
                rental = ledger.rental(label)
            if not rental.state.is_over:
                raise still_billing(rental) from None
            raise

    return end


def travelled_on(preferences: Settings, ledger: Rentals, label: str) -> Travelled:
    """Return what has travelled for a rental, as far as it was written down.

    Raises:
        StorageError: that can't be read.
    """
    with Store(preferences.database) as store:
        return travelled_for(ledger.rental(label), ledger, store)


def print_receipt(receipt: Receipt, *, as_json: bool = False) -> None:
    """Say what it has cost, and that it is over: only what the provider has shown.

    With ``as_json`` programs are told, too, on standard output.
    """
    rental = receipt.rental
    if not rental.state.is_over:
        return
    if as_json:
        fields = {
            "event": "receipt",
            "ts": time.time(),
            "seq": 0,
            "label": rental.label,
            "provider": rental.provider,
            "state": str(rental.state),
            "why": rental.why,
            "seconds": receipt.seconds,
            "usd": receipt.ours_microusd / MICROUSD_PER_USD,
            "phases_usd": {str(phase): microusd / MICROUSD_PER_USD for phase, microusd in receipt.phases.items()},
            "disk_usd": receipt.disk_microusd / MICROUSD_PER_USD,
            "traffic_usd": receipt.traffic_microusd / MICROUSD_PER_USD,
            "is_exact": receipt.is_exact,
            "billed_usd": receipt.billed.total_microusd / MICROUSD_PER_USD if receipt.billed else None,
        }
        print_line(to_json(fields))
    tell(receipt_sentence(receipt))
    if rental.cap_microusd is not None and receipt.ours_microusd > rental.cap_microusd:
        over = formatting.money(receipt.ours_microusd - rental.cap_microusd)
        tell(f"warning: that is {over} more than the cap of {formatting.money(rental.cap_microusd)}")


def receipt_sentence(receipt: Receipt) -> str:
    """Return what a rental that is gone has cost, and for what."""
    rental = receipt.rental
    parts = ", ".join(
        f"{str(phase).replace('_', ' ')} {formatting.money(microusd)}"
        for phase, microusd in receipt.phases.items()
        if microusd
    )
    traffic = ""
    if receipt.traffic_microusd:
        traffic = f", traffic {formatting.money(receipt.traffic_microusd, exact=receipt.is_exact)}"
    elif rental.offer.sent_microusd_per_gb or rental.offer.received_microusd_per_gb:
        traffic = "; its traffic is billed, too, and not counted, since nothing is known of it here"
    disk = f"; {formatting.money(receipt.disk_microusd)} of it for the disk" if receipt.disk_microusd else ""
    by_itself = f" ({rental.why})" if rental.state is RentalState.LOST else ""
    billed = (
        f"; {rental.provider} has no bill of it yet"
        if receipt.billed is None
        else f"; {_bill(rental.provider, receipt.billed)}"
    )
    return (
        f"the rental is gone, as {rental.provider} shows{by_itself}: {formatting.duration(receipt.seconds)}, "
        f"{formatting.money(receipt.ours_microusd, exact=receipt.is_exact)} ({parts}{traffic}{disk}){billed}"
    )


def _bill(provider: str, charges: Charges) -> str:
    """Return what a provider says it has billed, and for what as far as it says that."""
    shares = {"GPU": charges.gpu_microusd, "disk": charges.disk_microusd, "traffic": charges.traffic_microusd}
    told = ", ".join(f"{name} {formatting.money(share)}" for name, share in shares.items() if share is not None)
    return f"{provider} has billed {formatting.money(charges.total_microusd)}" + (f" ({told})" if told else "")


def wait(host: SessionHost, work: Callable[[Targets], Coroutine[Any, Any, T]], *, is_end: bool = False) -> T:
    """Do it in the host. Ctrl-C cancels it, and its end is waited for: what was rented ends first.

    ``is_end``: it ends a rental, so it is begun even if that comes just before.

    Raises:
        KeyboardInterrupt: it was interrupted, even if it had come to its end by then.
    """
    future: Future[T] | None = None
    interruption: KeyboardInterrupt | None = None
    while True:
        try:
            if future is None:
                with interrupted_at_rest():
                    future = host.perform(work)
            result = future.result()
            break
        except CancelledError as error:
            raise interruption or KeyboardInterrupt from error
        except KeyboardInterrupt as asked:
            if future is None and not is_end:
                raise
            interruption = interruption or asked
            tell("interrupted: what was rented is ended first; once more leaves it as it is")
            if future is not None:
                host.interrupt(future)
    if interruption is not None:
        raise interruption
    return result


def _wait_for(
    host: SessionHost, run_id: str, ended: "Future[Receipt | None]", narrator: RentalNarrator
) -> Receipt | None:
    """Return the receipt once there is one, and say meanwhile what goes on; None where nothing here will end it."""
    is_asked = False
    while True:
        try:
            while True:
                _look(narrator, host.view(run_id))
                try:
                    receipt = ended.result(_LOOK_S)
                except TimeoutError:
                    rental = host.view(run_id).rental
                    if rental is None or rental.held is None:
                        continue
                    receipt = None
                view = host.view(run_id)
                if receipt is not None and view.rental is not None and not view.rental.is_over:
                    # Views are published a few times a second: the last one may come after the receipt.
                    view = host.wait(run_id, view.version, _LOOK_S)
                _look(narrator, view)
                return receipt
        except KeyboardInterrupt:
            rental = host.view(run_id).rental
            if is_asked or _is_kept(rental):
                raise
            is_asked = True
            tell("the rental is being ended; once more leaves it as it is")


def _look(narrator: RentalNarrator, view: RunView) -> None:
    # Nobody has to listen while something ends.
    with contextlib.suppress(OSError, ValueError):
        narrator.look(view)


def _is_ending(preferences: Settings, label: str) -> bool:
    with Rentals(preferences.database) as ledger:
        return ledger.rental(label).state is RentalState.ENDING


def _is_kept(rental: RentalCost | None) -> bool:
    return rental is not None and rental.state is RentalState.READY and bool(rental.keep_left_s)


def _tell_that_it_goes_on(preferences: Settings, label: str) -> None:
    with Rentals(preferences.database) as ledger:
        rental = ledger.rental(label)
    if rental.state.is_over:
        return
    tell(f"the rental goes on at {how_it_ends(rental)}")


def _tell_savings(host: SessionHost, preferences: Settings, receipt: Receipt) -> None:
    """Say what several runs on one machine have saved: what it took to set it up was paid once."""
    with Rentals(preferences.database) as ledger:
        run_ids = ledger.runs_on(receipt.rental)
    if len(run_ids) < 2:
        return
    price = receipt.rental.price_microusd_per_h
    once = sum(receipt.phases.get(phase, 0) for phase in (Phase.BOOTING, Phase.CONNECTING))
    try:
        phases = host.view(run_ids[0]).phases
    except (KeyError, StorageError):
        phases = {}
    once += sum(time_microusd(price, microseconds(phases[name].seconds)) for name in _SHARED if name in phases)
    saved = once * (len(run_ids) - 1)
    tell(
        f"{len(run_ids)} runs on one machine: its set-up took {formatting.money(once)}, measured here, and was paid "
        f"once; on machines of their own they would have paid {formatting.money(saved, exact=False)} more"
    )
