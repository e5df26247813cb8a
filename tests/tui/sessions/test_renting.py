"""Renting, against a provider on loopback: whatever goes wrong, nothing is left that bills and nobody knows of."""

import asyncio
import re
import stat
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui.domain.formatting import fine_hourly_price, money
from loratui.domain.ledger import Phase, charges
from loratui.domain.rental import Limits, RentalState
from loratui.providers.base import ProviderRefusedError
from loratui.sessions.ending import StillBillingError
from loratui.sessions.renting import NothingRentedError, Rental, Wanted, connected, rent
from loratui.sessions.renting_attempt import CapReachedError
from loratui.sessions.renting_end import finish_rental
from loratui.sessions.renting_folder import RentalFolder
from loratui.store.rentals import may_bill
from loratui_protocol.errors import HostError, StorageError, UsageError
from support.renting import PACE, Renter, begins, renter
from tui.store.test_rentals import stored_rental

_S = RentalState


@pytest.fixture
async def me(tmp_path: Path) -> AsyncIterator[Renter]:
    async with asyncio.timeout(60), renter(tmp_path) as lent:
        yield lent


async def end(me: Renter, label: str) -> None:
    await finish_rental(me.provider, me.ledger, label, "the files are here", first_wait_s=1e-3)


def all_proven_gone(me: Renter) -> bool:
    return me.fake.num_living() == 0 and me.ledger.unproven() == []


async def test_an_offer_becomes_a_machine_with_an_address_and_everything_of_it_is_in_the_ledger(me: Renter) -> None:
    [offer, *others] = await me.offers()
    rental = await me.rent()
    assert (rental.offer.id, rental.left) == (offer.id, tuple(others))
    assert rental.target == f"ssh://root@203.0.113.42:{rental.ssh.port}"
    assert me.states() == [_S.CREATING, _S.BOOTING, _S.CONNECTING]
    stored = me.ledger.rental(rental.label)
    assert (stored.state, stored.instance_id) == (_S.CONNECTING, rental.instance_id)
    assert (stored.ssh_host, stored.ssh_port, stored.account_id) == ("203.0.113.42", rental.ssh.port, "123456")
    assert stored.machine == offer.machine
    [instance] = me.fake.instances.values()
    assert (instance.label, instance.public_keys) == (rental.label, [stored.public_key])
    assert [view.elapsed_s for view in me.views] == sorted(view.elapsed_s for view in me.views)
    assert [view.spent_microusd for view in me.views] == sorted(view.spent_microusd for view in me.views)
    connected(me.ledger, rental)
    assert me.ledger.rental(rental.label).state is _S.READY
    phases = [span.phase for span in me.ledger.spans(rental.label)]
    assert phases == [Phase.BOOTING, Phase.CONNECTING, Phase.SETTING_UP]
    await end(me, rental.label)


async def test_keys_are_private_files_and_not_in_the_database(me: Renter) -> None:
    rental = await me.rent()
    assert rental.scoped_key == f"instance-key-{rental.instance_id}"
    assert rental.scoped_key not in repr(rental)
    for path in (rental.folder.key_path, rental.folder.path / "scoped_key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    written = b"".join(path.read_bytes() for path in me.state_dir.glob("loratui.sqlite3*"))
    assert rental.label.encode() in written
    for secret in (rental.scoped_key.encode(), rental.folder.key_path.read_bytes()[60:120], me.fake.key.encode()):
        assert secret not in written
    await end(me, rental.label)


async def test_the_intent_is_written_before_anything_is_asked_for(me: Renter) -> None:
    seen: list[RentalState] = []

    def look() -> None:
        seen.extend(rental.state for rental in may_bill(me.state_dir / "loratui.sqlite3"))

    me.fake.on_created = look
    rental = await me.rent()
    assert seen == [_S.CREATING]
    await end(me, rental.label)


async def test_a_ledger_that_can_not_be_written_rents_nothing(me: Renter) -> None:
    me.ledger._database.execute("PRAGMA query_only = ON")
    with pytest.raises(StorageError):
        await me.rent()
    assert me.fake.num_requests("create") == 0


async def test_a_ledger_that_breaks_once_something_was_rented_ends_it(me: Renter) -> None:
    class Breaking(list):
        def append(self, view) -> None:
            if view.state is _S.CREATING:
                me.ledger._database.execute("PRAGMA query_only = ON")

    me.views = Breaking()
    with pytest.raises(StorageError):
        await me.rent()
    assert me.fake.num_requests("create") == 1
    assert me.fake.num_living() == 0


async def test_an_offer_that_is_gone_leads_to_the_next_one(me: Renter) -> None:
    offers = await me.offers()
    me.fake.take_away(offers[0])
    me.fake.asks[int(offers[1].id)]["rentable"] = False
    rental = await me.rent(offers)
    assert rental.offer.id == offers[2].id
    await end(me, rental.label)


async def test_an_offer_that_is_taken_between_its_price_and_its_rental_leads_to_the_next_one(me: Renter) -> None:
    offers = await me.offers()
    me.fake.answer("create", 410, b'{"success": false, "error": "no_such_ask", "msg": "no longer available"}')
    rental = await me.rent(offers)
    assert rental.offer.id == offers[1].id
    [first] = [each for each in me.ledger.rentals() if each.label != rental.label]
    assert (first.state, first.proven_gone, first.is_tidy) == (_S.GONE, True, True)
    assert [path.name for path in (me.state_dir / "rentals").iterdir()] == [rental.label], "keys go with their machine"
    assert me.ledger.spans(first.label) == [], "nothing was rented, so nothing was spent"
    await end(me, rental.label)


async def test_a_price_that_was_raised_in_between_is_refused(me: Renter) -> None:
    offers = (await me.offers())[:2]
    for offer in offers:
        me.fake.raise_price(offer, 2_000_000)
    with pytest.raises(NothingRentedError, match=r"rental\.price.*\$2\.0000/h now") as caught:
        await me.rent(offers)
    assert caught.value.exit_status == 4
    assert (me.fake.num_requests("create"), me.ledger.rentals()) == (0, [])


async def test_what_the_next_offer_may_cost_the_first_may_not(me: Renter) -> None:
    cheap, dear = (await me.offers())[:2]
    assert cheap.price_microusd_per_h < dear.price_microusd_per_h - 1000
    me.fake.raise_price(cheap, dear.price_microusd_per_h - 500)
    rental = await me.rent([cheap, dear])
    assert rental.offer.id == dear.id
    assert me.fake.num_requests("create") == 1
    await end(me, rental.label)


async def test_prices_of_the_day_before_yesterday_rent_nothing(me: Renter) -> None:
    with pytest.raises(UsageError, match=r"rental\.stale"):
        await me.rent(asked_ts=time.time() - 86_401)
    assert me.fake.num_requests("create") == 0


async def test_a_machine_that_costs_more_than_was_agreed_to_is_ended_at_once(me: Renter) -> None:
    [offer, *_] = offers = await me.offers()
    create = me.fake._create

    def dearer(number: int, body: object) -> tuple[int, object]:
        answer = create(number, body)
        if number == int(offer.id):
            for made in me.fake.instances.values():
                made.changes["dph_total"] = 99.0
        return answer

    me.fake._create = dearer
    rental = await me.rent(offers[:2])
    assert rental.offer.id == offers[1].id
    [first] = [each for each in me.ledger.rentals() if each.label != rental.label]
    assert first.proven_gone
    assert f"$99.0000/h, {fine_hourly_price(offer.price_microusd_per_h)} was agreed to" in first.why
    assert {span.microusd_per_h for span in me.ledger.spans(first.label)} == {99_000_000}
    assert me.ledger.bad_hosts("vast") == {}, "a price is no fault of the machine"
    assert me.states(first.label) == [_S.CREATING, _S.BOOTING, _S.ENDING, _S.GONE]
    await end(me, rental.label)


@pytest.mark.parametrize("how", ["never starts", "fails", "vanishes"])
async def test_a_machine_that_does_not_serve_is_ended_remembered_and_left_for_the_next_one(
    me: Renter, how: str
) -> None:
    [offer, *_] = offers = await me.offers()
    pace = PACE
    if how == "never starts":
        me.fake.stands_still = {int(offer.machine)}
        pace = replace(PACE, limits=Limits(create_s=20.0, boot_s=0.3, connect_s=20.0))
    else:
        me.fake.on_created = lambda: breaking(me, how)
    rental = await me.rent(offers, pace=pace)
    assert rental.offer.id == offers[1].id
    [first] = [each for each in me.ledger.rentals() if each.label != rental.label]
    assert first.proven_gone
    assert first.state is (_S.LOST if how == "vanishes" else _S.GONE)
    assert list(me.ledger.bad_hosts("vast")) == [offer.machine]
    assert me.fake.num_living() == 1
    await end(me, rental.label)
    again = await me.rent(offers)
    assert again.offer.id == offers[1].id, "a machine that did not serve is passed over"
    assert me.fake.num_requests("create") == 3
    await end(me, again.label)


async def test_a_machine_that_did_not_serve_before_is_known_even_if_its_offer_does_not_name_it(me: Renter) -> None:
    [first, other, *_] = await me.offers()
    me.ledger.note_bad_host("vast", first.machine, "no space", time.time())
    rental = await me.rent([replace(first, machine=""), other])
    assert rental.offer.id == other.id
    [ended] = [each for each in me.ledger.rentals() if each.label != rental.label]
    assert (ended.machine, ended.proven_gone) == (first.machine, True)
    assert "did not serve before: no space" in ended.why
    await end(me, rental.label)


def breaking(me: Renter, how: str) -> None:
    """Have the first machine break once it was seen."""
    me.fake.on_created = lambda: None
    [made] = me.fake.instances.values()
    if how == "fails":
        made.changes |= {"actual_status": "created", "status_msg": "no space left on device"}
        return
    get, seen = me.fake._get, []

    def vanish(number: int, body: object) -> tuple[int, object]:
        answer = get(number, body)
        if number == made.id and not seen:
            seen.append(me.fake._end(number, None))
        return answer

    me.fake._get = vanish


NO_SUCH = b'{"instances": null}'


async def test_a_machine_that_is_too_young_to_be_shown_is_not_taken_for_gone(me: Renter) -> None:
    me.fake.on_created = lambda: me.fake.answer("get", 200, NO_SUCH, times=6)
    rental = await me.rent()
    assert (me.fake.num_requests("create"), me.fake.num_living()) == (1, 1)
    await end(me, rental.label)


async def test_a_machine_that_is_not_shown_once_is_not_taken_for_gone(me: Renter) -> None:
    get, count = me.fake._get, 0

    def blink(number: int, body: object) -> tuple[int, object]:
        nonlocal count
        count += 1
        return (200, {"instances": None}) if count == 3 else get(number, body)

    me.fake._get = blink
    rental = await me.rent()
    assert (me.fake.num_requests("create"), count > 3) == (1, True)
    await end(me, rental.label)


async def test_a_machine_that_is_never_shown_is_ended_and_not_waited_for_as_if_it_started(me: Renter) -> None:
    [offer, *_] = await me.offers()
    me.fake.answer("get", 200, NO_SUCH, times=10**6)
    pace = replace(PACE, limits=Limits(create_s=0.3, boot_s=1e6, connect_s=20.0))
    with pytest.raises(NothingRentedError, match="did not start"):
        await me.rent([offer], pace=pace)
    assert me.fake.num_requests("end") == 1
    assert all_proven_gone(me)


async def test_an_image_that_is_nowhere_blames_no_machine(me: Renter) -> None:
    def break_all() -> None:
        for made in me.fake.instances.values():
            me.fake.fail_start(str(made.id))

    me.fake.on_created = break_all
    with pytest.raises(NothingRentedError, match="manifest unknown"):
        await me.rent((await me.offers())[:2])
    assert me.ledger.bad_hosts("vast") == {}
    assert all_proven_gone(me)


@pytest.mark.parametrize("carried_out", [True, False])
async def test_a_create_whose_answer_was_lost_is_looked_up_and_adopted_or_the_next_one_is_taken(
    me: Renter, carried_out: bool
) -> None:
    offers = await me.offers()
    me.fake.lose_answers("create", carried_out=carried_out)
    rental = await me.rent(offers)
    assert rental.offer.id == offers[0 if carried_out else 1].id
    assert me.fake.num_requests("create") == (1 if carried_out else 2)
    assert me.fake.num_living() == 1
    assert _S.UNKNOWN in me.states()
    await end(me, rental.label)
    assert all_proven_gone(me)


async def test_of_two_machines_that_one_request_has_made_one_is_ended(me: Renter) -> None:
    def double() -> None:
        [made] = me.fake.instances.values()
        me.fake.instances[made.id + 1] = replace(made, id=made.id + 1)

    me.fake.on_created = double
    me.fake.lose_answers("create", carried_out=True)
    rental = await me.rent()
    assert list(me.fake.instances) == [int(rental.instance_id)]
    await end(me, rental.label)


async def test_a_listing_that_is_behind_is_not_believed_at_once(me: Renter) -> None:
    nothing_yet = b'{"success": true, "instances": [], "next_token": null}'
    me.fake.on_created = lambda: me.fake.answer("list", 200, nothing_yet, times=PACE.num_looks - 1)
    me.fake.lose_answers("create", carried_out=True)
    rental = await me.rent()
    assert (me.fake.num_requests("create"), me.fake.num_living()) == (1, 1)
    await end(me, rental.label)


@pytest.mark.parametrize("carried_out", [True, False])
@pytest.mark.parametrize("content", [b"", b'""', b"[]", b"{}", b"null", b"<html>Just a moment</html>"])
async def test_listings_that_make_no_sense_settle_no_fate(me: Renter, content: bytes, carried_out: bool) -> None:
    def garble() -> None:
        me.fake.answer("list", 200, content, times=4)

    me.fake.on_created = garble
    if not carried_out:
        create = me.fake._create

        def lose(number: int, body: object) -> tuple[int, object]:
            if me.fake.num_requests("create") == 1:
                garble()
                return 500, {}
            return create(number, body)

        me.fake._create = lose
    else:
        me.fake.lose_answers("create", carried_out=True)
    rental = await me.rent()
    assert me.fake.num_requests("create") == (1 if carried_out else 2)
    assert me.fake.num_living() == 1
    me.fake._canned.clear()
    await end(me, rental.label)


@pytest.mark.parametrize("content", [b"", b'""', b"[]", b"{}", b"null", b"<html></html>"])
async def test_a_listing_that_makes_no_sense_blocks_renting(me: Renter, content: bytes) -> None:
    offers = await me.offers()
    me.fake.answer("list", 200, content, times=100)
    with pytest.raises(NothingRentedError, match=r"rental\.blocked.*can't be known"):
        await me.rent(offers)
    assert (me.fake.num_requests("create"), me.ledger.rentals()) == (0, [])


@pytest.mark.parametrize("kind", ["empty", "key"])
async def test_what_would_be_refused_again_is_not_tried_with_the_next_one(me: Renter, kind: str) -> None:
    offers = await me.offers()
    if kind == "empty":
        me.fake.empty_account()
    else:
        me.fake.answer("create", 401, b'{"success": false, "error": "auth_error", "msg": "Invalid user key"}')
    with pytest.raises(ProviderRefusedError):
        await me.rent(offers)
    assert me.fake.num_requests("create") == 1
    assert all_proven_gone(me)


async def test_a_provider_that_is_busy_is_asked_again_for_the_same_offer_under_another_label(me: Renter) -> None:
    offers = await me.offers()
    me.fake.answer("create", 429, b"too frequent")
    rental = await me.rent(offers)
    assert rental.offer.id == offers[0].id
    assert len({each.label for each in me.ledger.rentals()}) == 2
    await end(me, rental.label)


async def test_a_machine_that_nobody_gets_into_is_ended_and_the_next_one_taken(me: Renter) -> None:
    offers, tried = await me.offers(), []

    async def connect(rental: Rental) -> None:
        tried.append(rental.offer.id)
        assert me.ledger.rental(rental.label).state is _S.CONNECTING
        if len(tried) == 1:
            raise HostError("the host's SSH server refuses the key")
        if len(tried) == 2:
            await asyncio.Event().wait()

    pace = replace(PACE, limits=Limits(create_s=20.0, boot_s=20.0, connect_s=0.2))
    rental = await me.rent(offers, connect=connect, pace=pace)
    assert tried == [offer.id for offer in offers[:3]]
    assert me.ledger.rental(rental.label).state is _S.READY
    assert set(me.ledger.bad_hosts("vast")) == {offers[0].machine, offers[1].machine}
    assert me.fake.num_living() == 1
    await end(me, rental.label)


async def test_a_fault_of_ours_while_signing_in_leaves_nothing_behind(me: Renter) -> None:
    async def connect(_: Rental) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await me.rent(connect=connect)
    assert all_proven_gone(me)


async def test_a_screen_that_breaks_while_something_is_ended_does_not_keep_it_alive(me: Renter) -> None:
    class Broken(list):
        def append(self, view) -> None:
            if view.state in (_S.CONNECTING, _S.ENDING, _S.GONE):
                raise BrokenPipeError

    me.views = Broken()
    with pytest.raises(BrokenPipeError):
        await me.rent()
    assert all_proven_gone(me)


async def test_the_cap_ends_what_has_not_started_and_tries_nothing_else(me: Renter) -> None:
    me.fake.max_stage = 1
    with pytest.raises(CapReachedError):
        await me.rent(cap=1)
    assert me.fake.num_requests("create") == 1
    assert all_proven_gone(me)
    with pytest.raises(CapReachedError):
        await me.rent(deadline_ts=time.time() - 1)
    assert all_proven_gone(me)


async def test_all_attempts_share_one_cap(me: Renter) -> None:
    def fail() -> None:
        for made in me.fake.instances.values():
            made.changes |= {"actual_status": "created", "status_msg": "no space left on device"}

    me.fake.on_created = fail
    with pytest.raises(CapReachedError, match="the attempts so far"):
        await me.rent(cap=1)
    assert me.fake.num_requests("create") == 1
    assert all_proven_gone(me)


async def test_a_machine_that_came_up_and_does_not_serve_leaves_what_those_before_it_left(me: Renter) -> None:
    """A cap of $1.00; the first attempt costs about $0.30 and lets nobody in; the second is rejected after sign-in."""
    offers = await me.offers()
    cap = 1_000_000
    tried: list[str] = []

    async def connect(rental: Rental) -> None:
        tried.append(rental.label)
        if len(tried) == 1:
            began_s = 300_000 * 3600 / rental.price_microusd_per_h
            me.ledger._database.execute("UPDATE charges SET from_ts = from_ts - ? WHERE num = 1", (began_s,))
            raise HostError("nobody gets in", code="ssh.refused")

    wanted = Wanted(offers=tuple(offers), asked_ts=time.time(), cap_microusd=cap)
    providers = {"vast": me.provider}
    rental = await rent(providers, me.ledger, me.state_dir, wanted, begins, connect=connect, pace=PACE)
    lost = sum(charges(me.ledger.spans(tried[0]), 0.0))
    receipt = await finish_rental(me.provider, me.ledger, rental.label, "too slow", first_wait_s=1e-3)
    again = wanted.without(receipt.rental, receipt.ours_microusd, rental.left)
    assert 290_000 < lost < 320_000
    assert again.cap_microusd == cap - lost - receipt.ours_microusd
    assert again.spent_microusd == cap - again.cap_microusd
    me.fake.on_created = lambda: me.fake.instances.clear()
    for offer in again.offers:
        me.fake.raise_price(offer, 9_000_000)
    told = money(again.spent_microusd)
    with pytest.raises(NothingRentedError, match=rf"what was tried cost {re.escape(told)}"):
        await rent(providers, me.ledger, me.state_dir, again, begins, pace=PACE)


@given(
    cap=st.integers(1, 10**8), attempts=st.lists(st.tuples(st.integers(0, 10**7), st.integers(0, 10**7)), max_size=6)
)
def test_no_order_of_failures_lets_more_be_spent_than_was_agreed_to(cap: int, attempts: list[tuple[int, int]]) -> None:
    """Each: what failed before one came up, and what that one cost in the end."""
    wanted, spent = Wanted(offers=(), asked_ts=0.0, cap_microusd=cap), 0
    for failed, cost in attempts:
        assert wanted.cap_microusd == cap - spent
        assert wanted.spent_microusd == spent
        came_up = replace(stored_rental(), cap_microusd=cap - spent - failed)
        spent += failed + cost
        if spent >= cap:
            with pytest.raises(NothingRentedError, match=re.escape(money(spent))):
                wanted.without(came_up, cost, ())
            return
        wanted = wanted.without(came_up, cost, ())


async def test_a_price_that_fell_in_between_is_the_one_that_counts(me: Renter) -> None:
    [offer, *_] = await me.offers()
    assert offer.price_microusd_per_h > 150_000
    me.fake.raise_price(offer, 150_000)
    rental = await me.rent([offer])
    stored = me.ledger.rental(rental.label)
    assert stored.offer.price_microusd_per_h in (150_000, 150_001)
    assert (rental.offer.id, stored.price_microusd_per_h // 10) == (offer.id, 15_000)
    await end(me, rental.label)


async def test_an_end_that_was_accepted_and_did_nothing_is_no_end(me: Renter) -> None:
    offers = await me.offers()

    def cling() -> None:
        me.fake.on_created = lambda: None
        [made] = me.fake.instances.values()
        made.num_clings = 2
        made.changes |= {"actual_status": "created", "status_msg": "no space left on device"}

    me.fake.on_created = cling
    rental = await me.rent(offers)
    assert me.fake.num_requests("end") == 3
    assert me.fake.num_living() == 1
    await end(me, rental.label)


class TestCancelled:
    """Ctrl-C is a cancellation."""

    @pytest.mark.parametrize("state", [_S.CREATING, _S.UNKNOWN, _S.BOOTING, _S.CONNECTING])
    async def test_once_it_ends_what_there_is_whatever_state_it_is_in(self, me: Renter, state: RentalState) -> None:
        if state is _S.UNKNOWN:
            me.fake.lose_answers("create", carried_out=True)
        await self.cancelled(me, state, times=1)
        assert me.fake.num_requests("create") <= 1
        assert all_proven_gone(me)

    @pytest.mark.parametrize("state", [_S.UNKNOWN, _S.BOOTING])
    async def test_twice_it_leaves_and_says_what_may_still_bill_and_where(self, me: Renter, state: RentalState) -> None:
        if state is _S.UNKNOWN:
            me.fake.lose_answers("create", carried_out=True)
        me.fake.answer("end", 500, b"oops", times=1000)
        if state is _S.UNKNOWN:
            me.fake.on_created = lambda: me.fake.answer("list", 500, b"oops", times=1000)
        with pytest.raises(StillBillingError) as caught:
            await self.cancelled(me, state, times=2)
        assert caught.value.exit_status == 5
        assert "STILL BILLING, perhaps" in caught.value.what
        assert "https://cloud.vast.ai/instances/" in caught.value.fix
        [stored] = me.ledger.unproven()
        assert (stored.instance_id or stored.label) in caught.value.what
        assert me.fake.num_living() == 1
        assert not stored.proven_gone
        assert not RentalFolder(me.state_dir, stored.label).is_minded(), "nobody minds it any more"

    async def test_while_a_failed_machine_is_ended_that_goes_on_and_no_other_one_is_taken(self, me: Renter) -> None:
        def fail() -> None:
            [made] = me.fake.instances.values()
            made.changes |= {"actual_status": "created", "status_msg": "no space left on device"}
            made.num_clings = 3

        me.fake.on_created = fail
        await self.cancelled(me, _S.ENDING, times=1)
        assert me.fake.num_requests("create") == 1
        assert all_proven_gone(me)

    async def cancelled(self, me: Renter, state: RentalState, times: int) -> None:
        """Rent, and cancel that once this state is shown; again once its clean-up has begun."""
        left = times

        class Views(list):
            def append(self, view) -> None:
                nonlocal left
                super().append(view)
                is_time = view.state is state if left == times else True
                if left and is_time:
                    left -= 1
                    task.cancel()

        me.views = Views()
        offers = await me.offers()

        async def connect(_: Rental) -> None:
            await asyncio.Event().wait()

        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.settled(me.rent(offers, connect=connect)))
        error = task.result()
        assert error is not None
        if not isinstance(error, asyncio.CancelledError):
            raise error

    async def settled(self, work) -> BaseException | None:
        try:
            await work
        except (asyncio.CancelledError, StillBillingError) as error:
            return error
        return None
