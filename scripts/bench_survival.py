"""What an agent costs whose client has stopped reading, and how soon a reaper acts whose agent was killed.

    python scripts/bench_survival.py [stalled] [reaper] [--minutes 10]

A real sshd on loopback, a real agent, a trainer that says a step and a log line fifty times a second. The client is a
process that is stopped (SIGSTOP) while it follows; its connections stay open, as those of a suspended laptop do.
"""

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from figures import Figure

from loratui.remote.agent_client import connected
from loratui.remote.ssh import Instance, SshBox, parse_target
from loratui_agent.process import ProcessIdentity, is_alive, is_locked
from loratui_protocol.ids import new_id
from loratui_protocol.link import Deliver
from loratui_protocol.paths import AgentHome
from support.agent_process import AgentProcess, client_of, running_agent, wait_until
from support.reaper_process import running_reaper
from support.sshd import USER, sshd
from support.way_to_agent import WayToAgent

STEP_S = 0.02
LOG_CHARS = 200
WARM_UP_S = 20.0
LOOK_S = 1.0
GROWTH_LIMIT_MB = 5.0
DEADLINE_S = 8.0
REAPER_LIMIT_S = 60.0
CATCH_UP_S = 60.0
ROUNDS = 3


async def follow(port: str, home: str, job: str, folder: str) -> None:
    """Be the client: print the number of every record up to which nothing is missing, and begin again when cut off."""
    box = SshBox(parse_target(f"ssh://{USER}@127.0.0.1:{port}"), Instance(Path(folder)))
    epoch, last = "", 0
    while True:
        try:
            async with connected(WayToAgent(box, AgentHome(Path(home))), new_id()) as agent:
                await agent.follow(job, epoch, last)
                while True:
                    for event in await agent.receive():
                        if isinstance(event, Deliver):
                            assert event.records[0].seq == last + 1, "a record is missing"
                            epoch, last = event.epoch, event.records[-1].seq
                            print(last, flush=True)
                            await agent.stored(job, last)
        except Exception as error:  # noqa: BLE001  whatever ended it, a client tries again
            print(f"# {error}", flush=True)
            await asyncio.sleep(0.5)


async def started(agent: AgentProcess, script: str, **fields: object) -> str:
    """Return a run that has begun to train."""
    async with client_of(agent) as client:
        job = await client.start(script, **fields)
        await client.until_step(job, 5)
        return job


def measure_stalled(folder: Path, minutes: float) -> list[Figure]:
    """Stop a client for ``minutes``; return what the agent grew by, and how soon the client had caught up."""
    script = f"steps = 10000000\nstep_s = {STEP_S}\ncheckpoint_every = 100000\nlog_chars = {LOG_CHARS}"
    with sshd(folder / "sshd") as server, running_agent(folder / "home") as agent:
        job = asyncio.run(started(agent, script))
        server.authorize(Instance(folder / "instance").key())
        argv = [sys.executable, __file__, "--follow", str(server.port), str(agent.home.path), job]
        said = folder / "said"
        with said.open("wb") as output:
            client = subprocess.Popen([*argv, str(folder / "instance")], stdout=output)
        try:
            wait_until(lambda: last_said(said) > 100, "the client to follow")
            time.sleep(WARM_UP_S)
            before_kib = agent.resident_kib()
            os.kill(client.pid, signal.SIGSTOP)
            most_kib, until_s = before_kib, time.monotonic() + 60 * minutes
            while time.monotonic() < until_s:
                time.sleep(LOOK_S)
                most_kib = max(most_kib, agent.resident_kib())
            seen = last_said(said)
            head = head_of(agent, job)
            os.kill(client.pid, signal.SIGCONT)
            woken_s = time.monotonic()
            wait_until(lambda: last_said(said) >= head, "the client to catch up", CATCH_UP_S)
            caught_up_s = time.monotonic() - woken_s
        finally:
            client.kill()
            client.wait()
    print(f"  while the client was stopped the run said {head - seen:,} things; before, the agent had {before_kib} KiB")
    grown_mb = (most_kib - before_kib) * 1024 / 1e6
    return [
        Figure(f"agent's growth under a client stopped for {minutes:g} min", grown_mb, "MB", GROWTH_LIMIT_MB),
        Figure("the client had everything again, without a gap, after", caught_up_s, "s", CATCH_UP_S),
    ]


def last_said(path: Path) -> int:
    """Return the number of the newest record that the client has."""
    numbers = [line for line in path.read_text().splitlines()[-50:] if line.isdecimal()]
    return int(numbers[-1]) if numbers else 0


def head_of(agent: AgentProcess, job: str) -> int:
    """Return the number of the newest record that there is."""

    async def ask() -> int:
        async with client_of(agent) as client:
            await client.follow(job)
            await client.receive_until(lambda: client.started)
            return client.started[0].head

    return asyncio.run(ask())


def measure_reaper(folder: Path) -> list[Figure]:
    """Kill the agent of a run before its auto-stop; return how late the reaper acts, and a deaf trainer's end."""
    late_s, deaf_s = [], []
    for number in range(ROUNDS):
        late_s.append(seconds_after_deadline(folder / f"saves{number}", "", [], has_saved))
        deaf_s.append(
            seconds_after_deadline(folder / f"deaf{number}", "\nignore_stop = true", ["--grace-s", "30"], is_dead)
        )
    return [
        Figure(f"trainer told, and saved, after its deadline; worst of {ROUNDS}", max(late_s), "s", REAPER_LIMIT_S),
        Figure("one that ignores it killed, grace of 30 s included; worst", max(deaf_s), "s", REAPER_LIMIT_S),
    ]


def has_saved(agent: AgentProcess, job: str, _: ProcessIdentity) -> bool:
    """Return whether the trainer has saved and said how it ended."""
    return (agent.home.job(job) / "exit.json").exists()


def is_dead(_agent: AgentProcess, _job: str, trainer: ProcessIdentity) -> bool:
    """Return whether the trainer is gone."""
    return not is_alive(trainer)


def seconds_after_deadline(
    home: Path, more: str, options: list[str], condition: Callable[[AgentProcess, str, ProcessIdentity], bool]
) -> float:
    """Start a run with an auto-stop, kill its agent for good, and return how long after it ``condition`` holds."""
    with running_agent(home) as agent:
        script = f"steps = 10000000\nstep_s = {STEP_S}\ncheckpoint_every = 100{more}"
        start_s = time.monotonic()
        job = asyncio.run(started(agent, script, max_runtime_s=DEADLINE_S))
        trainer = agent.trainer(job)
        assert trainer is not None
        with running_reaper(agent.home.path, *options):
            wait_until(lambda: is_locked(agent.home.reaper_lock), "the reaper")
            agent.kill()
            # Without the command that starts it: an agent that can't come back.
            agent.home.status.write_text("{}")
            assert time.monotonic() - start_s < DEADLINE_S, "the agent was to die before the deadline"
            wait_until(lambda: condition(agent, job, trainer), "the reaper", 2 * REAPER_LIMIT_S + DEADLINE_S)
            return time.monotonic() - start_s - DEADLINE_S


def main() -> int:
    """Measure, print a table, and return 1 if a limit is missed."""
    if sys.argv[1:2] == ["--follow"]:
        asyncio.run(follow(*sys.argv[2:]))
        return 0
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=["stalled", "reaper", []], help="by default both")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long the client is stopped")
    arguments = parser.parse_args()
    parts = arguments.parts or ["stalled", "reaper"]
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as name:
        if "stalled" in parts:
            figures += measure_stalled(Path(name), arguments.minutes)
        if "reaper" in parts:
            figures += measure_reaper(Path(name))
    for figure in figures:
        print(figure)
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
