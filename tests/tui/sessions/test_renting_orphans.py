"""Clients that are killed at every state, and what is found and ended afterwards. Nothing that bills is overlooked."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from loratui.domain.rental import RentalState
from loratui.providers.vast import Vast
from loratui.sessions.renting import Wanted, rent
from loratui.sessions.renting_end import finish_rental
from loratui.sessions.renting_folder import RentalFolder
from loratui.sessions.renting_orphans import Found, Reconciled, Standing, end_found, reconcile, tidy_all
from loratui.store import Store, StoredRun
from loratui_protocol.errors import StorageError
from support import renting_client
from support.renting import PACE, TINY_S, Renter, begins, renter
from tui.providers.contract import order

_S = RentalState
FAST_S = 1e-3


@pytest.fixture
async def me(tmp_path: Path) -> AsyncIterator[Renter]:
    async with asyncio.timeout(90), renter(tmp_path) as lent:
        yield lent


@contextmanager
def client(me: Renter, state: str) -> Iterator[subprocess.Popen[str]]:
    """A client that stands still in this state."""
    argv = [sys.executable, renting_client.__file__, str(me.state_dir), me.fake.url, me.fake.key, state]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_until_here(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == "here":
            return
    raise AssertionError(f"it never came there: {process.stderr.read() if process.stderr else ''}")


async def killed(me: Renter, state: str) -> None:
    with client(me, state) as process:
        await asyncio.to_thread(wait_until_here, process)
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL


async def reconciled(me: Renter) -> Reconciled:
    return await reconcile([me.provider], me.ledger, me.state_dir, pace=PACE)


async def swept(me: Renter) -> None:
    """End every orphan; see that nothing is left."""
    for found in (await reconciled(me)).found:
        assert found.standing is Standing.ORPHAN
        await end_found(me.provider, me.ledger, found, first_wait_s=FAST_S)
    await tidy_all(me.provider, me.ledger)
    after = await reconciled(me)
    assert (after.found, after.errors) == ([], {})
    assert me.fake.num_living() == 0
    assert me.ledger.unproven() == []
    assert me.fake.account_keys == {}
    assert all(row.span.to_ts is not None for each in me.ledger.rentals() for row in me.ledger.charges(each.label))


@pytest.mark.parametrize("state", [_S.CREATING, _S.BOOTING, _S.CONNECTING, _S.READY, _S.ENDING])
async def test_a_client_that_is_killed_leaves_nothing_that_is_not_found(me: Renter, state: RentalState) -> None:
    if state is _S.ENDING:
        me.fake.on_created = lambda: [setattr(made, "num_clings", 1) for made in me.fake.instances.values()] and None
    await killed(me, state)
    [stored] = me.ledger.unproven()
    assert stored.state is state
    now = await reconciled(me)
    if state is _S.CREATING:
        # It was killed before it had sent anything.
        assert (now.found, [each.label for each in now.settled]) == ([], [stored.label])
    else:
        [found] = now.found
        assert (found.standing, found.rental) == (Standing.ORPHAN, stored)
        assert found.instance is not None
        assert found.instance.id == stored.instance_id
    await swept(me)


@pytest.mark.parametrize("carried_out", [True, False])
async def test_a_client_that_is_killed_while_nobody_knows_the_fate_of_its_request(
    me: Renter, carried_out: bool
) -> None:
    me.fake.lose_answers("create", carried_out=carried_out)
    await killed(me, _S.UNKNOWN)
    [stored] = me.ledger.unproven()
    assert (stored.state, stored.instance_id) == (_S.UNKNOWN, "")
    assert me.fake.num_living() == carried_out
    now = await reconciled(me)
    assert len(now.found) == carried_out
    assert len(now.settled) == (not carried_out)
    await swept(me)


async def test_a_client_that_is_killed_after_the_machine_was_made_and_before_it_knew(me: Renter) -> None:
    with client(me, "forever") as process:
        me.fake.on_created = process.kill
        await asyncio.to_thread(process.wait)
    [stored] = me.ledger.unproven()
    assert (stored.state, stored.instance_id, me.fake.num_living()) == (_S.CREATING, "", 1)
    [found] = (await reconciled(me)).found
    assert found.standing is Standing.ORPHAN
    assert "killed before it was known" in found.why
    await swept(me)
    ended = me.ledger.rental(stored.label)
    assert ended.instance_id == found.instance.id if found.instance else False
    assert me.ledger.charges(stored.label), "what it cost is in the ledger"


async def test_a_ledger_that_can_not_be_written_keeps_no_orphan_alive(me: Renter) -> None:
    with client(me, "forever") as process:
        me.fake.on_created = process.kill
        await asyncio.to_thread(process.wait)
    [found] = (await reconciled(me)).found
    assert me.ledger.charges(found.rental.label if found.rental else "") == []
    me.ledger._database.execute("PRAGMA query_only = ON")
    await end_found(me.provider, me.ledger, found, first_wait_s=FAST_S)
    assert me.fake.num_living() == 0


async def test_what_a_living_client_minds_is_no_orphan(me: Renter) -> None:
    with client(me, _S.BOOTING) as process:
        await asyncio.to_thread(wait_until_here, process)
        [found] = (await reconciled(me)).found
        assert found.standing is Standing.YOURS
        process.kill()
        process.wait()
    [found] = (await reconciled(me)).found
    assert found.standing is Standing.ORPHAN
    await swept(me)


async def test_what_a_living_client_is_about_to_rent_is_not_settled_behind_its_back(me: Renter) -> None:
    with client(me, _S.CREATING) as process:
        await asyncio.to_thread(wait_until_here, process)
        now = await reconciled(me)
        assert [found.standing for found in now.found] == [Standing.YOURS]
        assert now.settled == []
        assert len(me.ledger.unproven()) == 1
        process.kill()
        process.wait()
    await swept(me)


async def test_a_run_whose_client_is_gone_is_still_yours(me: Renter) -> None:
    await killed(me, _S.READY)
    [stored] = me.ledger.unproven()
    with Store(me.state_dir / "loratui.sqlite3") as store:
        target = f"vast:{stored.label}"
        store.add_run(StoredRun(id="02RUN", name="n", target=target, created_ts=1.0, config_toml="", home=Path("/h")))
    [found] = (await reconciled(me)).found
    assert (found.standing, found.why) == (Standing.YOURS, "run 02RUN"), "it was killed before it noted that"
    me.ledger.note_run(stored.label, "01RUN")
    me.ledger.note_run(stored.label, "02RUN")
    [found] = (await reconciled(me)).found
    assert (found.standing, found.why) == (Standing.YOURS, "run 01RUN, 02RUN")
    await finish_rental(me.provider, me.ledger, stored.label, "done", first_wait_s=FAST_S)


async def test_what_no_ledger_knows_and_what_the_ledger_takes_for_ended_are_orphans(me: Renter) -> None:
    rental = await me.rent()
    me.ledger.note_end(rental.label, _S.GONE, 1.0)
    rental.folder.let_go()
    [offer, *_] = await me.offers()
    await me.provider.create(order(offer, "loratui-of-another-laptop"))
    found = (await reconciled(me)).found
    assert {(each.standing, each.why) for each in found} == {
        (Standing.ORPHAN, "by the ledger it has ended"),
        (Standing.ORPHAN, "no ledger of this laptop knows it, another computer of yours may"),
    }
    unproven: list[int] = []
    for each in found:
        tell = lambda _: unproven.append(len(me.ledger.unproven()))  # noqa: E731
        await end_found(me.provider, me.ledger, each, tell, first_wait_s=FAST_S)
    assert me.fake.num_living() == 0
    assert set(unproven) == {0, 1}, "what is there again is not gone while it ends"
    assert me.ledger.rental(rental.label).proven_gone


async def test_what_another_laptop_has_rented_is_told_before_more_is_rented_and_left_alone(me: Renter) -> None:
    first, second, *offers = await me.offers()
    other = await me.provider.create(order(first, "loratui-of-another-laptop"))
    await me.provider.create(order(second, "somebody-elses"))
    told: list[Found] = []
    wanted = Wanted(offers=tuple(offers), asked_ts=time.time())
    rental = await rent(
        {"vast": me.provider}, me.ledger, me.state_dir, wanted, begins, pace=PACE, tell_orphan=told.append
    )
    assert [(each.instance.id, each.rental) for each in told if each.instance] == [(other.instance_id, None)]
    assert me.fake.num_living() == 3
    told.clear()
    another = await rent(
        {"vast": me.provider}, me.ledger, me.state_dir, wanted, begins, pace=PACE, tell_orphan=told.append
    )
    assert {each.instance.id for each in told if each.instance} == {other.instance_id}, "what this one minds is no news"
    for each in (rental, another):
        await finish_rental(me.provider, me.ledger, each.label, "done", first_wait_s=FAST_S)


async def test_what_bears_none_of_our_labels_is_none_of_ours(me: Renter) -> None:
    [offer, *_] = await me.offers()
    made = await me.provider.create(order(offer, "somebody-elses"))
    assert (await reconciled(me)).found == []
    await me.provider.end(made.instance_id)


async def test_a_box_that_ended_itself_is_known_to_be_gone_when_its_provider_shows_that(me: Renter) -> None:
    rental = await me.rent()
    rental.folder.let_go()
    await me.provider.end(rental.instance_id)
    now = await reconciled(me)
    assert now.found == []
    [settled] = now.settled
    assert (settled.label, settled.state) == (rental.label, _S.LOST)
    stored = me.ledger.rental(rental.label)
    assert (stored.state, stored.proven_gone, stored.is_tidy) == (_S.LOST, True, True)


@pytest.mark.parametrize("state", [_S.BOOTING, _S.ENDING])
async def test_a_young_rental_that_is_not_listed_is_gone_only_if_somebody_has_been_there(
    me: Renter, state: RentalState
) -> None:
    await killed(me, state)
    [stored] = me.ledger.unproven()
    await me.provider.end(stored.instance_id)
    now = await reconcile([me.provider], me.ledger, me.state_dir, pace=replace(PACE, young_s=60.0))
    unknown = [] if state is _S.ENDING else [Standing.UNKNOWN_FATE]
    assert [found.standing for found in now.found] == unknown, "listings lag behind"
    assert len(now.settled) == (state is _S.ENDING)
    await swept(me)


@pytest.mark.parametrize("content", [b"", b'""', b"[]", b"{}", b"null", b"<html></html>"])
async def test_a_listing_that_makes_no_sense_settles_nothing(me: Renter, content: bytes) -> None:
    rental = await me.rent()
    rental.folder.let_go()
    me.fake.answer("list", 200, content, times=100)
    now = await reconciled(me)
    assert [found.standing for found in now.found] == [Standing.UNKNOWN_FATE]
    assert set(now.errors) == {"vast"}
    assert len(me.ledger.unproven()) == 1
    me.fake._canned.clear()
    await finish_rental(me.provider, me.ledger, rental.label, "done", first_wait_s=FAST_S)


async def test_another_accounts_listing_settles_nothing(me: Renter) -> None:
    rental = await me.rent()
    rental.folder.let_go()
    hidden = me.fake.instances.copy()
    me.fake.instances.clear()
    me.fake.account_id = 777
    now = await reconciled(me)
    [found] = now.found
    assert found.standing is Standing.UNKNOWN_FATE
    assert "another account" in found.why
    assert now.settled == []
    assert len(me.ledger.unproven()) == 1
    me.fake.account_id = 123456
    me.fake.instances.update(hidden)
    await finish_rental(me.provider, me.ledger, rental.label, "done", first_wait_s=FAST_S)


async def test_a_ledger_that_can_not_be_written_settles_nothing_and_says_so(me: Renter) -> None:
    rental = await me.rent()
    rental.folder.let_go()
    await me.provider.end(rental.instance_id)
    me.ledger._database.execute("PRAGMA query_only = ON")
    with pytest.raises(StorageError):
        await reconciled(me)


async def test_what_a_listing_overlooks_is_found_by_its_id(me: Renter) -> None:
    rental = await me.rent()
    rental.folder.let_go()
    me.fake.answer("list", 200, b'{"success": true, "instances": [], "next_token": null}')
    now = await reconciled(me)
    assert [found.instance.id for found in now.found if found.instance] == [rental.instance_id]
    assert now.settled == []
    await finish_rental(me.provider, me.ledger, rental.label, "done", first_wait_s=FAST_S)


async def test_a_rental_of_a_provider_without_a_key_is_of_unknown_fate(me: Renter) -> None:
    rental = await me.rent()
    rental.folder.let_go()
    [found] = (await reconcile([], me.ledger, me.state_dir, pace=PACE)).found
    assert (found.standing, found.provider, found.instance) == (Standing.UNKNOWN_FATE, "vast", None)
    await finish_rental(me.provider, me.ledger, rental.label, "done", first_wait_s=FAST_S)


async def test_what_can_not_be_ended_with_this_key_stays_in_the_ledger(me: Renter) -> None:
    rental = await me.rent()
    rental.folder.let_go()
    [found] = (await reconciled(me)).found
    stranger = Vast("wrong", url=me.fake.url, retry_first_s=TINY_S)
    with pytest.raises(Exception, match=r"provider\.key"):
        await end_found(stranger, me.ledger, found, first_wait_s=FAST_S)
    await stranger.close()
    assert len(me.ledger.unproven()) == 1
    await swept_one(me, found)


async def swept_one(me: Renter, found: Found) -> None:
    fresh = replace(found, rental=me.ledger.rental(found.rental.label) if found.rental else None)
    await end_found(me.provider, me.ledger, fresh, first_wait_s=FAST_S)
    assert me.fake.num_living() == 0


def test_a_folder_is_minded_as_long_as_somebody_holds_it(tmp_path: Path) -> None:
    one, other = RentalFolder(tmp_path, "loratui-x"), RentalFolder(tmp_path, "loratui-x")
    assert not other.is_minded()
    one.hold()
    assert one.is_minded()
    assert other.is_minded()
    one.let_go()
    assert not other.is_minded()
