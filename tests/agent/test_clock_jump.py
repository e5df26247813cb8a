"""The wall clock of the machine is set by a day while a run goes on: agent, reaper and trainer all see it at once."""

import signal
import time
from pathlib import Path

import pytest

from loratui_agent.process import is_locked, signal_group
from loratui_protocol import messages
from support.agent_process import AgentProcess, Client, client_of, running_agent, wait_until
from support.set_clock import SetClock

DAY_S = 86_400.0
LIMIT_S = 3600.0
MICROUSD_PER_S = 1_000_000
SCRIPT = "steps = 100000\nstep_s = 0.01\ncheckpoint_every = 20"

pytestmark = pytest.mark.parametrize("jump_s", [DAY_S, -DAY_S], ids=["ahead", "back"])


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SetClock:
    """The clock of all processes that are started from here on."""
    clock = SetClock(tmp_path / "clock")
    for name, text in clock.environment.items():
        monkeypatch.setenv(name, text)
    return clock


class Run:
    """A run with an auto-stop and a price, so that its figures count its seconds."""

    def __init__(self, job: str, asked_s: float) -> None:
        self.job = job
        self._asked_s = asked_s
        self._elapsed_s = 0.0

    @classmethod
    async def start(cls, client: Client) -> "Run":
        asked_s = time.monotonic()
        price = 3600 * MICROUSD_PER_S
        return cls(await client.start(SCRIPT, max_runtime_s=LIMIT_S, price_microusd_per_h=price), asked_s)

    async def assert_plausible(self, client: Client) -> None:
        """Check what the next heartbeat says of the run against this process's own clock."""
        seen = len(client.heartbeats)
        await client.receive_until(lambda: len(client.heartbeats) > seen)
        status = client.heartbeats[-1].active
        assert status is not None, "the run is not going on"
        elapsed_s = status.spent_microusd / MICROUSD_PER_S
        assert self._elapsed_s < elapsed_s <= time.monotonic() - self._asked_s
        assert status.deadline_s == pytest.approx(LIMIT_S - elapsed_s, abs=0.1)
        self._elapsed_s = elapsed_s


def has_jumped(ts: float, clock: SetClock) -> bool:
    return abs(ts - (time.time() + clock.offset_s)) < DAY_S / 2


async def until_reaper_has_looked(agent: AgentProcess, client: Client) -> None:
    """Wait for two of its rounds to begin: by then it has done one."""
    for _ in range(2):
        before_ns = agent.home.reaper_beat.stat().st_mtime_ns
        await client.receive_until(lambda: agent.home.reaper_beat.stat().st_mtime_ns != before_ns)  # noqa: B023


async def test_clock_that_is_set_neither_ends_a_run_nor_costs_anything_nor_cuts_a_connection(
    tmp_path: Path, clock: SetClock, jump_s: float
) -> None:
    with running_agent(tmp_path / "home", reaper=True, patience={"cost_every_s": 0.2}) as agent:
        wait_until(lambda: is_locked(agent.home.reaper_lock), "the reaper")
        async with client_of(agent) as client:
            run = await Run.start(client)
            await client.until_step(run.job, 20)
            clock.set(jump_s)
            await until_reaper_has_looked(agent, client)
            await run.assert_plausible(client)
            # It was the clock of all of them: the agent's and, in what it says of itself, the trainer's.
            assert has_jumped(client.heartbeats[-1].now_ts, clock)
            assert has_jumped(client.records[run.job][-1].ts, clock)
            assert client.states(run.job) == ["queued", "preparing", "running"]
            costs = [event.spent_microusd for event in client.events(run.job) if isinstance(event, messages.Cost)]
            assert costs == sorted(costs)
            await client.command(messages.Stop, run.job)
            await client.until_state(run.job, "stopped")
            assert agent.state(run.job)["reason"] == "user"


async def test_clock_that_is_set_while_the_agent_is_dead_costs_nothing_and_the_trainer_is_still_looked_after(
    tmp_path: Path, clock: SetClock, jump_s: float
) -> None:
    with running_agent(tmp_path / "home") as agent:
        async with client_of(agent) as client:
            run = await Run.start(client)
            await client.until_step(run.job, 40)
        trainer = agent.trainer(run.job)
        agent.kill()
        clock.set(jump_s)
        agent.restart()
        async with client_of(agent) as client:
            await client.follow(run.job)
            await run.assert_plausible(client)
            assert agent.trainer(run.job) == trainer
            assert "interrupted" not in client.states(run.job)
            signal_group(trainer, signal.SIGKILL)
            await client.receive_until(lambda: client.states(run.job)[-3:] == ["resuming", "preparing", "running"])
            steps = [event.step for event in client.events(run.job) if isinstance(event, messages.Step)]
            assert sorted(set(steps)) == list(range(1, max(steps) + 1))
