"""Whoever interrupts the end of a rental once leaves nothing that bills, whenever that comes."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from loratui import settings
from loratui.cli import following
from loratui.cli.arguments import Arguments
from loratui.cli.leaving import HungUp
from loratui.cli.rental_end import finish, wait
from loratui.domain.run import RunView
from loratui.sessions.ending import StillBillingError
from loratui.sessions.host import SessionHost
from loratui.sessions.rented import rental_target
from loratui.sessions.targets import Targets
from loratui.settings import Settings
from loratui_protocol.messages import JobState
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


@pytest.mark.parametrize(("interruption", "status"), [(KeyboardInterrupt, 130), (HungUp, 129)])
async def test_whoever_leaves_while_the_report_is_written_is_told_how_the_rental_goes_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    interruption: type[KeyboardInterrupt],
    status: int,
) -> None:
    def interrupt(*_: object) -> None:
        raise interruption

    async with renter(tmp_path) as me:
        rental = await me.rent()
        preferences = preferences_of(me, tmp_path)
        view = RunView(run_id="A", name="cat", target=rental_target("vast", rental.label), state=JobState.DONE)
        host = SimpleNamespace(view=lambda _: view, rental_ended=lambda _: None)
        monkeypatch.setattr(following, "print_run", lambda *_: 0)
        monkeypatch.setattr(RunView, "is_settled", True)
        monkeypatch.setattr(following, "_conclude", interrupt)
        arguments = Arguments(plain=True, json=False)

        assert following.watch(cast("SessionHost", host), preferences, ["A"], arguments) == status
        said = capsys.readouterr().err
        assert "the rental goes on at " in said
        assert f"To end it now: loratui terminate {rental.label}" in said


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
