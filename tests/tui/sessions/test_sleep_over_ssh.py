"""A laptop that sleeps, or whose way dies without a word, while it follows a run on a host 80 ms away."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from loratui import settings
from loratui.domain.awake import MAX_GAP_S
from loratui.settings import Settings
from loratui.store import Store, StoredRun
from loratui_protocol.ids import new_id
from loratui_protocol.messages import Record, Step
from support import following_client
from support.agent_process import AgentProcess, running_agent, wait_until
from support.delay_proxy import DelayProxy, delay_proxy
from support.known_host import known_host
from support.set_clock import SetClock
from support.sshd import Sshd, needs_sshd, sshd

pytestmark = needs_sshd

ONE_WAY_S = 0.04
LONG = "steps = 100000\nstep_s = 0.01\ncheckpoint_every = 1000"
ASLEEP_S = MAX_GAP_S + 1.5
AT_ONCE_S = 8.0
"""Long for a busy machine, and sooner than anything but the look at the clocks gives a dead way up: 17 s of silence."""
NOTICED_S = 20.0
BUSY_S = 8.0


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[AgentProcess]:
    with running_agent(tmp_path / "home") as started:
        yield started


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    with sshd(tmp_path / "server") as started:
        yield started


@dataclass
class Laptop:
    """A laptop that reaches the host over a way of its own, and starts the run unless another has."""

    here: Settings
    run: StoredRun
    agent: AgentProcess

    @contextmanager
    def following(self, environment: Mapping[str, str] | None = None) -> Iterator[int]:
        """Follow the run in a process of its own for the block, which is given its pid."""
        run, home = self.run, str(self.agent.home.path)
        argv = [sys.executable, following_client.__file__, str(self.here.state_dir), run.id, run.target, home]
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL, env={**os.environ, **(environment or {})}) as client:
            try:
                wait_until(lambda: len(self.records()) > 20, "records")
                yield client.pid
            finally:
                client.kill()

    def records(self) -> list[Record]:
        with Store(self.here.database) as store:
            return list(store.records(self.run.id))

    def assert_whole(self) -> None:
        history = self.records()
        assert [record.seq for record in history] == list(range(1, len(history) + 1))
        steps = [record.event.step for record in history if isinstance(record.event, Step)]
        assert steps == list(range(1, len(steps) + 1))


def laptop(folder: Path, server: Sshd, way: DelayProxy, agent: AgentProcess, run_id: str) -> Laptop:
    here = settings.load({"state_dir": str(folder)}, {"LORATUI_CONFIG_DIR": str(folder)})
    target = known_host(here, server, way.port, agent.home.path)
    run = StoredRun(id=run_id, name="n", target=target, created_ts=time.time(), config_toml=LONG, home=Path())
    with Store(here.database) as store:
        store.add_run(run)
    return Laptop(here, run, agent)


def test_dead_way_is_left_at_once_after_a_suspension_and_within_twenty_seconds_without_one(
    agent: AgentProcess, server: Sshd, tmp_path: Path
) -> None:
    run_id = new_id()
    with delay_proxy(server.port, delay_s=ONE_WAY_S) as way, delay_proxy(server.port, delay_s=ONE_WAY_S) as other_way:
        asleep = laptop(tmp_path / "asleep", server, way, agent, run_id)
        awake = laptop(tmp_path / "awake", server, other_way, agent, run_id)
        with asleep.following() as pid, awake.following():
            os.kill(pid, signal.SIGSTOP)
            began_s = time.monotonic()
            # A network forgets the connections of a laptop that sleeps, and says nothing to either end.
            way.strand()
            other_way.strand()
            before, others_before = len(asleep.records()), len(awake.records())
            connections, others = way.passed().connections, other_way.passed().connections
            wait_until(lambda: time.monotonic() > began_s + ASLEEP_S, "the laptop to have slept")
            assert way.passed().connections == connections
            os.kill(pid, signal.SIGCONT)
            wait_until(lambda: way.passed().connections > connections, "a new connection", AT_ONCE_S)
            wait_until(lambda: len(asleep.records()) > before + 300, "what happened meanwhile")
            left_s = began_s + NOTICED_S + BUSY_S - time.monotonic()
            wait_until(lambda: other_way.passed().connections > others, "the other one to notice", left_s)
            wait_until(lambda: len(awake.records()) > others_before + 300, "what happened meanwhile")
    asleep.assert_whole()
    awake.assert_whole()


def test_sleep_that_only_the_wall_clock_shows_ends_the_old_connection_at_once(
    agent: AgentProcess, server: Sshd, tmp_path: Path
) -> None:
    clock = SetClock(tmp_path / "clock")
    with delay_proxy(server.port, delay_s=ONE_WAY_S) as way:
        sleeper = laptop(tmp_path / "laptop", server, way, agent, new_id())
        with sleeper.following(clock.environment):
            way.strand()
            before, connections = len(sleeper.records()), way.passed().connections
            # The monotonic clock of Linux and macOS stands still in sleep.
            clock.set(3600)
            wait_until(lambda: way.passed().connections > connections, "a new connection", AT_ONCE_S)
            wait_until(lambda: len(sleeper.records()) > before + 100, "what happened meanwhile")
    sleeper.assert_whole()
