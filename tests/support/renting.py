"""What every test that rents needs: a moving provider on loopback, its adapter, a ledger, and no patience."""

import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from loratui.domain.offers import Offer, OfferQuery
from loratui.domain.rental import Limits, RentalState
from loratui.providers.vast import Vast
from loratui.sessions.renting import BoxStart, Rental, Wanted, rent
from loratui.sessions.renting_attempt import Connect
from loratui.sessions.renting_course import RentalView
from loratui.sessions.renting_fate import Pace
from loratui.store.rentals import Rentals, StoredRental
from support.fake_vast import fake_vast
from support.moving_vast import MovingVast

TINY_S = 1e-4
PACE = Pace(
    limits=Limits(create_s=20.0, boot_s=20.0, connect_s=20.0),
    first_poll_s=1e-3,
    last_poll_s=2e-3,
    num_looks=3,
    first_look_s=1e-3,
    busy_s=1e-3,
    first_end_s=1e-3,
    young_s=0.0,
)


def begins(rental: StoredRental) -> BoxStart:
    return BoxStart(
        image="pytorch/pytorch:2.8.0-cuda12.8-cudnn9-runtime",
        start_script=f"#!/bin/sh\necho {rental.label} > /root/armed\n",
        environment={"LORATUI_DEADLINE": "1763931200"},
    )


@dataclass
class Renter:
    """A laptop with a key of Vast.ai's."""

    fake: MovingVast
    provider: Vast
    ledger: Rentals
    state_dir: Path
    views: list[RentalView] = field(default_factory=list)

    async def offers(self) -> list[Offer]:
        return await self.provider.offers(OfferQuery())

    async def rent(
        self,
        offers: Sequence[Offer] | None = None,
        *,
        cap: int | None = None,
        deadline_ts: float | None = None,
        asked_ts: float | None = None,
        connect: Connect | None = None,
        pace: Pace = PACE,
        keep_s: float | None = None,
    ) -> Rental:
        wanted = Wanted(
            offers=tuple(await self.offers() if offers is None else offers),
            asked_ts=time.time() if asked_ts is None else asked_ts,
            cap_microusd=cap,
            deadline_ts=deadline_ts,
            keep_s=keep_s,
        )
        return await rent(
            {"vast": self.provider},
            self.ledger,
            self.state_dir,
            wanted,
            begins,
            self.views.append,
            connect=connect,
            pace=pace,
        )

    def states(self, label: str = "") -> list[RentalState]:
        """The states that were shown, each once in a row."""
        shown: list[RentalState] = []
        for view in self.views:
            if view.label.startswith(label) and (not shown or shown[-1] is not view.state):
                shown.append(view.state)
        return shown


def billing(fake: MovingVast) -> Iterable[int]:
    return list(fake.instances)


@asynccontextmanager
async def renter(folder: Path) -> AsyncIterator[Renter]:
    with fake_vast(MovingVast()) as fake, Rentals(folder / "loratui.sqlite3") as ledger:
        assert isinstance(fake, MovingVast)
        provider = Vast(fake.key, url=fake.url, retry_first_s=TINY_S)
        try:
            yield Renter(fake, provider, ledger, folder)
        finally:
            await provider.close()
