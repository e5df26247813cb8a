"""How long a machine is waited for is a setting: what takes longer is ended, and the next one taken."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from loratui import settings
from loratui.sessions.renting import Rental
from loratui.sessions.renting_end import finish_rental
from loratui.sessions.renting_fate import Pace, pace_of
from support.renting import PACE, Renter, renter


@pytest.fixture
async def me(tmp_path: Path) -> AsyncIterator[Renter]:
    async with asyncio.timeout(60), renter(tmp_path) as lent:
        yield lent


def pace(**minutes: str) -> Pace:
    """Return a pace without patience, but for what a user has set."""
    flags = {f"rental.{name}_limit_min": text for name, text in minutes.items()}
    return replace(PACE, limits=pace_of(settings.load(flags, {"HOME": "/nowhere"})).limits)


async def test_a_machine_without_an_address_is_waited_for_as_long_as_was_set(me: Renter) -> None:
    [offer, *_] = offers = await me.offers()
    me.fake.stands_still = {int(offer.machine)}
    rental = await me.rent(offers, pace=pace(boot="0.005"))
    assert rental.offer.id == offers[1].id
    [first] = [each for each in me.ledger.rentals() if each.label != rental.label]
    assert "it did not start within" in first.why
    await finish_rental(me.provider, me.ledger, rental.label, "done", first_wait_s=1e-3)


async def test_a_machine_that_lets_nobody_in_is_waited_for_as_long_as_was_set(me: Renter) -> None:
    tried: list[str] = []

    async def connect(rental: Rental) -> None:
        tried.append(rental.offer.id)
        if len(tried) == 1:
            await asyncio.Event().wait()

    offers = await me.offers()
    rental = await me.rent(offers, connect=connect, pace=pace(connect="0.005"))
    assert tried == [offer.id for offer in offers[:2]]
    await finish_rental(me.provider, me.ledger, rental.label, "done", first_wait_s=1e-3)
