"""The link to another machine: how soon a warm one is up, how soon a dead one is noticed, and what a sleep costs.

    python scripts/bench_link.py [attach|dead|wake ...]

A real sshd on loopback, alone and behind a proxy that adds 40 ms each way; a real agent and a real session. The client
that is put to sleep is a process of its own, stopped by a signal; that its clock jumps in sleep is put in by hand.
"""

import asyncio
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from figures import Figure

from loratui.domain.run import LinkState
from loratui.remote.agent_client import connected
from loratui.remote.ssh import Instance, SshBox, parse_target
from loratui.sessions.session import RunSession
from loratui.store import Store, StoredRun
from loratui_protocol.ids import new_id
from loratui_protocol.paths import AgentHome
from support.agent_process import AgentProcess, client_of, running_agent
from support.delay_proxy import DelayProxy, delay_proxy
from support.sshd import USER, Sshd, sshd
from support.way_to_agent import WayToAgent

ROUNDS = 15
ONE_WAY_S = 0.04
STOPPED_S = 8.0
DEADLINE_S = 60.0


def box_at(port: int, instance: Instance) -> SshBox:
    """Return the server at ``port`` as a box."""
    return SshBox(parse_target(f"ssh://{USER}@127.0.0.1:{port}"), instance)


async def attach_s(port: int, instance: Instance, agent: AgentProcess, job: str) -> float:
    """Return how long it takes from nothing to the first message about the run: SSH, channel, websocket, hello."""
    start_s = time.perf_counter()
    box = box_at(port, instance)
    try:
        async with connected(WayToAgent(box, agent.home), new_id()) as client:
            await client.follow(job, "", 0)
            await client.receive()
            return time.perf_counter() - start_s
    finally:
        await box.close()


async def measure_attach(ports: dict[str, int], instance: Instance, agent: AgentProcess, job: str) -> list[Figure]:
    """Attach again and again: the host's key is pinned and the agent runs."""
    figures = []
    for (title, port), limit_s in zip(ports.items(), (0.25, 1.0), strict=True):
        took_s = sorted([await attach_s(port, instance, agent, job) for _ in range(ROUNDS)])
        figures.append(Figure(f"warm attach, {title}, p50 of {ROUNDS}", statistics.median(took_s), "s", limit_s))
        figures.append(Figure(f"warm attach, {title}, worst", took_s[-1], "s", 2.5))
    return figures


@asynccontextmanager
async def followed(way: WayToAgent, job: str, folder: Path) -> AsyncIterator[RunSession]:
    """Follow the run for the block as the client does."""
    with Store(folder / "runs.db") as store:
        run = StoredRun(id=job, name="bench", target="local", created_ts=time.time(), config_toml="", home=Path("/"))
        with contextlib.suppress(Exception):
            store.add_run(run)
        session = RunSession(
            store.run(job), store, way, folder=folder, author="bench", client_id=new_id(), changed=lambda: None
        )
        async with asyncio.TaskGroup() as tasks:
            following = tasks.create_task(session.run())
            yield session
            session.close()
            following.cancel()


async def until(condition: Callable[[], object]) -> float:
    """Return when the condition holds."""
    async with asyncio.timeout(DEADLINE_S):
        while not condition():  # noqa: ASYNC110  what is waited for has no event
            await asyncio.sleep(0.005)
    return time.monotonic()


async def measure_dead(
    proxy: DelayProxy, instance: Instance, agent: AgentProcess, job: str, folder: Path
) -> list[Figure]:
    """Let the path die without a word, then come back."""
    box = box_at(proxy.port, instance)
    async with followed(WayToAgent(box, agent.home), job, folder) as session:
        await until(lambda: session.view.link is LinkState.UP)
        proxy.freeze()
        start_s = time.monotonic()
        noticed_s = await until(lambda: session.view.link is LinkState.DOWN)
        # What was held up belongs to connections that are given up: the way is new, as after a change of networks.
        proxy.cut()
        proxy.thaw()
        session.retry_now()
        start_again_s = time.monotonic()
        back_s = await until(lambda: session.view.link is LinkState.UP)
    await box.close()
    return [
        Figure("dead path noticed", noticed_s - start_s, "s", 20.0),
        Figure("and followed again once there is a way", back_s - start_again_s, "s", 2.5),
    ]


async def follow_and_tell(port: str, home: str, job: str, folder: str) -> None:
    """Be the client that sleeps: print the time of every attempt to connect. SIGUSR1: the clock jumps an hour."""
    real, jumped_s = time.time, [0.0]
    time.time = lambda: real() + jumped_s[0]

    def jump() -> None:
        jumped_s[0] += 3600

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, jump)
    box = box_at(int(port), Instance(Path(folder) / "instance"))
    way = WayToAgent(box, AgentHome(Path(home)), lambda: print(f"open {time.monotonic()}", flush=True))
    async with followed(way, job, Path(folder)) as session:
        await until(lambda: session.view.link is LinkState.UP)
        print("up", flush=True)
        await asyncio.Event().wait()


def measure_wake(port: int, agent: AgentProcess, job: str, folder: Path) -> list[Figure]:
    """Stop a client for a while, and let another's clock jump; see when each begins to connect again."""
    argv = [sys.executable, __file__, "--follow", str(port), str(agent.home.path), job, str(folder)]
    client = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    lines = client.stdout
    try:
        for line in lines:
            if line == "up\n":
                break
        os.kill(client.pid, signal.SIGUSR1)
        jumped_s = time.monotonic()
        after_jump_s = float(lines.readline().split()[1]) - jumped_s
        # Long enough for the new connection to be up: a stop during an attempt is another case.
        time.sleep(2)
        os.kill(client.pid, signal.SIGSTOP)
        time.sleep(STOPPED_S)
        os.kill(client.pid, signal.SIGCONT)
        woken_s = time.monotonic()
        after_stop_s = float(lines.readline().split()[1]) - woken_s
    finally:
        client.kill()
        client.wait()
        lines.close()
    return [
        Figure("new connection begun after the clock jumped", after_jump_s, "s", 1.0),
        Figure(f"new connection begun after {STOPPED_S:.0f} s stopped", after_stop_s, "s", 1.0),
    ]


async def finished_job(agent: AgentProcess) -> str:
    """Return a run to follow."""
    async with client_of(agent) as client:
        job = await client.start("steps = 20")
        await client.until_state(job, "done")
        return job


def measure(chosen: list[str], server: Sshd, agent: AgentProcess, folder: Path) -> list[Figure]:
    """Return the figures that were asked for."""
    instance = Instance(folder / "instance")
    server.authorize(instance.key())
    job = asyncio.run(finished_job(agent))
    figures: list[Figure] = []
    with delay_proxy(server.port) as near, delay_proxy(server.port, delay_s=ONE_WAY_S) as far:
        ports = {"loopback": near.port, "80 ms round trip": far.port}
        # The first connection pins the key.
        asyncio.run(attach_s(near.port, instance, agent, job))
        if "attach" in chosen:
            figures += asyncio.run(measure_attach(ports, instance, agent, job))
        if "wake" in chosen:
            figures += measure_wake(far.port, agent, job, folder)
        if "dead" in chosen:
            figures += asyncio.run(measure_dead(far, instance, agent, job, folder / "dead"))
    return figures


def main() -> int:
    """Measure, print a table, and return 1 if a limit is missed."""
    if sys.argv[1:2] == ["--follow"]:
        asyncio.run(follow_and_tell(*sys.argv[2:]))
        return 0
    chosen = sys.argv[1:] or ["attach", "wake", "dead"]
    with (
        tempfile.TemporaryDirectory() as name,
        sshd(Path(name) / "sshd") as server,
        running_agent(Path(name) / "home") as agent,
    ):
        (Path(name) / "dead").mkdir()
        figures = measure(chosen, server, agent, Path(name))
    for figure in figures:
        print(figure)
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
