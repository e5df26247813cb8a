"""The end of a rental: proven, tidied up, and held against the provider's own bill."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from loratui.domain.ledger import Phase
from loratui.domain.rental import RentalState
from loratui.providers.vast import Vast
from loratui.sessions.ending import OtherAccountError, StillBillingError, end_for_certain, finish
from loratui.sessions.reckoning import Travelled
from loratui.sessions.renting_end import finish_rental
from support.renting import TINY_S, Renter, renter

FAST_S = 1e-3


@pytest.fixture
async def me(tmp_path: Path) -> AsyncIterator[Renter]:
    async with asyncio.timeout(60), renter(tmp_path) as lent:
        yield lent


async def test_an_end_leaves_nothing_and_comes_with_a_receipt(me: Renter) -> None:
    rental = await me.rent()
    me.ledger.enter(rental.label, Phase.TRAINING, rental.created_ts + 100.0, rental.price_microusd_per_h)
    assert me.fake.account_keys
    receipt = await finish_rental(
        me.provider,
        me.ledger,
        rental.label,
        "the files are here",
        first_wait_s=FAST_S,
        count=lambda: Travelled(received=10**9),
    )
    assert me.fake.num_living() == 0
    assert me.fake.account_keys == {}, "our key is off the account"
    stored = receipt.rental
    assert (stored.state, stored.proven_gone, stored.is_tidy) == (RentalState.GONE, True, True)
    assert stored.why == "the files are here"
    assert receipt.billed is not None
    rows = me.ledger.charges(rental.label)
    assert [row.span.phase for row in rows] == [Phase.BOOTING, Phase.CONNECTING, Phase.TRAINING, Phase.ENDING]
    assert all(row.span.to_ts is not None for row in rows)
    assert sum(receipt.phases.values()) == sum(row.microusd for row in rows)
    traffic = rental.offer.received_microusd_per_gb
    assert receipt.ours_microusd == sum(receipt.phases.values()) + traffic


async def test_an_end_of_what_is_over_is_only_its_receipt(me: Renter) -> None:
    rental = await me.rent()
    await finish_rental(me.provider, me.ledger, rental.label, "done", first_wait_s=FAST_S)
    num_requests = me.fake.num_requests("end")
    receipt = await finish_rental(me.provider, me.ledger, rental.label, "again", first_wait_s=FAST_S)
    assert (receipt.rental.why, me.fake.num_requests("end")) == ("done", num_requests)


async def test_a_key_that_stays_on_the_account_and_a_bill_that_is_not_there_do_not_hide_the_end(me: Renter) -> None:
    rental = await me.rent()
    for kind in ("keys", "charges"):
        me.fake.answer(kind, 500, b"oops", times=100)
    receipt = await finish_rental(me.provider, me.ledger, rental.label, "done", first_wait_s=FAST_S)
    assert receipt.rental.proven_gone
    assert not receipt.rental.is_tidy, "it is tried again"
    assert receipt.billed is None


async def test_a_key_that_is_refused_is_no_end(me: Renter) -> None:
    rental = await me.rent()
    stranger = Vast("wrong", url=me.fake.url, retry_first_s=TINY_S)
    with pytest.raises(StillBillingError, match="STILL BILLING") as caught:
        await finish_rental(stranger, me.ledger, rental.label, "done", first_wait_s=FAST_S)
    await stranger.close()
    assert rental.instance_id in caught.value.what
    assert me.ledger.rental(rental.label).state is RentalState.ENDING
    await finish_rental(me.provider, me.ledger, rental.label, "done", first_wait_s=FAST_S)


async def test_what_another_account_does_not_show_is_not_gone(me: Renter) -> None:
    rental = await me.rent()
    me.fake.account_id = 777
    hidden = me.fake.instances.copy()
    me.fake.instances.clear()
    with pytest.raises(StillBillingError, match="another account"):
        await finish_rental(me.provider, me.ledger, rental.label, "done", first_wait_s=FAST_S)
    assert not me.ledger.rental(rental.label).proven_gone
    with pytest.raises(OtherAccountError):
        await end_for_certain(me.provider, rental.instance_id, account_id="123456", first_wait_s=FAST_S)
    me.fake.account_id = 123456
    me.fake.instances.update(hidden)
    receipt = await finish_rental(me.provider, me.ledger, rental.label, "done", first_wait_s=FAST_S)
    assert receipt.rental.proven_gone
    assert me.fake.num_living() == 0


async def test_an_account_that_can_not_be_read_proves_nothing_until_it_can(me: Renter) -> None:
    rental = await me.rent()
    me.fake.answer("account", 200, b"<html></html>", times=3)
    await finish_rental(me.provider, me.ledger, rental.label, "done", first_wait_s=FAST_S)
    assert me.fake.num_requests("account") >= 5


async def test_a_ledger_that_can_not_be_written_keeps_no_machine_alive(me: Renter) -> None:
    rental = await me.rent()
    me.ledger._database.execute("PRAGMA query_only = ON")
    await finish_rental(me.provider, me.ledger, rental.label, "done", first_wait_s=FAST_S)
    assert me.fake.num_living() == 0


@pytest.mark.parametrize("times", [1, 2])
async def test_one_interruption_does_not_keep_it_from_ending_and_two_say_what_may_bill(me: Renter, times: int) -> None:
    rental = await me.rent()
    me.fake.cling(rental.instance_id, 3 if times == 1 else 10**9)
    left = times

    def interrupt(_: object) -> None:
        nonlocal left
        if left:
            left -= 1
            task.cancel()

    async def work() -> BaseException | None:
        try:
            await finish_rental(me.provider, me.ledger, rental.label, "done", interrupt, first_wait_s=FAST_S)
        except (asyncio.CancelledError, StillBillingError) as error:
            return error
        return None

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(work())
    error = task.result()
    if times == 1:
        assert isinstance(error, asyncio.CancelledError)
        assert me.ledger.rental(rental.label).proven_gone
        assert me.fake.num_living() == 0
    else:
        assert isinstance(error, StillBillingError)
        assert error.exit_status == 5
        assert me.fake.num_living() == 1


class TestFinish:
    @pytest.mark.parametrize("num_cancels", [0, 1, 2])
    async def test_work_is_done_in_spite_of_one_cancellation(self, num_cancels: int) -> None:
        begun, done = 0, False
        started, go_on = asyncio.Event(), asyncio.Event()

        async def work() -> str:
            nonlocal begun, done
            begun += 1
            started.set()
            await go_on.wait()
            done = True
            return "done"

        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(finish(work))
            for _ in range(num_cancels):
                await started.wait()
                started.clear()
                task.cancel()
            if num_cancels < 2:
                await started.wait()
                go_on.set()
        assert done == (num_cancels < 2)
        assert begun == min(num_cancels + 1, 2)
        assert task.cancelled() == (num_cancels > 0)
