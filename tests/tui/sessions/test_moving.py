"""The end of a rental is moved by one at a time, from where the one before has moved it; its cap goes with it."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui.domain.estimate_limits import balance_for
from loratui.domain.ledger import microseconds, time_microusd
from loratui.sessions.moving import extend_rental, hold_to_cap
from loratui.sessions.rented_box import Armed
from loratui.sessions.renting import connected
from loratui.sessions.renting_folder import RentalFolder
from loratui.sessions.targets import Targets
from loratui.settings import Settings, load
from loratui.store.rentals import Rentals, StoredRental
from loratui_protocol.errors import HostError, UsageError
from support.fake_vast import FakeVast
from support.renting import Renter, renter

HALF_H = 1800.0
CAP = 5_000_000


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_VAST_API_KEY", FakeVast().key)


@dataclass
class Machine:
    """A rented machine that takes its time to answer, and knows when it has to end."""

    me: Renter
    settings: Settings
    label: str
    deadlines_ts: list[float] = field(default_factory=list)
    takes_s: float = 0.1
    is_deaf: bool = False

    async def arm(self, _machine: Any, _rental: StoredRental, _key: str, _settings: Settings, ts: float) -> Armed:
        await asyncio.sleep(self.takes_s)
        if self.is_deaf:
            raise HostError("it does not answer", code="ssh.lost")
        self.deadlines_ts.append(ts)
        return Armed(how="end", is_verified=True, why="", deadline_left_s=ts - time.time())

    async def extend(self, seconds: float) -> None:
        await extend_rental(Targets(self.settings), self.settings, self.label, seconds)

    def stored(self) -> StoredRental:
        return self.me.ledger.rental(self.label)


async def at_once(*work: Coroutine[Any, Any, None]) -> None:
    async with asyncio.TaskGroup() as tasks:
        for each in work:
            tasks.create_task(each)


@asynccontextmanager
async def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Machine]:
    async with asyncio.timeout(60), renter(tmp_path) as me:
        rental = await me.rent(deadline_ts=time.time() + 3600.0, cap=CAP)
        connected(me.ledger, rental)
        settings = load(
            environ={
                "LORATUI_STATE_DIR": str(tmp_path),
                "LORATUI_CONFIG_DIR": str(tmp_path),
                "LORATUI_PROVIDERS__VAST__URL": me.fake.url,
            }
        )
        made = Machine(me, settings, rental.label)
        monkeypatch.setattr("loratui.sessions.moving.arm", made.arm)
        yield made


async def test_two_extensions_at_once_are_two_for_the_machine_the_deadline_and_the_cap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with machine(tmp_path, monkeypatch) as it:
        before = it.stored()
        assert before.deadline_ts is not None
        await at_once(it.extend(HALF_H), it.extend(HALF_H))
        after = it.stored()
        assert it.deadlines_ts == [before.deadline_ts + HALF_H, before.deadline_ts + 2 * HALF_H]
        assert after.deadline_ts == it.deadlines_ts[-1]
        cost = time_microusd(before.price_microusd_per_h, microseconds(HALF_H))
        assert after.cap_microusd == CAP + 2 * cost
        await at_once(it.extend(-HALF_H), it.extend(-HALF_H))
        assert (it.stored().deadline_ts, it.stored().cap_microusd) == (before.deadline_ts, CAP)


async def test_another_process_that_moves_it_is_waited_for_and_one_that_was_killed_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from loratui.sessions.renting_folder import RentalFolder\n"
        "async def hold():\n"
        "    async with RentalFolder(Path(sys.argv[1]), sys.argv[2]).moving():\n"
        "        print('held', flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(hold())\n"
    )
    async with machine(tmp_path, monkeypatch) as it:
        argv = [sys.executable, "-c", program, str(tmp_path), it.label]
        other = await asyncio.create_subprocess_exec(*argv, stdout=subprocess.PIPE)
        assert other.stdout is not None
        assert await other.stdout.readline() == b"held\n"
        with pytest.raises(HostError, match=r"rental\.moving.*nothing was changed"):
            async with RentalFolder(tmp_path, it.label).moving(0.1):
                pass
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(it.extend(HALF_H))
            await asyncio.sleep(0.3)
            assert it.deadlines_ts == []
            other.kill()
        await other.wait()
        assert it.deadlines_ts == [it.stored().deadline_ts]


async def test_a_machine_that_can_not_be_told_keeps_its_deadline_and_its_cap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with machine(tmp_path, monkeypatch) as it:
        before = it.stored()
        it.is_deaf = True
        with pytest.raises(HostError, match="does not answer"):
            await it.extend(HALF_H)
        assert it.stored() == before


async def test_deadline_and_cap_are_written_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed between two writes would leave a deadline that the cap does not pay for."""
    async with machine(tmp_path, monkeypatch) as it:
        seen: list[tuple[float | None, int | None]] = []
        note = Rentals.note

        def watched(ledger: Rentals, label: str, **values: Any) -> None:
            note(ledger, label, **values)
            seen.append((it.stored().deadline_ts, it.stored().cap_microusd))

        monkeypatch.setattr(Rentals, "note", watched)
        await it.extend(HALF_H)
        assert seen == [(it.stored().deadline_ts, it.stored().cap_microusd)]


async def test_a_cap_is_held_from_where_an_extension_has_moved_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with machine(tmp_path, monkeypatch) as it:
        dearer = 20 * it.stored().price_microusd_per_h

        async def hold() -> None:
            async with RentalFolder(tmp_path, it.label).moving():
                it.me.ledger.price_from(it.label, time.time(), dearer)
                await hold_to_cap(Targets(it.settings), it.settings, it.me.ledger, it.stored(), 0)

        await at_once(it.extend(HALF_H), hold())
        after = it.stored()
        assert after.cap_microusd is not None
        assert after.deadline_ts is not None
        assert after.deadline_ts == it.deadlines_ts[-1]
        assert after.deadline_ts - time.time() <= after.cap_microusd * 3600 / dearer
        assert after.stops_for == "the cap"


async def test_an_extension_that_would_empty_the_account_is_refused_with_the_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with machine(tmp_path, monkeypatch) as it:
        before = it.stored()
        # An hour and a half at that price costs less than that, and 1.3 times it costs more.
        it.me.fake.credit = round(1.5 * before.price_microusd_per_h * 1.1) / 1e6
        with pytest.raises(UsageError, match=r"balance\.too_low.*should be there.*Nothing has changed") as caught:
            await it.extend(HALF_H)
        assert "add $" in str(caught.value)
        assert it.stored() == before
        assert it.deadlines_ts == []
        it.me.fake.credit = round(1.5 * before.price_microusd_per_h * 1.31) / 1e6
        await it.extend(HALF_H)
        it.me.fake.credit = 0.0
        await it.extend(-HALF_H)
        assert it.stored().deadline_ts == before.deadline_ts


@given(st.integers(0, 10**12))
def test_a_part_of_the_account_stays_there_to_the_micro_dollar(used: int) -> None:
    needed = balance_for(used)
    assert type(needed) is int
    assert 10 * needed >= 13 * used > 10 * (needed - 1)
