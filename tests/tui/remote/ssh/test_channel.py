"""The way to the agent's socket: a channel, else the agent's proxy, else a refusal that says what to change."""

import asyncio
import contextlib
import random
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from loratui.remote.agent_client import AgentClient, connected
from loratui.remote.ssh import Instance, SshBox, parse_target
from loratui_protocol.errors import AgentUnreachableError, HostError, ProtocolError
from loratui_protocol.ids import new_id
from loratui_protocol.paths import FILES_SOCKET, AgentHome, socket_path
from support.agent_process import AgentProcess, running_agent, wait_until
from support.delay_proxy import delay_proxy
from support.sshd import SLOW_AND_NOISY_RC, Sshd, sshd

NO_PROXY = ["/bin/false"]


class Way:
    """A transport to the agent of ``home``, which lies on this machine, through ``box``."""

    def __init__(self, box: SshBox, home: AgentHome) -> None:
        self._box = box
        self._home = home

    def opened(self) -> AbstractAsyncContextManager[socket.socket]:
        argv = [sys.executable, "-m", "loratui_agent.cli", "proxy", "--home", str(self._home.path)]
        return self._box.channel(str(socket_path(self._home.path, "agent.sock")), argv)

    def files(self) -> AbstractAsyncContextManager[socket.socket]:
        return self._box.channel(str(socket_path(self._home.path, FILES_SOCKET)), NO_PROXY)

    async def token(self) -> str:
        return self._home.token.read_text("ascii")

    def refused_token(self) -> None:
        pass

    def abandon(self) -> None:
        self._box.abort()


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    with running_agent(tmp_path_factory.mktemp("agent") / "home") as started:
        yield started


@asynccontextmanager
async def box_of(server: Sshd, instance: Instance, port: int = 0) -> AsyncIterator[SshBox]:
    server.authorize(instance.key())
    box = SshBox(parse_target(f"ssh://root@127.0.0.1:{port or server.port}"), instance)
    try:
        yield box
    finally:
        await box.close()


@asynccontextmanager
async def listening(
    path: Path, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
) -> AsyncIterator[str]:
    """Serve one connection in the place of an agent; at the end of the block it is over."""
    is_over = asyncio.Event()

    async def serve_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError):
                await serve(reader, writer)
        finally:
            writer.close()
            is_over.set()

    server = await asyncio.start_unix_server(serve_and_close, path)
    try:
        yield str(path)
    finally:
        server.close()
        async with asyncio.timeout(10):
            await is_over.wait()


async def greet(box: SshBox, agent: AgentProcess) -> None:
    async with connected(Way(box, agent.home), new_id()) as client:
        assert client.hello_ok.agent_version


async def receive_all(client: AgentClient) -> None:
    while True:
        await client.receive()


@pytest.mark.parametrize(
    "variant",
    [{}, {"streamlocal": False}, {"streamlocal": False, "rc": SLOW_AND_NOISY_RC}, {"sessions": 0}],
    ids=["forwarded", "through-the-proxy", "through-the-proxy-and-noise", "without-programs"],
)
async def test_agent_is_reached(tmp_path: Path, instance: Instance, agent: AgentProcess, variant: dict) -> None:  # type: ignore[type-arg]
    with sshd(tmp_path / "d", **variant) as server:
        async with box_of(server, instance) as box:
            await greet(box, agent)
            await greet(box, agent)
            # Nothing else listens on the box for our sake.
            assert server.listening_ports() == {server.port}


async def test_host_that_forwards_since_it_was_restarted_is_asked_again(
    tmp_path: Path, instance: Instance, agent: AgentProcess
) -> None:
    with sshd(tmp_path / "d", streamlocal=False) as server:
        async with box_of(server, instance) as box:
            await greet(box, agent)
            await box.close()
            server.variant.streamlocal, server.variant.sessions = True, 0
            server.restart()
            await greet(box, agent)


async def test_host_that_allows_neither_is_refused_with_what_to_change(
    tmp_path: Path, instance: Instance, agent: AgentProcess
) -> None:
    with sshd(tmp_path / "d", streamlocal=False, sessions=0) as server:
        async with box_of(server, instance) as box:
            with pytest.raises(HostError) as caught:
                await greet(box, agent)
    assert caught.value.code == "ssh.forwarding"
    assert "AllowStreamLocalForwarding yes" in caught.value.fix


@pytest.mark.parametrize("streamlocal", [True, False])
async def test_agent_that_is_not_there_is_told_from_a_host_that_forbids(
    tmp_path: Path, instance: Instance, streamlocal: bool
) -> None:
    home = AgentHome(tmp_path / "nowhere")
    with sshd(tmp_path / "d", streamlocal=streamlocal) as server:
        async with box_of(server, instance) as box:
            with pytest.raises(AgentUnreachableError):
                async with Way(box, home).opened():
                    pass


async def test_missing_program_on_the_box_means_that_no_agent_is_there(plain_sshd: Sshd, instance: Instance) -> None:
    async with box_of(plain_sshd, instance) as box:
        with pytest.raises(AgentUnreachableError):
            async with box.channel("/no/such/socket", ["/no/such/python", "-m", "loratui_agent.cli"]):
                pass


async def test_error_of_the_block_comes_out_as_it_is(plain_sshd: Sshd, instance: Instance, agent: AgentProcess) -> None:
    async with box_of(plain_sshd, instance) as box:
        with pytest.raises(KeyError):
            async with Way(box, agent.home).opened():
                raise KeyError


@pytest.mark.parametrize("delay_s", [0, 0.02])
async def test_every_byte_arrives_in_order_both_ways_at_once(
    plain_sshd: Sshd, instance: Instance, tmp_path: Path, delay_s: float
) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while received := await reader.read(1 << 16):
            writer.write(received)
            await writer.drain()

    content = random.Random(1).randbytes(4 << 20)
    with delay_proxy(plain_sshd.port, delay_s=delay_s, stall_chance=0.02, stall_s=0.01) as proxy:
        async with (
            box_of(plain_sshd, instance, proxy.port) as box,
            listening(tmp_path / "echo", echo) as path,
            box.channel(path, NO_PROXY) as end,
        ):
            reader, writer = await asyncio.open_connection(sock=end)

            async def send() -> None:
                writer.write(content)
                await writer.drain()

            async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
                tasks.create_task(send())
                assert await reader.readexactly(len(content)) == content
            writer.close()


async def test_what_the_agent_said_last_arrives_before_the_end(
    plain_sshd: Sshd, instance: Instance, tmp_path: Path
) -> None:
    async def farewell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x" * 3_000_000 + b"end")
        await writer.drain()

    async with (
        box_of(plain_sshd, instance) as box,
        listening(tmp_path / "s", farewell) as path,
        box.channel(path, NO_PROXY) as end,
    ):
        reader, writer = await asyncio.open_connection(sock=end)
        async with asyncio.timeout(10):
            assert (await reader.read(-1))[-3:] == b"end"
        writer.close()


async def test_client_that_reads_nothing_holds_the_agent_back(
    plain_sshd: Sshd, instance: Instance, tmp_path: Path
) -> None:
    """What is on its way is bounded by the window and the buffers, not by how much the agent has."""
    sent = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        while True:
            writer.write(bytes(1 << 20))
            await writer.drain()
            sent += 1

    async with (
        box_of(plain_sshd, instance) as box,
        listening(tmp_path / "s", flood) as path,
        box.channel(path, NO_PROXY),
    ):

        async def flows() -> None:
            before = -1
            while sent != before:
                before = sent
                # Programs on the same connection go on, which also gives the flood time to come to a stop.
                async with box.process(["/bin/sleep", "0.1"]) as process:
                    assert await process.wait() == 0

        async with asyncio.timeout(20):
            await flows()
        assert 4 <= sent <= 64


async def test_broken_connection_ends_the_conversation_and_the_next_makes_a_new_one(
    tmp_path: Path, instance: Instance, agent: AgentProcess
) -> None:
    with sshd(tmp_path / "d") as server:
        async with box_of(server, instance) as box:
            async with connected(Way(box, agent.home), new_id()) as client:
                server.kill_sessions()
                async with asyncio.timeout(5):
                    with pytest.raises(AgentUnreachableError):
                        await receive_all(client)
            await greet(box, agent)


async def test_abandoned_way_ends_the_conversation_at_once_though_nothing_answers(
    tmp_path: Path, instance: Instance, agent: AgentProcess
) -> None:
    with sshd(tmp_path / "d") as server, delay_proxy(server.port) as proxy:
        async with box_of(server, instance, proxy.port) as box:
            way = Way(box, agent.home)
            async with asyncio.timeout(3):
                async with connected(way, new_id()) as client:
                    proxy.freeze()
                    way.abandon()
                    with pytest.raises(AgentUnreachableError):
                        await receive_all(client)
            proxy.thaw()
            await greet(box, agent)


async def test_second_run_that_finds_the_same_death_leaves_the_connection_that_the_first_has_made_since(
    tmp_path: Path, instance: Instance, agent: AgentProcess
) -> None:
    with sshd(tmp_path / "d") as server, delay_proxy(server.port) as proxy:
        async with box_of(server, instance, proxy.port) as box:
            await greet(box, agent)
            proxy.strand()
            box.abort()
            async with connected(Way(box, agent.home), new_id()) as client:
                box.abort()
                answer = await client.ask_artifact("j", "a", 0, 1)
                while not answer.done():
                    await client.receive()
            assert proxy.passed().connections == 2


async def test_proxy_on_the_box_ends_with_the_conversation(
    tmp_path: Path, instance: Instance, agent: AgentProcess
) -> None:
    with sshd(tmp_path / "d", streamlocal=False) as server:
        async with box_of(server, instance) as box:
            await greet(box, agent)

            def proxies() -> list[object]:
                return [found for found in server.processes() if "proxy" in found.cmdline()]

            await asyncio.to_thread(wait_until, lambda: not proxies(), "the proxy's end")


async def test_hostile_proxy_that_prints_without_end_is_left(
    tmp_path: Path, instance: Instance, agent: AgentProcess
) -> None:
    with sshd(tmp_path / "d", streamlocal=False, forced="/usr/bin/yes") as server:
        async with box_of(server, instance) as box:
            async with asyncio.timeout(10):
                with pytest.raises(ProtocolError) as caught:
                    await greet(box, agent)
    assert caught.value.code == "ssh.noise"
