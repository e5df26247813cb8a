"""What is rented, held against the ledger: what is minded, what nobody minds, and what nobody can know."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from loratui.domain.ledger import Phase
from loratui.domain.rental import Happened, RentalState, after
from loratui.providers.base import Instance, Provider, ProviderError
from loratui.remote.groups import one_error
from loratui.sessions.ending import FIRST_WAIT_S, PROOFS, EndingView, check_account, end_for_certain
from loratui.sessions.renting_end import end_rental, noted, tidy_up, with_instance
from loratui.sessions.renting_fate import UNSEEN, Pace, look_by_label
from loratui.sessions.renting_folder import RentalFolder
from loratui.sessions.steady_clock import steady_ts, unset_s
from loratui.store.rentals import Rentals, StoredRental

_PATIENCE = 3
"""Listings that fail, before that is said instead of a fate."""
_NEVER_SHOWN = (RentalState.CREATING, RentalState.UNKNOWN, RentalState.BOOTING, RentalState.ENDING)
"""In these a machine that was asked for may never have been listed, unless somebody has signed in there."""
_NOBODY = {
    RentalState.INTENT: "whoever rented it was killed before it was known",
    RentalState.CREATING: "whoever rented it was killed before it was known",
    RentalState.UNKNOWN: "whoever rented it was killed before it was known",
    RentalState.BOOTING: "whoever rented it was killed while it started",
    RentalState.CONNECTING: "whoever rented it was killed before signing in",
    RentalState.ENDING: "its end was begun, and never seen",
    RentalState.GONE: "by the ledger it has ended",
    RentalState.LOST: "by the ledger it has ended",
}


class Standing(StrEnum):
    """How something that is rented, or may be, stands with this laptop."""

    YOURS = "yours"
    ORPHAN = "orphan"
    """It bills, and nobody here minds it."""
    UNKNOWN_FATE = "unknown fate"
    """Nobody can say whether it bills."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Something that is rented, or may be. Without ``instance`` the ledger alone knows of it."""

    provider: str
    standing: Standing
    why: str = ""
    instance: Instance | None = None
    rental: StoredRental | None = None

    @property
    def id(self) -> str:
        """Return what its provider calls it, empty where nobody knows that."""
        if self.instance is not None:
            return self.instance.id
        return self.rental.instance_id if self.rental is not None else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciled:
    """What is there, and what turned out to be gone: the ledger knows that now."""

    found: Sequence[Found]
    settled: Sequence[StoredRental]
    errors: dict[str, ProviderError]
    """Of providers whose listing could not be had, or makes no sense: nothing is known about them."""


async def reconcile(
    providers: Iterable[Provider], ledger: Rentals, state_dir: Path, *, pace: Pace | None = None
) -> Reconciled:
    """Ask every provider what is rented; hold that against the ledger, and settle what can be settled.

    Nothing is ended here, and nothing adopted.

    Raises:
        StorageError: the ledger can't be written.
    """
    pace, by_name = pace or Pace(), {provider.name: provider for provider in providers}
    looks = [_Look(provider, ledger, state_dir, pace) for provider in by_name.values()]
    with one_error():
        async with asyncio.TaskGroup() as tasks:
            for look in looks:
                tasks.create_task(look.look(), name=f"look {look.name}")
    found = [each for look in looks for each in look.found]
    found += [
        Found(
            provider=rental.provider,
            standing=Standing.UNKNOWN_FATE,
            why=f"there is no key of {rental.provider} to ask with",
            rental=rental,
        )
        for rental in ledger.unproven()
        if rental.provider not in by_name
    ]
    return Reconciled(
        found=found,
        settled=[rental for look in looks for rental in look.settled],
        errors={look.name: look.error for look in looks if look.error is not None},
    )


async def end_found(
    provider: Provider,
    ledger: Rentals | None,
    found: Found,
    tell: Callable[[EndingView], None] = lambda _: None,
    *,
    why: str = "",
    first_wait_s: float = FIRST_WAIT_S,
) -> None:
    """End something that is rented, for certain; what the ledger knows of it, it knows to be gone then.

    What no listing shows is ended by the id that the ledger knows. ``why``: where somebody wants it; as a rule it is
    because nobody minds it.

    Raises:
        ProviderRefusedError, OtherAccountError: as ``end_for_certain``.
    """
    instance_id = found.id
    if not instance_id:
        raise ValueError("there is nothing that could be ended")
    if found.rental is None or ledger is None:
        await end_for_certain(provider, instance_id, tell, first_wait_s=first_wait_s)
        return
    rental = with_instance(found.rental, instance_id)
    if not ledger.charges(rental.label):
        # A disk that is full keeps no machine alive.
        price = rental.price_microusd_per_h
        noted(lambda: ledger.enter(rental.label, Phase.BOOTING, rental.created_ts, price))
    may_be_unlisted = found.instance is None and rental.state in _NEVER_SHOWN
    await end_rental(
        provider,
        ledger,
        rental,
        why or found.why or "it was swept",
        tell,
        first_wait_s=first_wait_s,
        doubt_s=Pace().young_s if may_be_unlisted else 0.0,
    )
    await tidy_up(provider, ledger, rental)


async def tidy_all(provider: Provider, ledger: Rentals) -> None:
    """Take off the account what ended rentals have left on it."""
    for rental in ledger.rentals():
        if rental.provider == provider.name and rental.state.is_over and not rental.is_tidy:
            await tidy_up(provider, ledger, rental)


def orphans_among(provider: str, listed: Iterable[Instance], ledger: Rentals, state_dir: Path) -> list[Found]:
    """Return what of a provider's listing bears our label and is minded by nobody here; nobody is asked for it."""
    known = {rental.label: rental for rental in ledger.rentals() if rental.provider == provider}
    found = []
    for instance in listed:
        rental = known.get(instance.label)
        standing, why = standing_of(instance, rental, ledger, state_dir)
        if standing is Standing.ORPHAN:
            found.append(Found(provider=provider, standing=standing, why=why, instance=instance, rental=rental))
    return found


def standing_of(
    instance: Instance, rental: StoredRental | None, ledger: Rentals, state_dir: Path
) -> tuple[Standing, str]:
    """Return how an instance that bears our label stands, and why."""
    if rental is None:
        return Standing.ORPHAN, "no ledger of this laptop knows it, another computer of yours may"
    if RentalFolder(state_dir, rental.label).is_minded():
        return Standing.YOURS, "a loratui that runs now minds it"
    if rental.instance_id not in ("", instance.id):
        return Standing.ORPHAN, f"by the ledger its label is that of {rental.instance_id}"
    if rental.state is RentalState.READY:
        if runs := ledger.runs_on(rental):
            return Standing.YOURS, f"run {', '.join(runs)}"
        return Standing.ORPHAN, "no run was ever on it"
    return Standing.ORPHAN, _NOBODY[rental.state]


def _is_young(rental: StoredRental, young_s: float) -> bool:
    """Return whether it was asked for so lately that it need not be listed yet: by either clock, if one was set."""
    ages_s = [time.time() - rental.created_ts]
    if rental.created_up_s is not None:
        ages_s.append(unset_s() - rental.created_up_s)
    return any(0 <= age_s < young_s for age_s in ages_s)


def _gone_why(rental: StoredRental) -> str:
    if rental.instance_id:
        return "it ended while nobody looked"
    return "nothing was rented" if rental.state is RentalState.INTENT else UNSEEN


class _Look:
    """At one provider."""

    def __init__(self, provider: Provider, ledger: Rentals, state_dir: Path, pace: Pace) -> None:
        self.name = provider.name
        self.found: list[Found] = []
        self.settled: list[StoredRental] = []
        self.error: ProviderError | None = None
        self._provider = provider
        self._ledger = ledger
        self._state_dir = state_dir
        self._pace = pace

    async def look(self) -> None:
        """Take in the listing, then what it lacks of that which the ledger takes for billing."""
        # Before the listing: what is rented in between is in neither.
        unproven = [rental for rental in self._ledger.unproven() if rental.provider == self.name]
        try:
            instances = await self._provider.list()
        except ProviderError as error:
            self.error = error
            for rental in unproven:
                self._unknown(rental, error.what)
            return
        known = {rental.label: rental for rental in self._ledger.rentals() if rental.provider == self.name}
        for instance in instances:
            self._take(instance, known.get(instance.label))
        listed = {instance.label for instance in instances}
        for rental in unproven:
            if rental.label not in listed:
                await self._settle(rental)

    def _take(self, instance: Instance, rental: StoredRental | None) -> None:
        standing, why = standing_of(instance, rental, self._ledger, self._state_dir)
        self.found.append(Found(provider=self.name, standing=standing, why=why, instance=instance, rental=rental))

    def _unknown(self, rental: StoredRental, why: str) -> None:
        self.found.append(Found(provider=self.name, standing=Standing.UNKNOWN_FATE, why=why, rental=rental))

    async def _settle(self, rental: StoredRental) -> None:
        """Find out about a rental that is not listed: its own label, or id, has to show that too, more than once."""
        if RentalFolder(self._state_dir, rental.label).is_minded():
            why = "a loratui that runs now minds it"
            self.found.append(Found(provider=self.name, standing=Standing.YOURS, why=why, rental=rental))
            return
        try:
            if rental.account_id:
                await check_account(self._provider, rental.account_id)
            there = await self._seek(rental)
        except ProviderError as error:
            self._unknown(rental, error.what)
            return
        if there is not None:
            self._take(there, rental)
            return
        was_shown = rental.state not in _NEVER_SHOWN or rental.ready_ts is not None
        if not was_shown and _is_young(rental, self._pace.young_s):
            self._unknown(rental, "it was asked for only just now, and listings lag behind: look again in a minute")
            return
        happened = Happened.SHOWN_GONE if rental.instance_id else Happened.NOT_FOUND
        state, _ = after(rental.state, happened)
        why = (rental.instance_id and rental.why) or _gone_why(rental)
        self._ledger.note_end(rental.label, state, steady_ts(), why)
        settled = replace(rental, state=state, proven_gone=True, why=why)
        self.settled.append(settled)
        await tidy_up(self._provider, self._ledger, settled)

    async def _seek(self, rental: StoredRental) -> Instance | None:
        if not rental.instance_id:
            found = await look_by_label(self._provider, rental.label, "", self._pace, num_errors=_PATIENCE)
            return found[0] if found else None
        for proof in range(PROOFS):
            if proof:
                await asyncio.sleep(self._pace.first_look_s)
            there = await self._provider.get(rental.instance_id)
            if there is not None:
                return there
        return None
