"""Events between agent and client on this machine: latency, replay, reconnection, and what the agent costs.

    python scripts/bench_wire.py

The agent is a real process; the trainer is a stand-in that emits steps at a set pace, so that nothing but the wire and
the journal is measured.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from figures import Figure

from support.agent_process import AgentProcess, client_of, running_agent

NUM_LIVE = 1_000
LIVE_STEP_S = 0.02
NUM_REPLAYED = 20_000
NUM_MISSED = 1_000
DEADLINE_S = 120.0


async def measure_live(agent: AgentProcess) -> list[Figure]:
    """Follow a run as it happens: from the moment the trainer emits a step to the moment the client has it."""
    process = psutil.Process(agent.process.pid)
    async with client_of(agent) as client:
        before_s, cpu_before_s = time.monotonic(), _cpu_s(process)
        job = await client.start(f"steps = {NUM_LIVE}\nstep_s = {LIVE_STEP_S}\ncheckpoint_every = 100000")
        await client.receive_until(lambda: client.states(job)[-1:] == ["done"], DEADLINE_S)
        took_s, cpu_s = time.monotonic() - before_s, _cpu_s(process) - cpu_before_s
        late_ms = sorted(
            (received_s - record.ts) * 1000
            for received_s, record in zip(client.received_s, client.records[job], strict=True)
            if record.event.tag == "step"
        )
    cuts = statistics.quantiles(late_ms, n=100)
    print(f"  agent's share of one core at {1 / LIVE_STEP_S:.0f} steps/s: {cpu_s / took_s:.1%}")
    print(f"  agent's time per event: {cpu_s / NUM_LIVE * 1e6:.0f} µs")
    return [
        Figure("event, p50", cuts[49], "ms", 5),
        Figure("event, p99", cuts[98], "ms", 75),
    ]


async def measure_replay(agent: AgentProcess) -> list[Figure]:
    """Fetch a long history from its beginning, then the end of it as after a lost connection."""
    async with client_of(agent) as client:
        job = await client.start(f"steps = {NUM_REPLAYED}\nstep_s = 0.0\ncheckpoint_every = 1000000")
        await client.receive_until(lambda: client.states(job)[-1:] == ["done"], DEADLINE_S)
        head = client.records[job][-1].seq
        epoch = client.started[0].epoch
    async with client_of(agent) as client:
        start_s = time.perf_counter()
        await client.follow(job)
        await client.receive_until(lambda: job in client.records and client.records[job][-1].seq == head, DEADLINE_S)
        replay_s = time.perf_counter() - start_s
        assert [record.seq for record in client.records[job]] == list(range(1, head + 1))
    took_ms = []
    for _ in range(5):
        start_s = time.perf_counter()
        async with client_of(agent) as client:
            await client.follow(job, epoch, head - NUM_MISSED)
            await client.receive_until(
                lambda: job in client.records and client.records[job][-1].seq == head, DEADLINE_S
            )
            took_ms.append((time.perf_counter() - start_s) * 1000)
    return [
        Figure("replay", head / replay_s, "events/s", 10_000, at_least=True),
        Figure(f"reconnection with {NUM_MISSED} missed events", statistics.median(took_ms), "ms", 250),
    ]


def measure_agent(agent: AgentProcess) -> list[Figure]:
    """Look at the agent's process after all that work."""
    process = psutil.Process(agent.process.pid)
    libraries = {Path(mapped.path).name for mapped in process.memory_maps()}
    return [
        Figure("agent's resident memory", process.memory_info().rss / 2**20, "MiB", 60e6 / 2**20),
        Figure("torch libraries in the agent", sum("torch" in name for name in libraries), "", 0),
    ]


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def main() -> int:
    """Measure, print a table, and return 1 if a limit is missed."""
    with tempfile.TemporaryDirectory() as folder, running_agent(Path(folder) / "home") as agent:
        print("agent and client on one machine, over the agent's unix socket")
        figures = asyncio.run(measure_live(agent)) + asyncio.run(measure_replay(agent)) + measure_agent(agent)
    for figure in figures:
        print(figure)
    return 0 if all(figure.holds for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
