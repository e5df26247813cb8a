import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from loratui.remote import local_agent
from loratui.remote.agent_client import connected
from loratui.remote.local_agent import LocalAgent
from loratui_protocol.errors import AgentUnreachableError, ExtraMissingError, UsageError
from loratui_protocol.paths import AgentHome
from support.agent_process import wait_until


def pid_of(home: AgentHome) -> int:
    return int(json.loads(home.status.read_text())["pid"])


@pytest.fixture
def home(tmp_path: Path) -> Iterator[AgentHome]:
    made = AgentHome(tmp_path / "home")
    yield made
    if made.status.exists():
        os.kill(pid_of(made), signal.SIGTERM)
        wait_until(lambda: num_started() == 0, "the agent's end")


def num_started() -> int:
    """Return how many of the agents that this process started are alive."""
    return sum(process.poll() is None for process in local_agent._STARTED)


async def greeted(home: AgentHome) -> str:
    async with connected(LocalAgent(home.path), "client") as client:
        return client.hello_ok.agent_version


async def test_agent_is_started_once_and_found_again(home: AgentHome) -> None:
    started_s = time.monotonic()
    async with asyncio.TaskGroup() as tasks:
        both = [tasks.create_task(greeted(home)) for _ in range(2)]
    await asyncio.to_thread(wait_until, lambda: num_started() == 1, "one agent to be left")
    first_pid = pid_of(home)
    assert [task.result() for task in both] == ["0.1.0", "0.1.0"]
    assert await greeted(home) == "0.1.0"
    assert pid_of(home) == first_pid
    assert os.getsid(first_pid) == first_pid
    assert home.log.stat().st_mode & 0o077 == 0
    assert time.monotonic() - started_s < local_agent.START_TIMEOUT_S


async def test_agent_that_can_not_start_says_why(tmp_path: Path) -> None:
    home = AgentHome(tmp_path / "home")
    home.run.mkdir(parents=True)
    home.jobs.write_text("a file where the folder of the jobs belongs")
    with pytest.raises(AgentUnreachableError, match=r"agent\.start") as refused:
        async with LocalAgent(home.path).opened():
            pass
    assert str(home.log) in refused.value.fix


async def test_socket_left_by_a_dead_agent_is_no_agent(tmp_path: Path) -> None:
    home = AgentHome(tmp_path)
    home.run.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(home.run / "agent.sock"))
    with pytest.raises(AgentUnreachableError, match=r"agent\.unreachable"):
        async with LocalAgent(tmp_path, may_start=False).opened():
            pass


async def test_missing_extra_is_named_with_the_command_and_nothing_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_agent, "_NEEDED", ("torch", "surely_not_installed"))
    with pytest.raises(ExtraMissingError, match=r"extra\.agent") as refused:
        async with LocalAgent(tmp_path / "home").opened():
            pass
    assert f'{sys.executable} -m pip install "loratui[agent]"' in refused.value.fix
    assert "surely_not_installed" in refused.value.what
    assert not (tmp_path / "home").exists()


def test_system_without_agents_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(UsageError, match=r"target\.platform"):
        local_agent.check_platform()
