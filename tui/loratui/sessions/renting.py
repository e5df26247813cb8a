"""Renting: the offers one after another until a machine has an address, nothing that came to nothing left behind.

A machine is rented in the ledger first. Nothing here returns, or fails, while something of it may bill without
saying so.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from loratui.domain.formatting import day_and_time, fine_hourly_price, money
from loratui.domain.ledger import Phase, Rates, ends_ts, microseconds, spent, time_microusd
from loratui.domain.offers import Offer, is_dearer
from loratui.domain.rental import Happened, after
from loratui.providers.base import (
    LABEL_PREFIX,
    OfferGoneError,
    Provider,
    ProviderBusyError,
    ProviderError,
    ProviderRefusedError,
    RentalOrder,
)
from loratui.sessions.renting_attempt import Attempt, AttemptFailedError, CapReachedError, Connect
from loratui.sessions.renting_course import Course, Rental, RentalView
from loratui.sessions.renting_fate import UNSEEN, Pace
from loratui.sessions.renting_folder import RentalFolder
from loratui.sessions.renting_orphans import Found, orphans_among
from loratui.sessions.steady_clock import steady_ts, unset_s
from loratui.store.rentals import Rentals, StoredRental
from loratui_protocol.errors import LoratuiError, UsageError
from loratui_protocol.ids import new_id

OLDEST_PRICE_S = 86_400.0
"""A person's word counts for a day."""
BAD_FOR_S = 30 * 86_400.0
"""A machine that did not serve may have been repaired after that."""
KIND_BAD_FOR_S = 3600.0
"""Where a kind of machine is all that one knows: the one that failed is free again, so it is likely to be given out
next. An hour later others have come and gone, and longer would pass over many good machines for one bad one."""
_MAX_TOLD = 6


class NothingRentedError(LoratuiError):
    """No offer came to anything; nothing is rented."""

    default_code = "rental.none_left"
    exit_status = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxStart:
    """How a machine begins: ``RentalOrder`` says what each part means."""

    image: str
    start_script: str
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a person has agreed to."""

    offers: tuple[Offer, ...]
    """The best first. None may cost more than it says, when it is rented or while it boots."""
    asked_ts: float
    """When their prices were shown; epoch seconds."""
    cap_microusd: int | None = None
    """What all attempts may cost together."""
    reserved_microusd: int = 0
    """What of it is kept back for traffic."""
    deadline_ts: float | None = None
    """A machine that is dearer than the first, or comes after others, ends earlier: when the cap is used up."""
    stops_for: str = ""
    """Why the deadline is when it is, in a few words."""
    save_s: float = 0.0
    """So long before the deadline runs are told to save, so that their files can come home."""
    keep_s: float | None = None
    """For how long the machine is kept once all files are here; None: not at all."""
    estimated_microusd: Mapping[str, int] = field(default_factory=dict)
    """What it is likely to cost in the end on an offer, by the offer's id."""
    model_bytes: int | None = None
    """What the machine downloads of base models; None: nobody knows."""
    spent_microusd: int = 0
    """What went before ``cap_microusd`` was what is left."""

    def without(self, rental: StoredRental, cost_microusd: int, left: tuple[Offer, ...]) -> "Wanted":
        """Return what is wanted still when a machine that came up did not serve, and has cost so much.

        Its own cap was what those that failed before it had left.

        Raises:
            NothingRentedError: nothing is left to spend.
        """
        if self.cap_microusd is None or rental.cap_microusd is None:
            return replace(self, offers=left, spent_microusd=self.spent_microusd + cost_microusd)
        cap = rental.cap_microusd - cost_microusd
        spent_microusd = self.spent_microusd + self.cap_microusd - cap
        if cap <= 0:
            raise NothingRentedError(
                f"nothing is rented; what was tried cost {money(spent_microusd)}, which is all that was agreed to",
                fix="give a larger budget",
            )
        return replace(self, offers=left, cap_microusd=cap, spent_microusd=spent_microusd)

    run_id: str = ""


async def rent(
    providers: Mapping[str, Provider],
    ledger: Rentals,
    state_dir: Path,
    wanted: Wanted,
    start: Callable[[StoredRental], BoxStart],
    tell: Callable[[RentalView], None] = lambda _: None,
    *,
    connect: Connect | None = None,
    pace: Pace | None = None,
    tell_orphan: Callable[[Found], None] = lambda _: None,
) -> Rental:
    """Rent the first offer that comes to something; return it once it has an address.

    ``start`` is given the rental as it is written down. With ``connect`` signing in belongs to it: a machine that
    nobody gets into is ended, and the next offer is taken. Cancelled once, it ends what there is for certain before it
    raises that. ``tell_orphan`` is called before each attempt with what bears a label of ours there and is minded by
    nobody here; it is left alone, for another computer of this user may have rented it.

    Raises:
        UsageError: the prices are older than a day.
        NothingRentedError: no offer came to anything; why is said of each.
        ProviderRefusedError: a key, the balance or a limit forbids it; nothing is rented.
        CapReachedError: the money is used up; nothing is rented any more.
        StillBillingError: something may still bill, for it could not be seen to end.
        StorageError: the ledger can't be written.
    """
    pace = pace or Pace()
    if time.time() - wanted.asked_ts > OLDEST_PRICE_S:
        raise UsageError(
            f"the prices are of {day_and_time(wanted.asked_ts)}: nothing was rented",
            fix="look for offers again",
            code="rental.stale",
        )
    renting = _Renting(providers, ledger, state_dir, wanted, start, tell, connect, pace, tell_orphan)
    for number, offer in enumerate(wanted.offers):
        rental = await renting.rental_of(offer, wanted.offers[number + 1 :])
        if rental is not None:
            return rental
    raise renting.nothing()


def connected(ledger: Rentals, rental: Rental) -> None:
    """Write down that somebody has signed in there; for callers of ``rent`` without ``connect``."""
    stored, now_ts = ledger.rental(rental.label), steady_ts()
    state, _ = after(stored.state, Happened.CONNECTED)
    ledger.note(rental.label, state=state, ready_ts=now_ts)
    ledger.enter(rental.label, Phase.SETTING_UP, now_ts, stored.price_microusd_per_h)


class _Renting:
    """The offers of one ``rent``, and why those before came to nothing."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        ledger: Rentals,
        state_dir: Path,
        wanted: Wanted,
        start: Callable[[StoredRental], BoxStart],
        tell: Callable[[RentalView], None],
        connect: Connect | None,
        pace: Pace,
        tell_orphan: Callable[[Found], None],
    ) -> None:
        self._providers = providers
        self._ledger = ledger
        self._state_dir = state_dir
        self._wanted = wanted
        self._start = start
        self._tell = tell
        self._connect = connect
        self._pace = pace
        self._tell_orphan = tell_orphan
        self._accounts: dict[str, str] = {}
        self._bad_hosts: dict[str, dict[str, str]] = {}
        self._labels: list[str] = []
        self._failures: list[tuple[str, str]] = []
        """Codes and sentences."""

    async def rental_of(self, offer: Offer, left: tuple[Offer, ...]) -> Rental | None:
        """Return the rental of an offer, None when another one is to be tried."""
        for attempt in range(self._pace.num_busy_tries):
            try:
                now = await self._as_it_is_now(offer)
                if now is None:
                    return None
                return await self._attempt(now, max(offer.price_microusd_per_h, now.price_microusd_per_h), left)
            except ProviderBusyError as error:
                if attempt + 1 == self._pace.num_busy_tries:
                    self._note(offer, error.code, error.what)
                else:
                    await asyncio.sleep(max(self._pace.busy_s, error.retry_after_s))
            except OfferGoneError as error:
                self._note(offer, error.code, error.what)
                return None
            except AttemptFailedError as failed:
                self._note(offer, "rental.failed", str(failed))
                return None
        return None

    def nothing(self) -> NothingRentedError:
        """Return the error that says why nothing is rented."""
        codes = {code for code, _ in self._failures}
        told = [sentence for _, sentence in self._failures[:_MAX_TOLD]]
        if len(self._failures) > _MAX_TOLD:
            told.append(f"and {len(self._failures) - _MAX_TOLD} more")
        cost = self._wanted.spent_microusd + self._spent_microusd()
        so_far = f"; what was tried cost {money(cost)}" if cost else ""
        return NothingRentedError(
            f"nothing is rented{so_far}. {'; '.join(told) or 'there is no offer'}",
            fix="look for offers again, allow a higher price, or try later",
            code=codes.pop() if codes in ({"rental.price"}, {"rental.blocked"}) else None,
        )

    async def _as_it_is_now(self, offer: Offer) -> Offer | None:
        """Return an offer as it may be rented now, None when it may not: why is noted.

        What is rented there must be known before: a listing that makes no sense does not mean that it is nothing.
        """
        provider = self._providers[offer.provider]
        if why := self._known_bad(offer):
            self._note(offer, "rental.bad_host", f"that machine did not serve before: {why}")
            return None
        try:
            for found in orphans_among(provider.name, await provider.list(), self._ledger, self._state_dir):
                self._tell_orphan(found)
            if offer.provider not in self._accounts:
                self._accounts[offer.provider] = (await provider.account()).id
        except ProviderRefusedError:
            raise
        except ProviderError as error:
            why = f"what is rented there can't be known, so nothing more is: {error.what}"
            self._note(offer, "rental.blocked", why)
            return None
        try:
            now = await provider.price_now(offer)
        except (ProviderRefusedError, OfferGoneError, ProviderBusyError):
            raise
        except ProviderError as error:
            self._note(offer, error.code, error.what)
            return None
        if is_dearer(now.price_microusd_per_h, offer.price_microusd_per_h):
            price, agreed = (fine_hourly_price(each.price_microusd_per_h) for each in (now, offer))
            self._note(offer, "rental.price", f"it costs {price} now, {agreed} was agreed to")
            return None
        return now

    async def _attempt(self, offer: Offer, most_microusd_per_h: int, left: tuple[Offer, ...]) -> Rental:
        label = f"{LABEL_PREFIX}{new_id().lower()}"
        folder = RentalFolder(self._state_dir, label)
        folder.hold()
        try:
            attempt = self._prepared(offer, most_microusd_per_h, label, folder)
        except BaseException:
            folder.let_go()
            raise
        self._labels.append(label)
        return await attempt.run(self._connect, left)

    def _prepared(self, offer: Offer, most_microusd_per_h: int, label: str, folder: RentalFolder) -> Attempt:
        wanted, cap, public_key = self._wanted, self._cap_microusd(), folder.public_key()
        now_ts, price = steady_ts(), offer.price_microusd_per_h
        rental = StoredRental(
            label=label,
            provider=offer.provider,
            account_id=self._accounts[offer.provider],
            offer=offer,
            machine=offer.machine,
            public_key=public_key,
            run_ids=wanted.run_id,
            price_microusd_per_h=price,
            cap_microusd=cap,
            deadline_ts=ends_ts(wanted.deadline_ts, now_ts, cap, price, wanted.reserved_microusd),
            created_ts=now_ts,
            created_up_s=unset_s(),
            stops_for=wanted.stops_for,
            save_s=wanted.save_s,
            keep_s=wanted.keep_s,
            estimated_microusd=wanted.estimated_microusd.get(offer.id),
            model_bytes=wanted.model_bytes,
        )
        begins = self._start(rental)
        order = RentalOrder(
            offer=offer,
            label=label,
            image=begins.image,
            disk_gb=offer.disk_gb,
            public_key=public_key,
            start_script=begins.start_script,
            environment=begins.environment,
            max_price_microusd_per_h=most_microusd_per_h,
        )
        course = Course(self._ledger, rental, self._tell, self._pace.limits)
        bad_hosts = self._bad_hosts.setdefault(offer.provider, {})
        return Attempt(
            self._providers[offer.provider],
            self._ledger,
            folder,
            course,
            order,
            self._pace,
            bad_hosts,
            reserved_microusd=wanted.reserved_microusd,
        )

    def _cap_microusd(self) -> int | None:
        """Return what is left of the cap.

        Raises:
            CapReachedError: nothing is.
        """
        if self._wanted.cap_microusd is None:
            return None
        left = self._wanted.cap_microusd - self._spent_microusd() - self._unseen_microusd()
        if left <= 0:
            raise CapReachedError(
                f"the attempts so far have cost {money(self._wanted.spent_microusd + self._spent_microusd())}: that is "
                "all that was agreed to",
                fix="give a larger budget",
            )
        return left

    def _spent_microusd(self) -> int:
        return sum(
            spent(self._ledger.spans(label), steady_ts(), Rates.of(self._ledger.rental(label).offer)).total_microusd
            for label in self._labels
        )

    def _unseen_microusd(self) -> int:
        """Return what machines may have cost that nobody ever saw: an answer was lost, and nothing is there now."""
        rentals = (self._ledger.rental(label) for label in self._labels)
        return sum(
            time_microusd(rental.price_microusd_per_h, microseconds(rental.ended_ts - rental.created_ts))
            for rental in rentals
            if rental.why == UNSEEN and rental.ended_ts is not None
        )

    def _known_bad(self, offer: Offer) -> str:
        if offer.provider not in self._bad_hosts:
            self._bad_hosts[offer.provider] = self._ledger.bad_hosts(offer.provider, time.time() - BAD_FOR_S)
        return self._bad_hosts[offer.provider].get(offer.machine, "") if offer.machine else ""

    def _note(self, offer: Offer, code: str, why: str) -> None:
        place = f" in {offer.region}" if offer.region else ""
        self._failures.append((code, f"{offer.gpu_name}{place} ({offer.provider}): {why}"))
