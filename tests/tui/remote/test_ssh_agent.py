import asyncio
import dataclasses
import os
import shutil
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from loratui.remote import bundle as bundling
from loratui.remote.agent_client import connected
from loratui.remote.bootstrap import ensure_agent
from loratui.remote.box import BoxProcess
from loratui.remote.probe import probe
from loratui.remote.ssh.connection import SshBox
from loratui.remote.ssh_agent import SshAgent
from loratui_agent.facts import read_facts
from loratui_agent.process import identify
from loratui_protocol.errors import AgentRefusedError, AgentUnreachableError, HostError
from loratui_protocol.paths import AgentHome
from support.agent_process import wait_until
from support.boxes import agent_of, box_of
from support.sshd import SLOW_AND_NOISY_RC, Sshd, needs_sshd, sshd

pytestmark = needs_sshd


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    with sshd(tmp_path / "server") as started:
        yield started


@asynccontextmanager
async def greeted_by(server: Sshd, folder: Path, **options: Any) -> AsyncIterator[SshAgent]:
    """Give the way to an agent that has just greeted over it."""
    async with agent_of(server, folder, **options) as agent:
        async with connected(agent, "client") as client:
            assert client.hello_ok.agent_version
        yield agent


def home_of(server: Sshd) -> AgentHome:
    return AgentHome(server.home / ".loratui")


def pid_of(server: Sshd) -> int:
    return int(read_facts(home_of(server).status)["pid"])


def programs_of(said: list[tuple[str, str]]) -> list[str]:
    return [phase for phase, _ in said]


async def test_an_agent_is_brought_to_a_bare_machine_and_outlives_the_connection(server: Sshd, tmp_path: Path) -> None:
    said: list[tuple[str, str]] = []
    async with greeted_by(server, tmp_path / "host", say=lambda phase, text, _: said.append((phase, text))):
        first_pid = pid_of(server)
    assert programs_of(said) == ["probe", "agent"]
    assert "KiB sent" in said[1][1]
    server.kill_sessions()
    assert identify(first_pid) is not None
    assert home_of(server).path.stat().st_mode & 0o777 == 0o700


async def test_where_it_was_last_time_nothing_is_run_to_find_it(server: Sshd, tmp_path: Path) -> None:
    async with greeted_by(server, tmp_path / "host"):
        pass
    said: list[str] = []
    # From now on the host runs no program at all, and still forwards to the socket.
    server.variant.sessions = 0
    server.restart()
    async with greeted_by(server, tmp_path / "host", say=lambda phase, *_: said.append(phase)) as agent:
        assert agent.facts() is None
    assert said == []


async def test_an_agent_that_has_gone_is_started_again_without_being_sent_again(server: Sshd, tmp_path: Path) -> None:
    async with greeted_by(server, tmp_path / "host"):
        first_pid = pid_of(server)
    first = identify(first_pid)
    os.kill(first_pid, signal.SIGTERM)
    wait_until(lambda: identify(first_pid) != first, "the agent's end")
    said: list[tuple[str, str]] = []
    async with greeted_by(server, tmp_path / "host", say=lambda phase, text, _: said.append((phase, text))):
        assert pid_of(server) != first_pid
    assert said[1] == ("agent", "started")


async def test_a_token_that_is_refused_is_read_anew(server: Sshd, tmp_path: Path) -> None:
    async with greeted_by(server, tmp_path / "host") as agent:
        address = await agent.address()
    async with box_of(server, tmp_path / "host") as (box, instance):
        instance.remember({"agent": {**address.to_dict(), "token": "0" * 64}})
        agent = SshAgent(box, instance)
        with pytest.raises(AgentRefusedError, match="token"):
            async with connected(agent, "client"):
                pass
        async with connected(agent, "client"):
            assert await agent.token() == address.token


async def test_whoever_may_not_start_one_is_told_that_there_is_none(server: Sshd, tmp_path: Path) -> None:
    async with agent_of(server, tmp_path / "host", may_start=False) as agent:
        with pytest.raises(AgentUnreachableError):
            await agent.token()
    assert not home_of(server).path.exists()


async def test_several_laptops_at_once_make_one_agent(server: Sshd, tmp_path: Path) -> None:
    async def greet(name: str) -> str:
        async with greeted_by(server, tmp_path / name) as agent:
            return (await agent.address()).token

    async with asyncio.TaskGroup() as tasks:
        greetings = [tasks.create_task(greet(f"laptop{number}")) for number in range(3)]
    assert len({greeting.result() for greeting in greetings}) == 1
    bundles = sorted(path.name for path in home_of(server).bundles.iterdir())
    assert bundles == [bundling.bundle_name()]


@pytest.mark.parametrize("shell", ["dash", "bash", "fish", "zsh", "csh"])
async def test_the_login_shell_does_not_matter(shell: str, tmp_path: Path) -> None:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not installed")
    with sshd(tmp_path / "server", shell=path, rc=SLOW_AND_NOISY_RC) as server:
        async with greeted_by(server, tmp_path / "host") as agent:
            assert (await agent.address()).home == str(server.home / ".loratui")


async def test_where_sockets_are_not_forwarded_the_proxy_carries_it(tmp_path: Path) -> None:
    with sshd(tmp_path / "server", streamlocal=False, sftp=False, rc=SLOW_AND_NOISY_RC) as server:
        async with greeted_by(server, tmp_path / "host"):
            pass


async def test_a_read_only_home_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with sshd(tmp_path / "server", read_only_home=True) as server:
        async with agent_of(server, tmp_path / "host") as agent:
            with pytest.raises(HostError, match="can't be written") as refused:
                await agent.token()
    assert refused.value.code == "host.disk"


async def test_a_disk_that_is_too_small_is_refused_with_its_size(tmp_path: Path) -> None:
    with sshd(tmp_path / "server", tmpfs_home="8m") as server:
        async with agent_of(server, tmp_path / "host") as agent:
            with pytest.raises(HostError, match=r"8\.4 MB free") as refused:
                await agent.token()
    assert refused.value.code == "host.disk"


async def test_a_disk_that_fills_up_on_the_way_leaves_nothing_half_there(tmp_path: Path) -> None:
    with sshd(tmp_path / "server", tmpfs_home="1m") as server:
        async with box_of(server, tmp_path / "host") as (box, _):
            facts = await probe(box)
            with pytest.raises(HostError, match="can't hold the agent") as refused:
                await ensure_agent(box, facts, f"{server.home}/.loratui", lambda *_: None)
        left = list((server.root / str(server.home / ".loratui/agent").lstrip("/")).iterdir())
    assert refused.value.code == "host.disk"
    assert left == []


async def test_a_damaged_copy_is_sent_again(server: Sshd, tmp_path: Path) -> None:
    home = home_of(server)
    broken = home.bundles / bundling.bundle_name()
    broken.mkdir(parents=True)
    (broken / ".ok").touch()
    async with greeted_by(server, tmp_path / "host"):
        assert (broken / "loratui_agent" / "supervisor.py").exists()


class Tearing:
    """A box whose connection breaks in the middle of whatever is sent to a program."""

    def __init__(self, box: SshBox, server: Sshd) -> None:
        self.name = box.name
        self._box, self._server = box, server

    @asynccontextmanager
    async def process(self, argv: Sequence[str], nonce: str = "") -> AsyncIterator[BoxProcess]:
        async with self._box.process(argv, nonce) as process:
            whole = process.write

            async def write_half(content: bytes) -> None:
                await whole(content[: len(content) // 2])
                await asyncio.to_thread(self._server.kill_sessions)

            process.write = write_half  # type: ignore[method-assign]
            yield process


async def test_a_push_that_is_torn_leaves_nothing(server: Sshd, tmp_path: Path) -> None:
    async with box_of(server, tmp_path / "host") as (box, _):
        facts = await probe(box)
        with pytest.raises(HostError) as torn:
            await ensure_agent(Tearing(box, server), facts, str(home_of(server).path), lambda *_: None)  # type: ignore[arg-type]
        assert torn.value.code == "ssh.lost"
        await asyncio.to_thread(wait_until, lambda: not server.processes(), "the end of what was run there")
        assert not home_of(server).path.exists()
        address = await ensure_agent(box, facts, str(home_of(server).path), lambda *_: None)
    assert address.agent_bundle == bundling.bundle_name()


async def test_without_a_python_that_is_new_enough_it_says_so(server: Sshd, tmp_path: Path) -> None:
    async with box_of(server, tmp_path / "host") as (box, _):
        facts = dataclasses.replace(await probe(box), pythons=())
        with pytest.raises(HostError, match=r"Python 3\.11") as refused:
            await ensure_agent(box, facts, str(home_of(server).path), lambda *_: None)
    assert refused.value.code == "host.python"
    assert not home_of(server).path.exists()
