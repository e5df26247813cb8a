"""Room that is kept for a full disk, on a disk that is full for real."""

import asyncio
from collections.abc import Iterator

import pytest

from loratui_protocol import messages
from support.agent_process import client_of, running_agent, wait_until
from support.reaper_process import running_reaper
from support.small_disk import SmallDisk, needs_small_disk, small_disk

pytestmark = needs_small_disk
LONG = "steps = 20000\nstep_s = 0.01\ncheckpoint_every = 100000"


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    with small_disk(96) as lent:
        yield lent


async def test_a_run_on_a_full_disk_is_stopped_and_that_is_written_down(disk: SmallDisk):
    with running_agent(disk.path / "home") as agent:
        ballast = agent.home.run / "loratui.ballast"
        assert ballast.stat().st_blocks * 512 >= 8 << 20
        async with client_of(agent) as client:
            job = await client.start(LONG)
            await client.until_step(job, 5)
            disk.fill()
            stop = await client.command(messages.Stop, job)
            await client.until_state(job, "stopped")
            assert client.results(job)[stop].ok
        assert not ballast.exists()
        assert agent.state(job)["state"] == "stopped"


async def test_an_agent_killed_on_a_full_disk_starts_again_and_takes_up_its_run(disk: SmallDisk):
    with running_agent(disk.path / "home") as agent:
        async with client_of(agent) as client:
            job = await client.start(LONG)
            await client.until_step(job, 5)
        agent.kill()
        disk.fill()
        agent.restart()
        async with client_of(agent) as client:
            await client.follow(job)
            await client.command(messages.Stop, job)
            await client.until_state(job, "stopped")


async def test_a_reaper_watches_on_a_disk_without_any_room():
    with small_disk(8) as disk, running_agent(disk.path / "home") as agent:
        disk.fill()
        assert not (agent.home.run / "loratui.ballast").exists(), "too small a disk for it"
        with running_reaper(agent.home.path) as reaper:
            beat = agent.home.run / "reaper.beat"
            await asyncio.to_thread(wait_until, beat.exists, "the reaper's first round")
            first = beat.stat().st_mtime_ns
            await asyncio.to_thread(wait_until, lambda: beat.stat().st_mtime_ns > first, "its second round")
            assert reaper.poll() is None
