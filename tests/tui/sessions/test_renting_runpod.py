"""Renting at RunPod, whose pods are a kind of GPU somewhere, and whose create knows no highest price."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from loratui.domain.offers import Offer, OfferQuery
from loratui.domain.rental import Limits, RentalState
from loratui.providers.runpod import RunPod
from loratui.sessions.renting import NothingRentedError, Rental, Wanted, rent
from loratui.sessions.renting_course import RentalView
from loratui.sessions.renting_end import finish_rental
from loratui.sessions.renting_fate import look_by_label
from loratui.store.rentals import Rentals
from support.fake_runpod import FakeRunPod, fake_runpod
from support.renting import PACE, TINY_S, begins
from tui.providers.contract import order

_S = RentalState


@dataclass
class Renter:
    fake: FakeRunPod
    provider: RunPod
    ledger: Rentals
    state_dir: Path
    views: list[RentalView] = field(default_factory=list)

    def tell(self, view: RentalView) -> None:
        """Let time pass with everything that is told."""
        self.views.append(view)
        self.fake.step()

    async def rent(self, offers: list[Offer], pace=PACE) -> Rental:
        wanted = Wanted(offers=tuple(offers), asked_ts=time.time())
        providers = {"runpod": self.provider}
        return await rent(providers, self.ledger, self.state_dir, wanted, begins, self.tell, pace=pace)

    async def end(self, rental: Rental) -> None:
        await finish_rental(self.provider, self.ledger, rental.label, "done", first_wait_s=1e-3)
        assert self.fake.num_living() == 0
        assert self.ledger.unproven() == []


@pytest.fixture
async def me(tmp_path: Path) -> AsyncIterator[Renter]:
    with fake_runpod(quota_per_minute=100_000) as fake, Rentals(tmp_path / "loratui.sqlite3") as ledger:
        fake.balance *= 10
        provider = RunPod(fake.key, fake.url, fake.graphql_url, TINY_S, logs_every_s=0.0, logs_within_s=1.0)
        async with asyncio.timeout(60):
            yield Renter(fake, provider, ledger, tmp_path)
        await provider.close()


async def test_a_pod_goes_from_its_intent_to_its_proven_end(me: Renter) -> None:
    offers = await me.provider.offers(OfferQuery())
    rental = await me.rent(offers)
    assert rental.target.startswith("ssh://root@127.0.0.1:")
    stored = me.ledger.rental(rental.label)
    assert (stored.state, stored.account_id) == (_S.CONNECTING, me.fake.account_id)
    [body] = me.fake.bodies
    assert body["env"]["PUBLIC_KEY"] == stored.public_key
    await me.end(rental)


@pytest.mark.parametrize("carried_out", [True, False])
async def test_a_lost_answer_is_looked_up(me: Renter, carried_out: bool) -> None:
    offers = await me.provider.offers(OfferQuery())
    me.fake.lose_answers("create", carried_out=carried_out)
    rental = await me.rent(offers)
    assert rental.offer.id == offers[0 if carried_out else 1].id
    assert me.fake.num_living() == 1
    await me.end(rental)


@pytest.mark.parametrize("num_clings", [0, 2])
async def test_a_pod_that_turns_out_dearer_is_ended_and_the_next_one_taken(me: Renter, num_clings: int) -> None:
    offers = await me.provider.offers(OfferQuery())
    first = offers[0]
    create = me.fake._create

    def raised(query: dict, content: bytes, key: str):
        if not me.fake.bodies:
            me.fake.raise_price(first, 9_000_000)
        reply = create(query, content, key)
        for pod in me.fake.pods.values():
            if pod.price > 5:
                pod.num_clings = num_clings
        return reply

    me.fake._create = raised
    rental = await me.rent(offers[:2])
    assert rental.offer.id == offers[1].id
    assert me.fake.num_living() == 1
    [before] = [each for each in me.ledger.rentals() if each.label != rental.label]
    assert before.proven_gone
    await me.end(rental)


async def test_a_pod_that_no_listing_shows_yet_is_found_by_the_id_that_the_answer_named(me: Renter) -> None:
    [offer, *_] = await me.provider.offers(OfferQuery())
    wanted = order(offer)
    made = await me.provider.create(wanted)
    me.fake.answer("list", 200, b'{"pods": []}', times=100)
    [found] = await look_by_label(me.provider, wanted.label, made.instance_id, PACE)
    assert found.id == made.instance_id
    assert await look_by_label(me.provider, "loratui-another", made.instance_id, PACE) == []
    assert await look_by_label(me.provider, "loratui-another", "", PACE) == []
    assert me.fake.num_requests("list") == 1 + 2 * PACE.num_looks


async def test_a_pod_behind_a_proxy_alone_is_given_up_and_its_kind_remembered_but_not_refused(me: Renter) -> None:
    [offer, *_] = await me.provider.offers(OfferQuery())
    create = me.fake._create

    def hidden(query: dict, content: bytes, key: str):
        reply = create(query, content, key)
        for pod in me.fake.pods.values():
            pod.has_proxy_only = True
        return reply

    me.fake._create = hidden
    pace = replace(PACE, limits=Limits(create_s=20.0, boot_s=0.3, connect_s=20.0))
    with pytest.raises(NothingRentedError, match="did not start"):
        await me.rent([offer], pace)
    assert me.fake.num_living() == 0
    assert me.ledger.unproven() == []
    assert me.ledger.bad_hosts("runpod") == {offer.kind: "it did not start within 0 s"}
    me.fake._create = create
    await me.end(await me.rent([offer]))


async def test_no_capacity_anywhere_is_said(me: Renter) -> None:
    offers = await me.provider.offers(OfferQuery())
    for offer in offers:
        me.fake.take_away(offer)
    with pytest.raises(NothingRentedError, match="none_left"):
        await me.rent(offers)
    assert me.ledger.rentals() == []
