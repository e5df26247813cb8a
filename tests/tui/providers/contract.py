"""What every provider's adapter must do: one suite, run against the provider's fake and, on request, the real one.

A test module of a provider has a ``rig`` fixture and a class that inherits ``ProviderContract``.
"""

from collections.abc import Callable
from typing import Protocol

import pytest

from loratui.domain.offers import Offer, OfferQuery
from loratui.providers.base import (
    LABEL_PREFIX,
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
from loratui_protocol.ids import new_id

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHVyYmFuIGxlZ2VuZHMgb2YgYSBmYWtlIGtleSBoZXJl loratui"
SCRIPT = "#!/bin/sh\necho 'armed' > /root/armed\n"


class Fake(Protocol):
    """What the suite does to a provider's fake. Faults are for the next request of that kind, unless said otherwise."""

    def step(self) -> None:
        """Let every instance get one state further, as time does."""
        ...

    def lose_answers(self, kind: str, *, carried_out: bool) -> None:
        """Break the connection instead of answering the next ``kind`` ("create", "end"), after or before doing it."""
        ...

    def answer(self, kind: str, status: int, content: bytes, *, times: int = 1, content_type: str = "") -> None:
        """Answer the next requests of a kind ("offers", "create", "get", "list", "end", "account") with this alone."""
        ...

    def take_away(self, offer: Offer) -> None:
        """Have the offer rented by somebody else."""
        ...

    def raise_price(self, offer: Offer, microusd_per_h: int) -> None:
        """Have the offer cost this much."""
        ...

    def cling(self, instance_id: str, times: int) -> None:
        """Accept the next requests to end the instance, and do nothing."""
        ...

    def fail_start(self, instance_id: str) -> None:
        """Have the instance fail to start, as a broken image makes it do."""
        ...

    def empty_account(self) -> None:
        """Leave less on the account than any rental needs."""
        ...

    def num_living(self) -> int:
        """Return how many instances there are, and bill."""
        ...

    def num_requests(self, kind: str) -> int:
        """Return how many requests of a kind arrived."""
        ...


class Rig(Protocol):
    """A provider's adapter and the fake that it talks to."""

    provider: Provider
    fake: Fake
    stranger: Provider
    """The same with a wrong key."""


def order(offer: Offer, label: str = "") -> RentalOrder:
    return RentalOrder(
        offer=offer,
        label=label or f"{LABEL_PREFIX}{new_id().lower()}",
        image="pytorch/pytorch:2.8.0-cuda12.8-cudnn9-runtime",
        disk_gb=offer.disk_gb,
        public_key=PUBLIC_KEY,
        start_script=SCRIPT,
        environment={"LORATUI_DEADLINE": "1763931200"},
        max_price_microusd_per_h=offer.price_microusd_per_h,
    )


async def until(rig: Rig, instance_id: str, condition: Callable[[Instance], object]) -> Instance:
    """Return the instance once the condition holds, as time passes."""
    for _ in range(20):
        found = await rig.provider.get(instance_id)
        assert found is not None
        if condition(found):
            return found
        rig.fake.step()
    raise AssertionError(f"never came: {found}")


async def gone(rig: Rig, instance_id: str) -> None:
    for _ in range(20):
        if await rig.provider.get(instance_id) is None:
            return
        rig.fake.step()
    raise AssertionError("it is still there")


class ProviderContract:
    async def test_offers_fit_what_was_asked_for_and_the_cheapest_comes_first(self, rig: Rig) -> None:
        offers = await rig.provider.offers(OfferQuery(min_vram_mib=20_000, disk_gb=50))
        assert offers
        assert all(offer.vram_mib >= 20_000 and offer.disk_gb == 50 for offer in offers)
        assert all(offer.provider == rig.provider.name and offer.price_microusd_per_h > 0 for offer in offers)
        prices = [offer.price_microusd_per_h for offer in offers]
        assert prices == sorted(prices)
        assert await rig.provider.offers(OfferQuery(max_price_microusd_per_h=1)) == []
        assert await rig.provider.offers(OfferQuery(gpu_name="no such gpu")) == []

    async def test_a_rental_goes_from_start_to_ssh_to_gone(self, rig: Rig) -> None:
        [offer, *_] = await rig.provider.offers(OfferQuery())
        wanted = order(offer)
        rented = await rig.provider.create(wanted)
        found = await rig.provider.get(rented.instance_id)
        assert found is not None
        assert (found.id, found.label) == (rented.instance_id, wanted.label)
        ready = await until(rig, rented.instance_id, lambda it: it.state is InstanceState.RUNNING and it.ssh)
        assert ready.ssh is not None
        assert (ready.ssh.user, ready.ssh.port > 0) == ("root", True)
        assert ready.price_microusd_per_h > 0
        await rig.provider.end(rented.instance_id)
        await gone(rig, rented.instance_id)
        assert rig.fake.num_living() == 0
        await rig.provider.tidy(wanted.label, wanted.public_key)

    async def test_a_rental_is_found_by_its_label_among_many(self, rig: Rig) -> None:
        offers = await rig.provider.offers(OfferQuery())
        orders = [order(offer) for offer in offers[:3]]
        for each in orders:
            await rig.provider.create(each)
        assert {found.label for found in await rig.provider.list()} == {each.label for each in orders}
        [only] = await rig.provider.list(orders[1].label)
        assert only.label == orders[1].label
        assert await rig.provider.list(LABEL_PREFIX + "nobody") == []

    async def test_ending_twice_does_no_harm_and_what_is_gone_is_no_error(self, rig: Rig) -> None:
        [offer, *_] = await rig.provider.offers(OfferQuery())
        rented = await rig.provider.create(order(offer))
        await rig.provider.end(rented.instance_id)
        await rig.provider.end(rented.instance_id)
        await gone(rig, rented.instance_id)
        await rig.provider.end(rented.instance_id)
        assert await rig.provider.get(rented.instance_id) is None

    async def test_an_end_that_was_accepted_and_did_nothing_is_no_end(self, rig: Rig) -> None:
        [offer, *_] = await rig.provider.offers(OfferQuery())
        rented = await rig.provider.create(order(offer))
        rig.fake.cling(rented.instance_id, 1)
        await rig.provider.end(rented.instance_id)
        assert await rig.provider.get(rented.instance_id) is not None
        await rig.provider.end(rented.instance_id)
        await gone(rig, rented.instance_id)

    async def test_an_offer_that_somebody_else_took_leads_to_the_next_one(self, rig: Rig) -> None:
        [offer, other, *_] = await rig.provider.offers(OfferQuery())
        rig.fake.take_away(offer)
        with pytest.raises(OfferGoneError):
            await rig.provider.create(order(offer))
        assert rig.fake.num_living() == 0
        await rig.provider.create(order(other))

    async def test_the_price_right_before_the_rental_counts(self, rig: Rig) -> None:
        [offer, *_] = await rig.provider.offers(OfferQuery())
        assert (await rig.provider.price_now(offer)).price_microusd_per_h == offer.price_microusd_per_h
        rig.fake.raise_price(offer, 3 * offer.price_microusd_per_h)
        assert (await rig.provider.price_now(offer)).price_microusd_per_h > 2 * offer.price_microusd_per_h
        rig.fake.take_away(offer)
        with pytest.raises(OfferGoneError):
            await rig.provider.price_now(offer)

    @pytest.mark.parametrize("carried_out", [True, False])
    async def test_a_lost_answer_to_a_create_is_of_unknown_fate_and_never_sent_again(
        self, rig: Rig, carried_out: bool
    ) -> None:
        [offer, *_] = await rig.provider.offers(OfferQuery())
        wanted = order(offer)
        rig.fake.lose_answers("create", carried_out=carried_out)
        with pytest.raises(UnknownFateError):
            await rig.provider.create(wanted)
        assert rig.fake.num_requests("create") == 1
        assert len(await rig.provider.list(wanted.label)) == rig.fake.num_living() == carried_out

    @pytest.mark.parametrize(
        ("status", "content", "content_type"),
        [
            (200, b"", ""),
            (200, b'""', "application/json"),
            (200, b"[]", "application/json"),
            (200, b"{}", "application/json"),
            (200, b"null", "application/json"),
            (200, b"<html>Just a moment...</html>", "text/html"),
            (302, b"", ""),
            (404, b"<html>nginx</html>", "text/html"),
        ],
    )
    @pytest.mark.parametrize("kind", ["offers", "get", "list", "account"])
    async def test_what_can_not_be_understood_is_an_error_and_never_nothing(
        self, rig: Rig, kind: str, status: int, content: bytes, content_type: str
    ) -> None:
        rig.fake.answer(kind, status, content, content_type=content_type)
        asked = {
            "offers": lambda: rig.provider.offers(OfferQuery()),
            "get": lambda: rig.provider.get("1"),
            "list": lambda: rig.provider.list(),
            "account": lambda: rig.provider.account(),
        }
        with pytest.raises(ProviderError):
            await asked[kind]()

    @pytest.mark.parametrize("content", [b"", b"{}", b"null", b"<html></html>", b'{"id": 7}'])
    async def test_an_answer_to_a_create_that_makes_no_sense_is_of_unknown_fate(self, rig: Rig, content: bytes) -> None:
        [offer, *_] = await rig.provider.offers(OfferQuery())
        rig.fake.answer("create", 200, content)
        with pytest.raises(UnknownFateError):
            await rig.provider.create(order(offer))

    @pytest.mark.parametrize("status", [500, 502, 503])
    async def test_a_server_in_trouble_is_asked_again_but_no_order_is_sent_twice(self, rig: Rig, status: int) -> None:
        rig.fake.answer("list", status, b"oops", times=2)
        assert await rig.provider.list() == []
        [offer, *_] = await rig.provider.offers(OfferQuery())
        rig.fake.answer("create", status, b"oops")
        with pytest.raises(UnknownFateError):
            await rig.provider.create(order(offer))
        assert rig.fake.num_requests("create") == 1

    async def test_a_server_that_stays_in_trouble_is_busy(self, rig: Rig) -> None:
        rig.fake.answer("list", 503, b"maintenance", times=100)
        with pytest.raises(ProviderBusyError):
            await rig.provider.list()

    async def test_a_wrong_key_is_said_to_be_one(self, rig: Rig) -> None:
        with pytest.raises(ProviderRefusedError) as caught:
            await rig.stranger.account()
        assert caught.value.code == "provider.key"
        with pytest.raises(ProviderRefusedError):
            await rig.stranger.list()

    async def test_an_account_says_whose_it_is_and_always_the_same(self, rig: Rig) -> None:
        account = await rig.provider.account()
        assert account.id
        assert (await rig.provider.account()).id == account.id

    async def test_an_empty_account_rents_nothing(self, rig: Rig) -> None:
        [offer, *_] = await rig.provider.offers(OfferQuery())
        rig.fake.empty_account()
        with pytest.raises(ProviderRefusedError) as caught:
            await rig.provider.create(order(offer))
        assert caught.value.code == "provider.balance"
        assert rig.fake.num_living() == 0
        assert (await rig.provider.account()).balance_microusd < 1_000_000

    async def test_a_machine_that_will_never_run_is_failed_and_says_why(self, rig: Rig) -> None:
        [offer, *_] = await rig.provider.offers(OfferQuery())
        rented = await rig.provider.create(order(offer))
        rig.fake.fail_start(rented.instance_id)
        failed = await until(rig, rented.instance_id, lambda it: it.state is InstanceState.FAILED)
        assert failed.detail
        await rig.provider.end(rented.instance_id)
        await gone(rig, rented.instance_id)
