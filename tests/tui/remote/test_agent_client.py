import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from websockets.frames import Frame, Opcode
from websockets.utils import accept_key

from loratui.remote.agent_client import AgentClient, connected
from loratui.remote.local_agent import LocalAgent
from loratui_protocol import SUBPROTOCOL
from loratui_protocol.codec import MAX_FRAME_BYTES, encode
from loratui_protocol.errors import AgentRefusedError, AgentUnreachableError, LoratuiError, ProtocolError
from loratui_protocol.link import Beat, Deliver, Started
from loratui_protocol.messages import Ack, Chunk, HelloOk, Log, Records, Refused
from support.agent_process import wait_until
from support.fake_agent import TOKEN, FakeAgent, FakeJob, fake_agent

DEADLINE_S = 10.0


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[FakeAgent]:
    with fake_agent(tmp_path / "home") as started:
        started.jobs["j"] = FakeJob(files={"a": b"0123456789"})
        yield started


@asynccontextmanager
async def client_of(agent: FakeAgent) -> AsyncIterator[AgentClient]:
    async with asyncio.timeout(DEADLINE_S), connected(LocalAgent(agent.home, may_start=False), "client") as client:
        yield client


async def next_of(client: AgentClient, kind: type) -> object:
    while True:
        for event in await client.receive():
            if isinstance(event, kind):
                return event


async def test_client_is_taken_in_and_follows(agent: FakeAgent) -> None:
    agent.emit("j", Log(level="INFO", line="one"), Log(level="INFO", line="two"))
    async with client_of(agent) as client:
        assert isinstance(client.hello_ok, HelloOk)
        await client.follow("j", "epoch-1", 1)
        started = await next_of(client, Started)
        assert isinstance(started, Started)
        assert not started.reset
        delivered = await next_of(client, Deliver)
        assert isinstance(delivered, Deliver)
        assert [record.seq for record in delivered.records] == [2]
        assert client.health() == "up"


async def test_what_is_stored_is_acknowledged_with_the_heartbeat(agent: FakeAgent) -> None:
    agent.emit("j", Log(level="INFO", line="one"))
    async with client_of(agent) as client:
        await client.follow("j", "", 0)
        await next_of(client, Deliver)
        await client.stored("j", 1)
        agent.beat()
        await next_of(client, Beat)
        await asyncio.to_thread(wait_until, lambda: agent.acked("j") == 1, "the acknowledgement")


async def test_bytes_of_a_file_come_to_whoever_asked(agent: FakeAgent) -> None:
    async with client_of(agent) as client:
        first = await client.ask_artifact("j", "a", 0, 4)
        second = await client.ask_artifact("j", "a", 4, 4)
        missing = await client.ask_artifact("j", "nothing", 0, 4)
        while not missing.done():
            assert await client.receive() == []
        assert [answer.result() for answer in (first, second)] == [
            Chunk(id=agent.reads[0].id, offset=0, total=10, content=b"0123"),
            Chunk(id=agent.reads[1].id, offset=4, total=10, content=b"4567"),
        ]
        refused = missing.result()
        assert isinstance(refused, Refused)
        assert refused.code == "artifact.unknown"


async def test_refusal_of_something_else_is_handed_on(agent: FakeAgent) -> None:
    async with client_of(agent) as client:
        await client.follow("nobody", "", 0)
        refused = await next_of(client, Refused)
        assert isinstance(refused, Refused)
        assert (refused.id, refused.code) == ("nobody", "job.unknown")


async def converse(agent: FakeAgent) -> None:
    """Talk until an error ends it."""
    async with client_of(agent) as client:
        await client.follow("j", "", 0)
        while True:
            await client.receive()


async def refused_with(agent: FakeAgent) -> LoratuiError:
    with pytest.raises(LoratuiError) as refused:
        await converse(agent)
    return refused.value


async def test_nobody_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(AgentUnreachableError, match=r"agent\.unreachable"):
        async with connected(LocalAgent(tmp_path, may_start=False), "client"):
            pass


async def test_wrong_token_is_said_so(agent: FakeAgent) -> None:
    (agent.home / "run" / "token").write_text("another")
    error = await refused_with(agent)
    assert isinstance(error, AgentRefusedError)
    assert error.code == "agent.token"


async def test_agent_of_another_version_is_said_so(tmp_path: Path) -> None:
    with fake_agent(tmp_path / "home") as agent:
        agent.vanish()
        agent.subprotocol = "loratui.v9"
        agent.listen()
        error = await refused_with(agent)
    assert isinstance(error, AgentRefusedError)
    assert error.code == "agent.version"


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\xc1garbage", "protocol.garbage"),
        ("text", "protocol.garbage"),
        (b"\x81\xa1t\xa5weird", "protocol.unknown_kind"),
        (b"x" * (MAX_FRAME_BYTES + 1), "protocol.too_large"),
        (encode(Ack(job="j", epoch="e", seq=1)), "protocol.order"),
        (encode(Records(job="other", epoch="e", records=[])), "protocol.order"),
    ],
    ids=["garbage", "text", "unknown kind", "too large", "a client's message", "records nobody asked for"],
)
@pytest.mark.parametrize("greeted", [False, True], ids=["instead of the greeting", "later"])
async def test_agent_that_breaks_the_rules_is_dropped(
    agent: FakeAgent, frame: bytes | str, code: str, greeted: bool
) -> None:
    sent: list[bytes] = []

    def spoil(good: bytes) -> bytes | str:
        sent.append(good)
        return good if greeted and len(sent) == 1 else frame

    agent.spoil = spoil
    error = await refused_with(agent)
    assert isinstance(error, ProtocolError)
    assert error.code == code


async def test_refusal_instead_of_a_greeting_is_the_agents_no(agent: FakeAgent) -> None:
    agent.spoil = lambda _: encode(Refused(id="", code="agent.full", what="come later"))
    error = await refused_with(agent)
    assert isinstance(error, AgentRefusedError)
    assert error.code == "agent.full"


async def test_agent_that_gives_the_connection_up_is_believed(agent: FakeAgent) -> None:
    frames: list[bytes] = []

    def spoil(frame: bytes) -> bytes:
        frames.append(frame)
        return frame if len(frames) == 1 else encode(Refused(id="", code="protocol.order", what="you broke the rules"))

    agent.spoil = spoil
    error = await refused_with(agent)
    assert isinstance(error, ProtocolError)
    assert "you broke the rules" in error.what


async def test_broken_connection_is_said_so(agent: FakeAgent) -> None:
    async with client_of(agent) as client:
        agent.cut()
        with pytest.raises(AgentUnreachableError, match=r"agent\.lost"):
            await client.receive()


@pytest.mark.parametrize(
    "answer",
    [
        *(b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"", b"\x00" * 64),
        b"HTTP/1.1 302 Found\r\nLocation: ws://elsewhere/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: ws://agent/again\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 301 Moved\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    ],
)
async def test_something_else_at_the_socket_is_no_agent(tmp_path: Path, answer: bytes) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "token").write_text("t")

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_unix_server(speak, str(run / "agent.sock"))
    async with server:
        with pytest.raises((ProtocolError, AgentRefusedError)):
            async with connected(LocalAgent(tmp_path, may_start=False), "client"):
                pass


async def test_token_never_goes_to_a_proxy_of_the_environment(
    agent: FakeAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:9")
    async with client_of(agent) as client:
        assert client.hello_ok.agent_version == "0"


async def test_token_is_never_logged(agent: FakeAgent, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with client_of(agent):
        pass
    ours = [record.getMessage() for record in caplog.records if record.name != "websockets.server"]
    assert TOKEN not in "".join(ours)


async def test_socket_is_closed_when_the_handshake_fails(agent: FakeAgent) -> None:
    opened: list[socket.socket] = []

    class Watched(LocalAgent):
        @asynccontextmanager
        async def opened(self) -> AsyncIterator[socket.socket]:
            async with super().opened() as each:
                opened.append(each)
                yield each

    (agent.home / "run" / "token").write_text("another")
    with pytest.raises(AgentRefusedError):
        async with connected(Watched(agent.home, may_start=False), "client"):
            pass
    assert [each.fileno() for each in opened] == [-1]


async def upgraded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Take a client in as an agent does, by hand."""
    request = await reader.readuntil(b"\r\n\r\n")
    key = request.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0].decode()
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + f"Sec-WebSocket-Accept: {accept_key(key)}\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n".encode()
    )
    greeting = encode(HelloOk(agent_version="0", now_ts=1000.0, features=[], jobs=[]))
    writer.write(Frame(Opcode.BINARY, greeting).serialize(mask=False))


async def test_agent_that_floods_with_pings_and_reads_nothing_is_dropped(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "token").write_text("t")
    pings = Frame(Opcode.PING, b"x" * 125).serialize(mask=False) * 100
    dropped_after = asyncio.get_running_loop().create_future()

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent = 0
        await upgraded(reader, writer)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        try:
            while sent < 64 << 20:
                writer.write(pings)
                await writer.drain()
                sent += len(pings)
        except OSError:
            pass
        dropped_after.set_result(sent)
        writer.close()

    async with await asyncio.start_unix_server(flood, str(tmp_path / "run" / "agent.sock")):
        async with connected(LocalAgent(tmp_path, may_start=False), "client") as client:
            with pytest.raises(AgentUnreachableError):
                await client.receive()
        assert await dropped_after < 16 << 20


async def test_refusal_of_an_agent_passes_for_nothing_that_we_found_out(agent: FakeAgent) -> None:
    agent.spoil = lambda _: encode(Refused(id="", code="ssh.host_key_changed", what="no"))
    assert (await refused_with(agent)).code == "agent.refused"
