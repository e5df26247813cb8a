"""What shows that an agent lives: its loop turns, or waits for a disk that is slow."""

import asyncio
import json
import sys
import time
from pathlib import Path

from loratui_agent.disk_wait import disk_wait
from loratui_agent.life import Life
from support.agent_process import SCRIPT, client_of, running_agent, wait_until
from support.reaper_process import running_reaper


def beats(path: Path) -> int:
    return path.stat().st_mtime_ns


async def test_a_loop_that_turns_or_waits_for_the_disk_lives_and_one_that_hangs_does_not(tmp_path):
    path = tmp_path / "beat"
    path.touch()
    with Life(path, beat_s=0.05) as life:
        async with asyncio.TaskGroup() as tasks:
            turning = tasks.create_task(life.turn())
            begin_s = time.monotonic()
            await asyncio.to_thread(wait_until, lambda: time.monotonic() > begin_s + 0.5, "half a second")
            before = beats(path)
            await asyncio.to_thread(wait_until, lambda: beats(path) > before, "a beat of the loop that turns")
            # From here on nobody gives the loop its turn.
            with disk_wait():
                begin_s = time.monotonic()
                wait_until(lambda: time.monotonic() > begin_s + 0.5, "half a second")
                turned = beats(path)
                wait_until(lambda: beats(path) > turned, "a beat while the disk is waited for")
            hanging_s = time.monotonic()
            wait_until(lambda: time.monotonic() > hanging_s + 0.5, "half a second")
            last = beats(path)
            wait_until(lambda: time.monotonic() > hanging_s + 1, "another half")
            assert beats(path) == last
            turning.cancel()


async def test_an_agent_that_waits_for_a_slow_disk_is_not_taken_for_hung(tmp_path):
    slow = tmp_path / "slow"
    # Only the system's own call is slow, and once.
    program = (
        "import os, runpy, sys, time\n"
        "fsync = os.fsync\n"
        "def slowly(descriptor):\n"
        f"    if os.path.exists({str(slow)!r}):\n"
        f"        os.unlink({str(slow)!r})\n"
        "        time.sleep(9)\n"
        "    fsync(descriptor)\n"
        "os.fsync = slowly\n"
        "sys.argv = sys.argv[2:]\n"
        f"runpy.run_path({SCRIPT!r}, run_name='__main__')\n"
    )
    with running_agent(tmp_path / "home", prefix=[sys.executable, "-c", program]) as agent:
        status = json.loads(agent.home.status.read_text())
        with running_reaper(agent.home.path, "--hung-after-s", "4"):
            async with client_of(agent) as client:
                job = await client.start("steps = 500\nstep_s = 0.01\ncheckpoint_every = 20")
                await client.until_step(job, 5)
                slow.touch()
                await client.until_state(job, "done")
            assert not slow.exists()
            assert agent.process.poll() is None
        assert json.loads(agent.home.status.read_text())["pid"] == status["pid"]
        assert "killed" not in agent.home.reaper_log.read_text()
