"""One attempt to rent one offer: from the written intent to a machine with an address, or to its proven end."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from loratui.domain.formatting import duration, fine_hourly_price, money
from loratui.domain.offers import Offer, is_dearer
from loratui.domain.rental import Happened, RentalState, after, blames_host
from loratui.providers.base import (
    Instance,
    InstanceState,
    OfferGoneError,
    Provider,
    ProviderBusyError,
    ProviderError,
    ProviderRefusedError,
    RentalOrder,
    UnknownFateError,
)
from loratui.sessions.ending import EndingView, OtherAccountError, Proofs, finish
from loratui.sessions.renting_course import Course, Rental
from loratui.sessions.renting_end import end_rental, extra_ended, still_billing, tidy_up
from loratui.sessions.renting_fate import UNSEEN, Pace, look_by_label
from loratui.sessions.renting_folder import RentalFolder
from loratui.sessions.steady_clock import steady_ts
from loratui.store.rentals import Rentals
from loratui_protocol.errors import HostError, LoratuiError

Connect = Callable[[Rental], Awaitable[None]]
"""Signs in there. ``HostError``: it is no use, the next offer is taken."""


class AttemptFailedError(Exception):
    """This offer comes to nothing, and what there was of it is gone for certain: the next one may be tried."""


class CapReachedError(LoratuiError):
    """The money or the time that was agreed to is used up."""

    default_code = "rental.cap"


class Attempt:
    """``course`` begins with the rental as it is to be written down at first; ``order`` is what is sent.

    ``bad_hosts``: machines that did not serve, and why; those that don't now are added.
    """

    def __init__(
        self,
        provider: Provider,
        ledger: Rentals,
        folder: RentalFolder,
        course: Course,
        order: RentalOrder,
        pace: Pace,
        bad_hosts: dict[str, str],
        *,
        reserved_microusd: int = 0,
    ) -> None:
        self._provider = provider
        self._ledger = ledger
        self._folder = folder
        self._course = course
        self._order = order
        self._pace = pace
        self._bad_hosts = bad_hosts
        self._reserved_microusd = reserved_microusd
        self._hint = ""
        self._was_seen = False

    async def run(self, connect: Connect | None, left: tuple[Offer, ...]) -> Rental:
        """Return the machine once it has an address, or, with ``connect``, once that has signed in.

        However else this ends, what was rented is ended for certain before, cancelled once or not.

        Raises:
            AttemptFailedError, OfferGoneError: another offer may do.
            ProviderBusyError: nothing was rented; the same offer may be tried again.
            ProviderRefusedError: nothing is rented, and nothing will be.
            CapReachedError: the money is used up.
            StillBillingError: it could not be seen to end: the key does not suffice, or it was cancelled twice.
            StorageError: the ledger can't be written, so nothing may be rented.
        """
        self._ledger.intend(self._course.rental)
        try:
            self._course.move(Happened.SENT)
            await self._create()
            await self._boot()
            rental = self._rented(left)
            if connect is not None:
                await self._sign_in(connect, rental)
            return rental
        except BaseException:
            await self._clean_up()
            raise

    async def _create(self) -> None:
        """Ask for it; return once its instance is known."""
        try:
            async with asyncio.timeout(self._pace.limits.create_s):
                rented = await self._provider.create(self._order)
        except (OfferGoneError, ProviderRefusedError, ProviderBusyError) as error:
            self._course.move(Happened.REFUSED, error.what)
            raise
        except TimeoutError:
            self._course.move(Happened.TIMED_OUT, "the provider does not answer")
        except ProviderError as error:
            self._hint = error.instance_id if isinstance(error, UnknownFateError) else ""
            self._course.move(Happened.REPLY_LOST, error.what)
        else:
            self._course.take(rented.instance_id)
            self._course.move(Happened.CREATED)
            self._folder.keep_scoped_key(rented.scoped_key)
            return
        await self._find()
        if self._course.rental.state.is_over:
            raise AttemptFailedError(f"its answer was lost, and {self._course.rental.why}")

    async def _find(self) -> None:
        """Find out whether there is something that bears the label, however long that takes."""
        label, course = self._course.rental.label, self._course
        found = await look_by_label(
            self._provider, label, self._hint, self._pace, lambda error: course.show(error.what)
        )
        await extra_ended(self._provider, found[1:], self._pace.first_end_s)
        if found:
            self._was_seen = True
            course.take(found[0].id)
            course.move(Happened.FOUND)
        else:
            course.move(Happened.NOT_FOUND, UNSEEN)

    async def _boot(self) -> None:
        """Wait for an address. A look comes first: what costs more than was agreed to is ended at once."""
        proofs, wait_s = Proofs(), self._pace.first_poll_s
        course, limits = self._course, self._pace.limits
        while True:
            try:
                found = await self._provider.get(course.rental.instance_id)
            except ProviderRefusedError:
                raise
            except ProviderError as error:
                course.show(error.what)
            else:
                is_gone = proofs.add(time.monotonic(), is_gone=found is None)
                self._was_seen = self._was_seen or found is not None
                if self._was_seen and is_gone:
                    raise self._failed("it ended by itself", Happened.SHOWN_GONE)
                if found is not None and self._has_address(found):
                    course.move(Happened.HAS_ADDRESS)
                    return
            # One that is listed nowhere yet is not gone: it may be too young.
            limit_s = limits.boot_s if self._was_seen else min(limits.boot_s, limits.create_s)
            if course.in_state_s() >= limit_s:
                raise self._failed(f"it did not start within {duration(limit_s)}", Happened.TIMED_OUT)
            self._check_cap()
            await asyncio.sleep(min(wait_s, max(0.0, limit_s - course.in_state_s())))
            wait_s = min(self._pace.last_poll_s, 1.5 * wait_s)

    def _has_address(self, found: Instance) -> bool:
        """Take in what the provider shows; return whether it can be signed in to."""
        course, price = self._course, found.price_microusd_per_h
        course.note_machine(found.machine)
        if price > 0:
            course.reprice(price)
        if is_dearer(price, self._order.max_price_microusd_per_h):
            agreed = fine_hourly_price(self._order.max_price_microusd_per_h)
            raise self._failed(f"it costs {fine_hourly_price(price)}, {agreed} was agreed to", is_its_fault=False)
        if found.machine in self._bad_hosts:
            why = f"that machine did not serve before: {self._bad_hosts[found.machine]}"
            raise self._failed(why, is_its_fault=False)
        if found.state in (InstanceState.FAILED, InstanceState.STOPPED):
            why = found.detail or str(found.state)
            raise self._failed(why, Happened.FAILED, is_its_fault=blames_host(why))
        course.show(found.detail)
        course.address = found.ssh if found.state is InstanceState.RUNNING else None
        return course.address is not None

    async def _sign_in(self, connect: Connect, rental: Rental) -> None:
        limit_s = self._pace.limits.connect_s
        left_s = limit_s if rental.deadline_ts is None else max(0.0, rental.deadline_ts - steady_ts())
        try:
            async with asyncio.timeout(min(limit_s, left_s)):
                await connect(rental)
        except TimeoutError as error:
            self._check_cap()
            raise self._failed(f"nobody could sign in within {duration(limit_s)}", Happened.TIMED_OUT) from error
        except HostError as error:
            raise self._failed(error.what, Happened.FAILED) from error
        self._course.move(Happened.CONNECTED)

    async def _clean_up(self) -> None:
        """End what there is, for certain: cancelled once it goes on, cancelled twice it says what may still bill."""
        self._course.is_ending = True
        try:
            await finish(self._end)
        except (asyncio.CancelledError, ProviderRefusedError, OtherAccountError) as failed:
            if self._course.rental.state.is_over:
                raise
            raise still_billing(self._course.rental, failed) from failed
        finally:
            if self._course.rental.state.is_over:
                self._folder.remove()
            else:
                self._folder.let_go()

    async def _end(self) -> None:
        """End it, from whatever state. Begun anew it goes on where it was."""
        course, why = self._course, self._course.rental.why or "it was interrupted"
        if course.rental.state is RentalState.INTENT:
            course.move(Happened.END_WANTED, why)
        if course.rental.state is RentalState.CREATING:
            course.move(Happened.CREATED if course.rental.instance_id else Happened.END_WANTED)
        if course.rental.state is RentalState.UNKNOWN:
            await self._find()
        if not course.rental.state.is_over:
            if course.rental.state is not RentalState.ENDING:
                course.move(Happened.END_WANTED, why)
            await end_rental(
                self._provider,
                self._ledger,
                course.rental,
                why,
                self._ending,
                first_wait_s=self._pace.first_end_s,
                doubt_s=0.0 if self._was_seen else self._pace.young_s - course.since_sent_s(),
            )
            course.rental = replace(course.rental, state=after(course.rental.state, Happened.SHOWN_GONE)[0])
            course.show(why)
        await tidy_up(self._provider, self._ledger, course.rental)

    def _ending(self, view: EndingView) -> None:
        self._course.show(view.sentence)

    def _failed(
        self, why: str, happened: Happened = Happened.END_WANTED, *, is_its_fault: bool = True
    ) -> AttemptFailedError:
        """Write down why this comes to nothing; return the error that says so."""
        machine = self._course.rental.machine
        if is_its_fault:
            self._course.blame(why)
        if is_its_fault and machine:
            self._bad_hosts[machine] = why
        self._course.move(happened, why)
        return AttemptFailedError(why)

    def _check_cap(self) -> None:
        rental, spent = self._course.rental, self._course.spent_microusd()
        is_over = rental.deadline_ts is not None and steady_ts() >= rental.deadline_ts
        if is_over or (rental.cap_microusd is not None and spent >= rental.cap_microusd):
            self._course.move(Happened.END_WANTED, "the cap was reached before it started")
            raise CapReachedError(
                f"{money(spent)} are spent and it has not started: that is all that was agreed to",
                fix="give a larger budget, or another offer",
            )

    def _rented(self, left: tuple[Offer, ...]) -> Rental:
        course, address = self._course, self._course.address
        if address is None:
            raise ValueError("it has no address")
        course.end_by(self._reserved_microusd)
        rental = course.rental
        return Rental(
            label=rental.label,
            provider=rental.provider,
            instance_id=rental.instance_id,
            offer=rental.offer,
            ssh=address,
            price_microusd_per_h=rental.price_microusd_per_h,
            created_ts=course.sent_ts,
            deadline_ts=rental.deadline_ts,
            folder=self._folder,
            scoped_key=self._folder.scoped_key(),
            left=left,
        )
