"""What happens to a followed run when this machine sleeps, or the way to the agent dies without a word."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loratui import settings
from loratui.domain.run import LinkState
from loratui.remote.local_agent import LocalAgent
from loratui.sessions.host import SessionHost
from loratui.sessions.start_run import start_run
from support.agent_process import wait_until
from support.fake_agent import FakeAgent, fake_agent


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
def sleep(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """Let the wall clock jump, as it does while the monotonic clock stands still."""
    asleep_s, real = [0.0], time.time

    def jump(seconds: float) -> None:
        asleep_s[0] += seconds

    monkeypatch.setattr(time, "time", lambda: real() + asleep_s[0])
    return jump


@pytest.fixture
def abandoned(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    times: list[float] = []
    monkeypatch.setattr(LocalAgent, "abandon", lambda self: times.append(time.monotonic()))
    return times


def start(host: SessionHost, agent: FakeAgent) -> str:
    return start_run(host, name="n", target="local", config_toml="", home=agent.home, price_microusd_per_h=7)


def test_waking_up_drops_the_connection_and_makes_a_new_one(
    host: SessionHost, agent: FakeAgent, sleep, abandoned: list[float]
) -> None:
    run_id = start(host, agent)
    wait_until(lambda: host.view(run_id).link is LinkState.UP, "the link to be up")
    sleep(3600)
    wait_until(lambda: len(agent.follows) == 2, "a new connection")
    assert abandoned
    wait_until(lambda: host.view(run_id).link is LinkState.UP, "the link to be up")


def test_waking_up_ends_the_wait_for_the_next_attempt(
    host: SessionHost, agent: FakeAgent, sleep, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = start(host, agent)
    wait_until(lambda: host.view(run_id).link is LinkState.UP, "the link to be up")
    monkeypatch.setattr("loratui.sessions.session.retry_after_s", lambda failures, chance: 1000.0)
    token = agent.home / "run" / "token"
    right = token.read_text()
    token.write_text("wrong")
    agent.cut()
    wait_until(lambda: host.view(run_id).link is LinkState.DOWN, "the link to be down")
    token.write_text(right)
    sleep(3600)
    wait_until(lambda: host.view(run_id).link is LinkState.UP, "the link to be up")


def test_silent_agent_is_given_up_and_the_way_to_it_with_it(
    host: SessionHost, agent: FakeAgent, abandoned: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = start(host, agent)
    wait_until(lambda: host.view(run_id).link is LinkState.UP, "the link to be up")
    monkeypatch.setattr("loratui_protocol.link.DEAD_AFTER_S", 0.2)
    monkeypatch.setattr("loratui_protocol.link.STALE_AFTER_S", 0.1)
    wait_until(lambda: len(agent.follows) >= 2, "a new connection")
    assert abandoned
