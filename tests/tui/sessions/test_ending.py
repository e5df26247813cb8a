"""The end of a rental: asked for until the provider itself shows that it is gone, whatever happens in between."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from loratui.domain.offers import OfferQuery
from loratui.providers.base import ProviderRefusedError
from loratui.providers.vast import Vast
from loratui.sessions.ending import PROOFS, EndingView, end_for_certain
from support.fake_vast import FakeVast, fake_vast
from tui.providers.contract import order

FAST_S = 1e-3


@dataclass
class Rented:
    fake: FakeVast
    provider: Vast
    instance_id: str


@pytest.fixture
async def rented() -> AsyncIterator[Rented]:
    with fake_vast() as fake:
        provider = Vast(fake.key, url=fake.url, retry_first_s=1e-4)
        [offer, *_] = await provider.offers(OfferQuery())
        created = await provider.create(order(offer))
        yield Rented(fake, provider, created.instance_id)
        await provider.close()


async def ended(rented: Rented) -> list[EndingView]:
    views: list[EndingView] = []
    async with asyncio.timeout(20):
        await end_for_certain(rented.provider, rented.instance_id, views.append, first_wait_s=FAST_S)
    return views


async def test_an_end_is_believed_after_two_answers_that_show_it(rented: Rented) -> None:
    views = await ended(rented)
    assert [view.num_proofs for view in views][-PROOFS:] == [1, 2]
    assert views[-1].num_requests == 1
    assert rented.fake.num_living() == 0


async def test_an_end_that_was_accepted_and_did_nothing_is_asked_for_again(rented: Rented) -> None:
    rented.fake.cling(rented.instance_id, 2)
    views = await ended(rented)
    assert views[-1].num_requests == 3
    assert rented.fake.num_living() == 0


@pytest.mark.parametrize(("status", "content"), [(500, b"oops"), (200, b'""'), (200, b"<html></html>"), (429, b"slow")])
async def test_trouble_is_no_end_and_no_reason_to_stop(rented: Rented, status: int, content: bytes) -> None:
    rented.fake.answer("end", status, content, times=6)
    rented.fake.answer("get", status, content, times=6)
    views = await ended(rented)
    assert any(view.error for view in views)
    assert all(view.num_proofs == 0 for view in views if view.error)
    assert rented.fake.num_living() == 0


@pytest.mark.parametrize("error", [BrokenPipeError(32, "Broken pipe"), OSError(5, "I/O error"), ValueError("closed")])
async def test_nobody_who_listens_is_no_reason_to_stop(rented: Rented, error: Exception) -> None:
    def tell(_: EndingView) -> None:
        raise error

    rented.fake.answer("end", 500, b"", times=3)
    async with asyncio.timeout(20):
        await end_for_certain(rented.provider, rented.instance_id, tell, first_wait_s=FAST_S)
    assert rented.fake.num_living() == 0


async def test_a_key_that_was_taken_away_is_said_and_not_tried_for_ever(rented: Rented) -> None:
    stranger = Vast("wrong", url=rented.fake.url, retry_first_s=1e-4)
    with pytest.raises(ProviderRefusedError):
        await end_for_certain(stranger, rented.instance_id, first_wait_s=FAST_S)
    await stranger.close()
    assert rented.fake.num_living() == 1
