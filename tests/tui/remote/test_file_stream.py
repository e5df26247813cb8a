"""Large files from an agent, and from what only pretends to be one: whatever it sends, only the right bytes stay."""

import asyncio
import json
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from loratui.domain import read_ahead
from loratui.domain.read_ahead import ReadAhead
from loratui.remote import file_stream
from loratui.remote.file_stream import FileWay
from loratui.remote.local_agent import LocalAgent
from loratui.remote.transfer import download
from loratui_protocol.errors import AgentUnreachableError, JobError, LoratuiError, ProtocolError
from loratui_protocol.messages import Artifact, ArtifactKind
from support.agent_process import AgentProcess, client_of, running_agent
from support.files import artifact_of

BIG = os.urandom(9_000_017)


def picture(content: bytes) -> Artifact:
    return artifact_of(content, "lora", name="pic.png", kind=ArtifactKind.SAMPLE)


def fetch(way: FileWay, artifact: Artifact, destination: Path, told: list[int] | None = None, job: str = "r") -> None:
    progress = told.append if told is not None else lambda _: None
    asyncio.run(download(way, job, artifact, destination, progress, ReadAhead()))


@contextmanager
def answering(folder: Path, answer: Callable[[socket.socket], None]) -> Iterator[FileWay]:
    """Give the way to something that answers one connection as ``answer`` does."""
    path = folder / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            with listener.accept()[0] as connection:
                try:
                    answer(connection)
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()

        @asynccontextmanager
        async def opened() -> AsyncIterator[socket.socket]:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(path))
                yield connection

        async def token() -> str:
            return "t"

        yield FileWay(opened=opened, token=token)
        thread.join(10)
        assert not thread.is_alive()


def total(connection: socket.socket, size: int) -> None:
    connection.recv(1 << 16)
    connection.sendall(json.dumps({"total": size}).encode() + b"\n")


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "r" / "pic.png"


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentProcess]:
    with running_agent(tmp_path_factory.mktemp("agent") / "home") as started:
        yield started


@pytest.fixture(scope="module")
def job(agent: AgentProcess) -> str:
    async def done() -> str:
        async with client_of(agent) as client:
            job = await client.start("steps = 2")
            await client.until_state(job, "done")
            return job

    job = asyncio.run(done())
    (agent.home.job(job) / "artifacts" / "lora").write_bytes(BIG)
    return job


def way_to(agent: AgentProcess) -> FileWay:
    transport = LocalAgent(agent.home.path, may_start=False)
    return FileWay(opened=transport.files, token=transport.token)


def test_file_arrives_whole(agent: AgentProcess, job: str, destination: Path) -> None:
    told: list[int] = []
    fetch(way_to(agent), picture(BIG), destination, told, job)
    assert destination.read_bytes() == BIG
    assert told == sorted(told)
    assert told[-1] == len(BIG)


def test_interrupted_file_goes_on_where_it_ended(agent: AgentProcess, job: str, destination: Path) -> None:
    destination.parent.mkdir(parents=True)
    destination.with_name("pic.png.part").write_bytes(BIG[:5_000_000])
    told: list[int] = []
    fetch(way_to(agent), picture(BIG), destination, told, job)
    assert destination.read_bytes() == BIG
    assert told[0] == 5_000_000


def test_refusal_is_said_in_the_agents_words(agent: AgentProcess, job: str, destination: Path) -> None:
    with pytest.raises(JobError, match=r"artifact\.unknown"):
        fetch(way_to(agent), artifact_of(BIG, "nope"), destination, job=job)
    with pytest.raises(JobError, match=r"job\.unknown"):
        fetch(way_to(agent), picture(BIG), destination, job="x")


def test_size_that_is_another_than_announced_is_no_file(agent: AgentProcess, job: str, destination: Path) -> None:
    for content in (BIG + b"x", BIG[:-1]):
        with pytest.raises(ProtocolError, match=r"artifact\.corrupt"):
            fetch(way_to(agent), picture(content), destination, job=job)
        assert not destination.exists()


def test_no_agent_is_said_to_be_unreachable(tmp_path: Path, destination: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "token").write_text("t")
    transport = LocalAgent(tmp_path, may_start=False)
    with pytest.raises(AgentUnreachableError):
        fetch(FileWay(opened=transport.files, token=transport.token), picture(BIG), destination)


def endless(connection: socket.socket) -> None:
    total(connection, len(BIG))
    while True:
        connection.sendall(bytes(1 << 20))


def early_end(connection: socket.socket) -> None:
    total(connection, len(BIG))
    connection.sendall(bytes(1000))


def line_without_end(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"x" * 4096)


@pytest.mark.parametrize(
    "answer",
    [
        endless,
        early_end,
        line_without_end,
        lambda connection: None,
        lambda connection: connection.sendall(b"[1]\n"),
        lambda connection: connection.sendall(b"\x80\x04pickle\n"),
        lambda connection: connection.sendall(b"[" * 3000 + b"\n"),
        lambda connection: connection.sendall(b'{"total": "9"}\n'),
        lambda connection: connection.sendall(b'{"total": true}\n'),
        lambda connection: connection.sendall(b'{"total": -1}\n'),
        lambda connection: connection.sendall(b'{"code": "evil\x1b[2J", "what": "\\u001b]52;c;x\\u0007"}\n'),
        lambda connection: connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n"),
    ],
)
def test_what_only_pretends_to_be_an_agent_leaves_no_file(
    tmp_path: Path, destination: Path, answer: Callable[[socket.socket], None]
) -> None:
    with answering(tmp_path, answer) as way, pytest.raises(LoratuiError) as refused:
        fetch(way, picture(BIG), destination)
    assert not destination.exists()
    assert "\x1b" not in str(refused.value)
    parts = list(destination.parent.glob("*"))
    assert sum(part.stat().st_size for part in parts) <= len(BIG)


def test_right_number_of_wrong_bytes_is_thrown_away(tmp_path: Path, destination: Path) -> None:
    def lie(connection: socket.socket) -> None:
        total(connection, 3)
        connection.sendall(b"bad")

    with answering(tmp_path, lie) as way, pytest.raises(ProtocolError, match=r"artifact\.corrupt"):
        fetch(way, picture(b"abc"), destination)
    assert list(destination.parent.iterdir()) == []


def test_silence_ends_the_transfer(tmp_path: Path, destination: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_stream, "SILENT_S", 0.2)
    heard = threading.Event()

    def be_silent(connection: socket.socket) -> None:
        total(connection, len(BIG))
        heard.wait(10)

    with answering(tmp_path, be_silent) as way:
        with pytest.raises(AgentUnreachableError, match="silent"):
            fetch(way, picture(BIG), destination)
        heard.set()


def test_byte_now_and_then_does_not_keep_the_transfer_going(
    tmp_path: Path, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_ahead, "PACE_S", 0.3)
    ended = threading.Event()

    def drip(connection: socket.socket) -> None:
        total(connection, len(BIG))
        while not ended.wait(0.02):
            connection.sendall(b"x")

    with answering(tmp_path, drip) as way:
        with pytest.raises(AgentUnreachableError, match="hardly sends anything"):
            fetch(way, picture(BIG), destination)
        ended.set()


def test_agent_that_reads_no_question_does_not_keep_the_transfer_going(
    tmp_path: Path, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_stream, "SILENT_S", 0.2)
    heard = threading.Event()

    async def token() -> str:
        # More than fits on the way.
        return "t" * 4_000_000

    def read_nothing(_: socket.socket) -> None:
        heard.wait(10)

    with answering(tmp_path, read_nothing) as way:
        with pytest.raises(AgentUnreachableError, match="silent"):
            fetch(replace(way, token=token), picture(BIG), destination)
        heard.set()
