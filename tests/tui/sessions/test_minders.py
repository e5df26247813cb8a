"""A rental on which runs are still being started is not over, however those end that were."""

import asyncio
import time
from pathlib import Path

import pytest

from loratui.sessions.host import SessionHost
from loratui.sessions.renting import connected
from loratui.sessions.renting_folder import RentalFolder
from loratui.settings import load
from loratui.store import Store, StoredRun
from loratui_protocol.messages import JobState, Record, State
from support.fake_vast import FakeVast
from support.renting import renter


async def test_a_machine_whose_first_run_has_failed_stays_until_every_run_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORATUI_VAST_API_KEY", FakeVast().key)
    async with renter(tmp_path) as me:
        me.fake.on_running = lambda _: ("127.0.0.1", 1)
        rental = await me.rent(deadline_ts=time.time() + 3600, cap=10_000_000)
        connected(me.ledger, rental)
        settings = load(
            {"state_dir": str(tmp_path)},
            {"LORATUI_CONFIG_DIR": str(tmp_path), "LORATUI_PROVIDERS__VAST__URL": me.fake.url},
        )
        add_failed_run(settings.database, f"vast:{rental.label}")
        host = SessionHost(settings, minds=True)
        host.start()
        try:
            host.expect_runs(rental.label)
            host.follow("r")
            ended = host.rental_ended("r")
            assert ended is not None
            await asyncio.to_thread(look_on, host, 3)
            assert not ended.done()
            assert me.fake.num_living() == 1
            assert RentalFolder(tmp_path, rental.label).is_minded()
            host.hand_over(rental.label, rental.folder)
            receipt = await asyncio.to_thread(ended.result, 30)
            assert receipt is not None
            assert receipt.rental.why == "the run is failed"
            assert me.fake.num_living() == 0
        finally:
            host.close()


def look_on(host: SessionHost, times: int) -> None:
    """Return once the rental was looked at so often."""
    view, seen = host.view("r"), set[float]()
    while len(seen) < times:
        view = host.wait("r", view.version, 5.0)
        seen |= {view.rental.at_s} if view.rental else set()


def add_failed_run(database: Path, target: str) -> None:
    with Store(database) as store:
        store.add_run(
            StoredRun(id="r", name="x", target=target, created_ts=time.time(), config_toml="", home=Path("/home"))
        )
        store.begin_history("r", "e", reset=False)
        store.append("r", "e", [Record(seq=1, ts=time.time(), event=State(state=JobState.FAILED))])
