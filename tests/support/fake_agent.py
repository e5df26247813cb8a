"""An agent inside the test, over the real link and a real socket, that can be told to misbehave."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from websockets.asyncio.server import ServerConnection, unix_serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from loratui_protocol import messages
from loratui_protocol.codec import decode, encode, encode_record, splice_records
from loratui_protocol.errors import ProtocolError
from loratui_protocol.link import MAX_BATCH_RECORDS, AgentLink, Execute, FollowFrom, ReadArtifact, Reply

TOKEN = "atokenfortests"
T = TypeVar("T")


@dataclass
class FakeJob:
    """A job's journal, and how its files are given out."""

    epoch: str = "epoch-1"
    records: list[messages.Record] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)


class FakeAgent:
    """Serves ``jobs`` at ``home``. Its attributes may be changed at any time."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.jobs: dict[str, FakeJob] = {}
        self.commands: list[messages.Command] = []
        self.reads: list[messages.GetArtifact] = []
        self.follows: list[FollowFrom] = []
        self.links: list[AgentLink] = []
        self.subprotocol = "loratui.v1"
        self.spoil: Callable[[bytes], bytes | str] = lambda frame: frame
        """Last word on every frame that goes out."""
        self.spoil_file: Callable[[messages.GetArtifact, bytes], bytes] = lambda _, content: content
        self.silent_files: set[str] = set()
        """Ids of artifacts whose bytes never come."""
        self.refuse_start = ""
        self.refuses = ""
        """What every other command is refused with."""
        self.silent_commands: set[str] = set()
        """Tags of commands that get no answer."""
        self.heartbeat: messages.Heartbeat | None = None
        self.greeting: messages.HelloOk | messages.Refused = messages.HelloOk(
            agent_version="0", now_ts=1000.0, features=[], jobs=[]
        )
        self.turns_away = ""
        """What is said to whoever connects, if it is to be turned away."""
        self.num_turned_away = 0
        """By that, or by a greeting that refuses."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._changed = asyncio.Event()
        self._connections: set[ServerConnection] = set()
        self._server_up = threading.Event()
        self._server_down = threading.Event()
        self._listen = asyncio.Event()
        self._stop = asyncio.Event()

    def __enter__(self) -> "FakeAgent":
        run = self.home / "run"
        run.mkdir(parents=True, exist_ok=True)
        (run / "token").write_text(TOKEN)
        self._thread.start()
        self.listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._loop.call_soon_threadsafe(self._listen.set)
        self._thread.join(10)
        self._loop.close()

    def listen(self) -> None:
        """Accept connections (again)."""
        self._loop.call_soon_threadsafe(self._listen.set)
        assert self._server_up.wait(10)

    def vanish(self) -> None:
        """Drop everyone and stop listening."""
        self._server_up.clear()
        self._server_down.clear()
        self._in_loop(self._listen.clear)
        self.cut()
        assert self._server_down.wait(10)

    def cut(self) -> None:
        """Break every connection without a word."""
        self._in_loop(lambda: [connection.transport.abort() for connection in list(self._connections)])

    def add_job(self, job: str) -> None:
        """Have a job that nobody has started."""
        self._in_loop(lambda: self.jobs.setdefault(job, FakeJob()))

    def emit(self, job: str, *events: messages.Event, ts: float = 1000.0) -> None:
        """Append to a job's journal."""

        def append() -> None:
            records = self.jobs[job].records
            for event in events:
                records.append(messages.Record(seq=len(records) + 1, ts=ts, event=event))
            self._wake()

        self._in_loop(append)

    def beat(self, heartbeat: messages.Heartbeat | None = None) -> None:
        """Send a heartbeat."""

        def wake() -> None:
            self.heartbeat = heartbeat or messages.Heartbeat(
                now_ts=1000.0, telemetry=messages.Telemetry(source="psutil")
            )
            self._wake()

        self._in_loop(wake)

    def acked(self, job: str) -> int:
        """Return the highest acknowledgement of a job."""
        return max((link.acked.get(job, 0) for link in self.links), default=0)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _in_loop(self, function: Callable[[], T]) -> T:
        async def call() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        path = self.home / "run" / "agent.sock"
        while not self._stop.is_set():
            await self._listen.wait()
            if self._stop.is_set():
                break
            path.unlink(missing_ok=True)
            async with unix_serve(
                self._converse,
                str(path),
                subprotocols=[Subprotocol(self.subprotocol)],
                process_request=self._admit,
                compression=None,
                close_timeout=0.2,
            ):
                self._server_up.set()
                while self._listen.is_set() and not self._stop.is_set():
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0.01):
                            await self._stop.wait()
            path.unlink(missing_ok=True)
            self._server_down.set()

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return connection.respond(401, "agent.token\n")
        if not self.turns_away:
            return None
        self.num_turned_away += 1
        return connection.respond(403, self.turns_away)

    async def _converse(self, connection: ServerConnection) -> None:
        if isinstance(self.greeting, messages.Refused):
            await connection.recv()
            await self._send(connection, encode(self.greeting))
            self.num_turned_away += 1
            return
        link = AgentLink(self.greeting, now_s=0.0)
        self.links.append(link)
        self._connections.add(connection)
        cursors: dict[str, int] = {}
        try:
            async with asyncio.TaskGroup() as tasks:
                streaming = tasks.create_task(self._stream(connection, cursors))
                async for frame in connection:
                    assert isinstance(frame, bytes)
                    for output in link.receive(decode(frame), 0.0):
                        await self._do(connection, output, cursors)
                streaming.cancel()
        except* (ConnectionClosed, ProtocolError):
            pass
        finally:
            self._connections.discard(connection)

    async def _send(self, connection: ServerConnection, frame: bytes) -> None:
        await connection.send(self.spoil(frame))

    async def _stream(self, connection: ServerConnection, cursors: dict[str, int]) -> None:
        while True:
            changed = self._changed
            if self.heartbeat is not None:
                frame, self.heartbeat = encode(self.heartbeat), None
                await self._send(connection, frame)
            if not await self._send_batches(connection, cursors):
                await changed.wait()

    async def _send_batches(self, connection: ServerConnection, cursors: dict[str, int]) -> bool:
        sent = False
        for job, cursor in list(cursors.items()):
            batch = self.jobs[job].records[cursor : cursor + MAX_BATCH_RECORDS]
            if batch:
                sent = True
                cursors[job] = cursor + len(batch)
                stored = [encode_record(record) for record in batch]
                await self._send(connection, splice_records(job, self.jobs[job].epoch, stored))
        return sent

    async def _do(
        self,
        connection: ServerConnection,
        output: Reply | FollowFrom | Execute | ReadArtifact,
        cursors: dict[str, int],
    ) -> None:
        match output:
            case Reply(message=message):
                await self._send(connection, encode(message))
            case FollowFrom(job=asked):
                self.follows.append(output)
                job = self.jobs.get(asked)
                if job is None:
                    await self._refuse(connection, asked, "job.unknown")
                    return
                answer = AgentLink.following(output, epoch=job.epoch, head=len(job.records))
                await self._send(connection, encode(answer))
                cursors[asked] = answer.after_seq
                self._wake()
            case Execute(command=command):
                await self._execute(connection, command)
            case ReadArtifact(request=request):
                await self._read(connection, request)

    async def _execute(self, connection: ServerConnection, command: messages.Command) -> None:
        known = command.id in {earlier.id for earlier in self.commands}
        self.commands.append(command)
        if isinstance(command, messages.StartJob):
            if self.refuse_start:
                await self._refuse(connection, command.id, self.refuse_start)
                return
            self.jobs.setdefault(command.job, FakeJob())
        elif self.refuses:
            await self._refuse(connection, command.id, self.refuses)
            return
        if command.tag in self.silent_commands or known:
            return
        records = self.jobs[command.job].records
        result = messages.CommandResult(id=command.id, command=command.tag, author=command.author, ok=True)
        records.append(messages.Record(seq=len(records) + 1, ts=1000.0, event=result))
        self._wake()

    async def _read(self, connection: ServerConnection, request: messages.GetArtifact) -> None:
        self.reads.append(request)
        if request.artifact_id in self.silent_files:
            return
        content = self.jobs[request.job].files.get(request.artifact_id)
        if content is None:
            await self._refuse(connection, request.id, "artifact.unknown")
            return
        part = self.spoil_file(request, content[request.offset : request.offset + request.length])
        chunk = messages.Chunk(id=request.id, offset=request.offset, total=len(content), content=part)
        await self._send(connection, encode(chunk))

    async def _refuse(self, connection: ServerConnection, request_id: str, code: str) -> None:
        await self._send(connection, encode(messages.Refused(id=request_id, code=code, what=f"refused: {code}")))


@contextlib.contextmanager
def fake_agent(home: Path) -> Iterator[FakeAgent]:
    with FakeAgent(home) as agent:
        yield agent
