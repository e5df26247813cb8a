"""A sleep of this machine while a client waits to try again; what it does to a connection: test_sleep_over_ssh.py."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from loratui import settings
from loratui.domain.run import LinkState
from loratui.sessions.host import SessionHost
from loratui.sessions.start_run import start_run
from support.agent_process import wait_until
from support.fake_agent import FakeAgent, fake_agent

LONG_S = 3.0
"""A wait in which even a busy machine connects."""


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[FakeAgent]:
    with fake_agent(tmp_path / "home") as started:
        yield started


@pytest.fixture
def host(tmp_path: Path, agent: FakeAgent) -> Iterator[SessionHost]:
    variables = {"LORATUI_CONFIG_DIR": str(tmp_path)}
    started = SessionHost(settings.load({"state_dir": str(tmp_path / "state"), "author": "ann"}, variables))
    started.start()
    yield started
    started.close()


@pytest.fixture
def sleep(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let the wall clock jump, as it does while the monotonic clock stands still."""
    asleep_s, real = [0.0], time.time

    def jump(seconds: float) -> None:
        asleep_s[0] += seconds

    monkeypatch.setattr(time, "time", lambda: real() + asleep_s[0])
    return jump


def start(host: SessionHost, agent: FakeAgent) -> str:
    return start_run(host, name="n", target="local", config_toml="", home=agent.home, price_microusd_per_h=7)


def test_waking_up_ends_the_wait_for_the_next_attempt(
    host: SessionHost, agent: FakeAgent, sleep: Callable[[float], None]
) -> None:
    run_id = start(host, agent)
    wait_until(lambda: host.view(run_id).link is LinkState.UP, "the link to be up")
    token = agent.home / "run" / "token"
    right = token.read_text()
    token.write_text("wrong")
    agent.cut()
    # Each failure makes the wait for the next attempt longer.
    wait_until(lambda: (host.view(run_id).retry_at_s or 0.0) > time.monotonic() + LONG_S, "a long wait")
    due_s = host.view(run_id).retry_at_s
    token.write_text(right)
    sleep(3600)
    wait_until(lambda: host.view(run_id).link is LinkState.UP, "the link to be up")
    assert host.view(run_id).link_since_s < due_s
