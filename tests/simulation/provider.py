"""The provider as a client sees it: the port over a line that may be cut, and the ledger that is watched."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from loratui.domain.offers import Offer, OfferQuery
from loratui.domain.rental import RentalState
from loratui.providers.base import (
    LABEL_PREFIX,
    Account,
    Charges,
    Instance,
    OfferGoneError,
    ProviderBusyError,
    ProviderError,
    RentalOrder,
    Rented,
    UnknownFateError,
)
from loratui.store.rentals import Rentals, StoredRental
from loratui_protocol.errors import StorageError
from simulation.cloud import Attempt, Cloud
from simulation.world import NoAnswerError, NotSentError, World

T = TypeVar("T")


class SimulatedProvider:
    """A ``Provider``; ``who`` asks, along ``line``."""

    def __init__(self, world: World, cloud: Cloud, name: str, who: str, line: str) -> None:
        self._world = world
        self._cloud = cloud
        self._name = name
        self._who = who
        self._line = line
        self._is_listing_known = False

    @property
    def name(self) -> str:
        """Return its name."""
        return self._name

    async def account(self) -> Account:
        """Return whose key it is."""
        return Account(id=await self._ask(self._cloud.account), balance_microusd=50_000_000)

    async def offers(self, query: OfferQuery) -> list[Offer]:
        """Return nothing: whoever simulates knows the offers."""
        return []

    async def price_now(self, offer: Offer) -> Offer:
        """Return it with the price that it has now."""
        return replace(offer, price_microusd_per_h=await self._ask(lambda: self._cloud.price_now(offer)))

    async def create(self, order: RentalOrder) -> Rented:
        """Rent a machine: sent once."""
        if not self._is_listing_known:
            self._world.wrong("create", f"{order.label} is asked for after a listing that was not understood")
        if order.offer.price_microusd_per_h > order.max_price_microusd_per_h:
            raise OfferGoneError("its price was raised")
        self._world.say(f"asks for {order.label}")
        try:
            return await self._world.request(self._line, lambda: self._cloud.create(order), timeout_s=50.0)
        except NotSentError as error:
            raise ProviderBusyError("no connection", code="provider.unreachable") from error
        except NoAnswerError as error:
            raise UnknownFateError("no answer") from error

    async def get(self, instance_id: str) -> Instance | None:
        """Return what is shown of it."""
        return await self._ask(lambda: self._cloud.get(instance_id))

    async def list(self, label_prefix: str = LABEL_PREFIX) -> Sequence[Instance]:  # type: ignore[override]
        """Return what is rented."""
        self._is_listing_known = False
        found = await self._ask(self._cloud.list)
        self._is_listing_known = True
        return [instance for instance in found if instance.label.startswith(label_prefix)]

    async def end(self, instance_id: str) -> None:
        """Ask for its end."""
        self._cloud.rigs[instance_id].attempts.append(Attempt(self._world.now_s, self._who))
        self._world.say(f"asks for the end of machine {instance_id}")
        await self._ask(lambda: self._cloud.end(instance_id, self._who))

    async def charges(self, instance_id: str) -> Charges | None:
        """Return what was billed."""
        rig = self._cloud.rigs[instance_id]
        return await self._ask(lambda: Charges(total_microusd=int(rig.bill(self._world.now_s))))

    async def tidy(self, label: str, public_key: str) -> None:
        """Take away our key."""
        await self._ask(lambda: None)

    async def close(self) -> None:
        """Close nothing."""

    async def _ask(self, serve: Callable[[], T]) -> T:
        try:
            return await self._world.request(self._line, serve)
        except (NotSentError, NoAnswerError) as error:
            raise ProviderBusyError("it can't be reached", code="provider.unreachable") from error
        except ProviderError as error:
            self._world.say(f"the provider says: {error.code} {error.what}")
            raise


class WatchedLedger(Rentals):
    """The real ledger; its disk fails now and then, and what it calls gone is held against the provider."""

    def __init__(self, path: Path, world: World, cloud: Cloud) -> None:
        super().__init__(path)
        self._world = world
        self._cloud = cloud
        self.on_intent: Callable[[str], None] = lambda _: None

    def intend(self, rental: StoredRental) -> None:
        """Write it down."""
        self._world.names[rental.label] = f"rental{len(self._world.names)}"
        super().intend(rental)
        self.on_intent(rental.label)

    def note_end(self, label: str, state: RentalState, ts: float, why: str | None = None) -> None:
        """Write it down."""
        living = [rig for rig in self._cloud.living() if rig.label == label]
        if living:
            self._world.wrong("truth", f"{label} is called {state} while machine {living[0].id} bills ({why})")
        super().note_end(label, state, ts, why)
        self._world.say(f"ledger: {label} is {state}: {why}")

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        if self._world.fails("ledger can't be written"):
            raise StorageError("the disk is full")
        with super()._writing() as database:
            yield database


def is_on_disk(path: Path, label: str) -> bool:
    """Return whether an intent can be read by somebody else, so that a kill loses nothing of it."""
    with sqlite3.connect(path, isolation_level=None) as database:
        found = database.execute("SELECT 1 FROM rentals WHERE label = ?", (label,)).fetchone()
    database.close()
    return found is not None
