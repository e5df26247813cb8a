"""Whoever interrupts the end of a rental once leaves nothing that bills, whenever that comes."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from loratui import settings
from loratui.cli.rental_end import finish, wait
from loratui.sessions.ending import StillBillingError
from loratui.sessions.host import SessionHost
from loratui.sessions.targets import Targets
from loratui.settings import Settings
from support.renting import Renter, renter

pytestmark = pytest.mark.timeout(60)


def preferences_of(me: Renter, folder: Path) -> Settings:
    keys = folder / "config" / "keys"
    keys.mkdir(mode=0o700, parents=True)
    (keys / "vast").touch(mode=0o600)
    (keys / "vast").write_text(me.fake.key)
    values = {"state_dir": str(folder), "providers.vast.url": me.fake.url, "providers.vast.spacing": 0}
    return settings.load(values, {"LORATUI_CONFIG_DIR": str(folder / "config")})


@pytest.mark.parametrize("num_turns", range(0, 40, 3))
async def test_an_end_that_is_interrupted_at_any_turn_of_the_loop_is_an_end(tmp_path: Path, num_turns: int) -> None:
    async with renter(tmp_path) as me:
        rental = await me.rent()
        preferences = preferences_of(me, tmp_path)
        work = finish(preferences, "vast", rental.label, "it was interrupted")(Targets(preferences))
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(work)
            await asyncio.sleep(0)
            for _ in range(num_turns):
                await asyncio.sleep(0)
            task.cancel()
        assert task.cancelled()
        assert me.fake.num_living() == 0
        assert me.ledger.rental(rental.label).proven_gone


async def test_one_that_is_interrupted_twice_before_its_provider_is_asked_says_what_bills(tmp_path: Path) -> None:
    async with renter(tmp_path) as me:
        rental = await me.rent()
        preferences = preferences_of(me, tmp_path)
        task = asyncio.ensure_future(  # noqa: TID251  it is awaited below
            finish(preferences, "vast", rental.label, "it was interrupted")(Targets(preferences))
        )
        await asyncio.sleep(0)
        task.cancel()
        task.cancel()
        with pytest.raises(StillBillingError, match="STILL BILLING"):
            await task
        assert me.fake.num_living() == 1


class Interrupted(SessionHost):
    """A host to which Ctrl-C comes while something is handed to it, once."""

    is_early = False
    """Whether it comes before anything was handed over."""
    num_asked = 0

    def perform(self, work: Callable[[Targets], Coroutine[Any, Any, Any]]) -> Future[Any]:
        self.num_asked += 1
        if self.num_asked == 1 and self.is_early:
            raise KeyboardInterrupt
        if self.num_asked == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return super().perform(work)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Interrupted]:
    started = Interrupted(settings.load({"state_dir": str(tmp_path)}, {"LORATUI_CONFIG_DIR": str(tmp_path)}))
    started.start()
    yield started
    started.close()


def test_what_is_interrupted_while_it_is_handed_over_is_cancelled_and_waited_for(host: Interrupted) -> None:
    came_to: list[str] = []

    async def work(_: Targets) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            came_to.append("its end")

    with pytest.raises(KeyboardInterrupt):
        wait(host, work)
    assert came_to == ["its end"]


@pytest.mark.parametrize("is_end", [False, True])
def test_only_what_ends_a_rental_is_begun_though_it_was_interrupted_before(host: Interrupted, *, is_end: bool) -> None:
    host.is_early = True
    done: list[str] = []

    async def work(_: Targets) -> None:
        done.append("it")

    with pytest.raises(KeyboardInterrupt):
        wait(host, work, is_end=is_end)
    assert done == (["it"] if is_end else [])
