"""Whoever interrupts the end of a rental once leaves nothing that bills, whenever that comes."""

import asyncio
from pathlib import Path

import pytest

from loratui import settings
from loratui.cli.rental_end import finish
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
