"""Serves clients: a websocket on a private unix socket, a cursor into the journal for each run that a client follows.

There are no queues. A slow client's cursor lags; the journal file is what it has yet to read.
"""

import asyncio
import contextlib
import hmac
import http
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path

from websockets.asyncio.server import ServerConnection, unix_serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from loratui_agent import __version__
from loratui_agent.artifacts import read_chunk
from loratui_agent.commands import Commands
from loratui_agent.job import Job
from loratui_agent.job_queue import JobQueue
from loratui_agent.sockets import peer, private_socket
from loratui_agent.telemetry import TelemetrySource
from loratui_protocol.codec import MAX_FRAME_BYTES, decode, encode, splice_records
from loratui_protocol.errors import JobError, LoratuiError, ProtocolError
from loratui_protocol.link import DEAD_AFTER_S, HEARTBEAT_S, AgentLink, Execute, FollowFrom, ReadArtifact, Reply
from loratui_protocol.messages import Heartbeat, HelloOk, Message, Refused

log = logging.getLogger(__name__)
SUBPROTOCOL = Subprotocol("loratui.v1")
_CLOSE_TIMEOUT_S = 2.0
_MAX_LISTED_JOBS = 500


class Client:
    """One connection: what it may be sent, and the tasks that send its runs' records."""

    def __init__(
        self, connection: ServerConnection, tasks: asyncio.TaskGroup, link: AgentLink, send_timeout_s: float
    ) -> None:
        self.connection = connection
        self.link = link
        self._tasks = tasks
        self._send_timeout_s = send_timeout_s
        self._following: dict[str, asyncio.Task[None]] = {}

    async def send(self, frame: bytes) -> None:
        """Send a frame; a client that takes nothing for too long is given up."""
        try:
            async with asyncio.timeout(self._send_timeout_s):
                await self.connection.send(frame)
        except TimeoutError:
            log.warning("client=%s given up: it reads too slowly", self.link.client_id)
            await self.connection.close(1013, "reads too slowly")

    def follow(self, job: Job, after_seq: int) -> None:
        """Send the job's records after ``after_seq``, those there are and those to come."""
        earlier = self._following.get(job.id)
        if earlier is not None:
            earlier.cancel()
        self._following[job.id] = self._tasks.create_task(self._stream(job, after_seq), name=f"follow {job.id}")

    def is_following(self, job: str) -> bool:
        """Return whether the job's records are sent to this client."""
        return job in self._following

    def unfollow(self) -> None:
        """Send no more records of any run."""
        for task in self._following.values():
            task.cancel()

    async def _stream(self, job: Job, after_seq: int) -> None:
        cursor = job.journal.cursor(after_seq)
        while True:
            changed = job.changed
            batch = job.journal.read(cursor)
            if batch:
                await self.send(splice_records(job.id, job.journal.epoch, batch))
                # send() returns at once while the socket takes everything: let the others have their turn.
                await asyncio.sleep(0)
            else:
                await changed.wait()


class Server:
    """Takes clients in and does what their links say."""

    def __init__(
        self,
        jobs: dict[str, Job],
        queue: JobQueue,
        commands: Commands,
        telemetry: TelemetrySource,
        *,
        token: str,
        send_timeout_s: float,
    ) -> None:
        """Serve ``jobs`` to whoever knows ``token``; a client that takes nothing for ``send_timeout_s`` is given up."""
        self._send_timeout_s = send_timeout_s
        self._jobs = jobs
        self._queue = queue
        self._commands = commands
        self._telemetry = telemetry
        self._bearer = f"Bearer {token}".encode()
        self._clients: set[Client] = set()
        self._acked: dict[str, int] = {}
        self._left_s: float | None = None

    @property
    def num_clients(self) -> int:
        """Return how many clients are connected."""
        return len(self._clients)

    def was_visited(self, since_s: float) -> bool:
        """Return whether a client is there, and was heard lately, or went after ``since_s``, in monotonic seconds."""
        now_s = time.monotonic()
        is_here = any(now_s - client.link.last_heard_s < DEAD_AFTER_S for client in self._clients)
        return is_here or (self._left_s is not None and self._left_s >= since_s)

    def num_leases(self, job: str) -> int:
        """Return how many clients follow the job and were heard lately."""
        now_s = time.monotonic()
        return sum(
            client.is_following(job) and now_s - client.link.last_heard_s < DEAD_AFTER_S for client in self._clients
        )

    def acked_seq(self, job: str) -> int:
        """Return up to which record some client has the job's journal on its disk, as far as this agent has heard."""
        connected = (client.link.acked.get(job, 0) for client in self._clients)
        return max(self._acked.get(job, 0), *connected, 0)

    @contextlib.asynccontextmanager
    async def listening(self, path: Path) -> AsyncIterator[None]:
        """Accept clients at the socket ``path`` inside the block."""
        with private_socket(path) as listener:
            async with unix_serve(
                self._serve,
                sock=listener,
                subprotocols=[SUBPROTOCOL],
                process_request=self._admit,
                compression=None,
                max_size=MAX_FRAME_BYTES,
                ping_interval=10,
                # A client that reads nothing answers no pings either; it shall hear 1013 from send() first.
                ping_timeout=self._send_timeout_s + 10,
                close_timeout=_CLOSE_TIMEOUT_S,
                logger=logging.getLogger("websockets.agent"),
            ):
                yield

    async def beat(self) -> None:
        """Tell every client every ``HEARTBEAT_S`` that the agent lives, forever."""
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            frame = encode(self._heartbeat())
            for client in list(self._clients):
                # One that has yet to take what was sent gets no heartbeat on top: sending never waits here.
                if client.link.client_id and client.connection.transport.get_write_buffer_size() == 0:
                    with contextlib.suppress(ConnectionClosed):
                        await client.connection.send(frame)

    def _heartbeat(self) -> Heartbeat:
        active = self._queue.active
        age_s = time.monotonic() - active.last_step_s if active and active.last_step_s is not None else None
        return Heartbeat(
            now_ts=time.time(),
            telemetry=self._telemetry.latest,
            active=active.status() if active else None,
            last_step_age_s=age_s,
        )

    def _admit(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse browsers, other users and whoever lacks the token, before the upgrade."""
        _pid, is_ours = peer(connection.transport.get_extra_info("socket"))
        if not is_ours or request.headers.get("Origin") is not None:
            return connection.respond(http.HTTPStatus.FORBIDDEN, "agent.forbidden: not for this caller\n")
        given = request.headers.get("Authorization", "").encode("utf-8", "replace")
        if not hmac.compare_digest(given, self._bearer):
            return connection.respond(
                http.HTTPStatus.UNAUTHORIZED, "agent.token: wrong token; the right one is in the home's run/token\n"
            )
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        greeting = HelloOk(
            agent_version=__version__,
            now_ts=time.time(),
            features=[],
            jobs=[job.status() for job in list(self._jobs.values())[-_MAX_LISTED_JOBS:]],
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                client = Client(connection, tasks, AgentLink(greeting, now_s=time.monotonic()), self._send_timeout_s)
                self._clients.add(client)
                try:
                    await self._converse(client)
                finally:
                    self._clients.discard(client)
                    self._left_s = client.link.last_heard_s
                    for job, seq in client.link.acked.items():
                        self._acked[job] = max(self._acked.get(job, 0), seq)
                    client.unfollow()
        except* ConnectionClosed:
            pass

    async def _converse(self, client: Client) -> None:
        """Do what the client says until it goes or breaks the rules."""
        try:
            async for frame in client.connection:
                if isinstance(frame, str):
                    await client.connection.close(1003, "binary frames only")
                    return
                for output in client.link.receive(decode(frame), time.monotonic()):
                    await self._do(client, output)
        except ProtocolError as error:
            log.warning("client=%s dropped: %s", client.link.client_id, error)
            await client.send(encode(Refused(id="", code=error.code, what=error.what, fix=error.fix)))
            await client.connection.close(1002, error.code)

    async def _do(self, client: Client, output: Reply | FollowFrom | Execute | ReadArtifact) -> None:
        match output:
            case Reply(message=message):
                await client.send(encode(message))
            case FollowFrom(job=asked):
                job = self._jobs.get(asked)
                if job is None:
                    await client.send(encode(_refused(asked, _unknown(asked))))
                    return
                answer = client.link.following(output, epoch=job.journal.epoch, head=job.journal.head)
                await client.send(encode(answer))
                client.follow(job, answer.after_seq)
            case Execute(command=command):
                try:
                    self._commands.execute(command)
                except LoratuiError as error:
                    await client.send(encode(_refused(command.id, error)))
            case ReadArtifact(request=request):
                await client.send(encode(await self._read(request.job, output)))

    async def _read(self, asked: str, output: ReadArtifact) -> Message:
        job = self._jobs.get(asked)
        try:
            if job is None:
                raise _unknown(asked)
            return await asyncio.to_thread(read_chunk, job, output.request)
        except JobError as error:
            return _refused(output.request.id, error)


def _unknown(job: str) -> JobError:
    return JobError(f"there is no run {job} on this agent", fix="list the runs: loratui ls", code="job.unknown")


def _refused(request_id: str, error: LoratuiError) -> Refused:
    return Refused(id=request_id, code=error.code, what=error.what, fix=error.fix)
