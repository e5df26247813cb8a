"""One connection to an agent. Whatever goes wrong on it becomes one of our errors here, once.

The way to the agent is a ``Transport``: a unix socket on this machine, a channel inside an SSH connection elsewhere.
"""

import asyncio
import importlib.metadata
import logging
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from typing import Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, NegotiationError, WebSocketException
from websockets.typing import Subprotocol

from loratui_protocol import SUBPROTOCOL, harmless
from loratui_protocol.codec import MAX_FRAME_BYTES, clean, decode, encode
from loratui_protocol.errors import AgentRefusedError, AgentUnreachableError, LoratuiError, ProtocolError
from loratui_protocol.ids import new_id
from loratui_protocol.link import Answer, Beat, ClientLink, Deliver, Health, Send, Started, Welcome
from loratui_protocol.messages import Chunk, Command, GetArtifact, HelloOk, Message, Refused

OPEN_TIMEOUT_S = 10.0
_CLOSE_TIMEOUT_S = 1.0
_QUEUED_FRAMES = 16
_MESSAGE_TOO_BIG = 1009
_MAX_UNSENT_BYTES = 4 << 20
"""Answers to pings of an agent that reads nothing pile up; what we send by ourselves waits until it is taken."""
_UPGRADE = Subprotocol(SUBPROTOCOL)
_VERSION = importlib.metadata.version("loratui")
_LOG = logging.getLogger("loratui.wire")
# Below this level websockets writes out every header, the token among them.
_LOG.setLevel(logging.INFO)


class Transport(Protocol):
    """A way to an agent."""

    def opened(self) -> AbstractAsyncContextManager[socket.socket]:
        """Give a connected stream socket to the agent for the block, closed in the end.

        Raises:
            AgentUnreachableError: no agent answers.
            HostError: its machine can't be reached.
        """
        ...

    def files(self) -> AbstractAsyncContextManager[socket.socket]:
        """Give a connected stream socket to the agent's files for the block, closed in the end.

        Raises:
            AgentUnreachableError: no agent gives out files there.
            HostError: its machine can't be reached.
        """
        ...

    async def token(self) -> str:
        """Return the agent's bearer token; asked for before every ``opened``.

        Raises:
            AgentUnreachableError: there is none.
        """
        ...

    def refused_token(self) -> None:
        """Hear that the agent refused the token: one that was remembered must be read anew."""
        ...

    def abandon(self) -> None:
        """Hear that what the way leads over is dead, whatever it looks like: drop it at once, without a farewell."""
        ...


Event = Started | Deliver | Beat | Refused


class AgentClient:
    """A conversation with an agent that has taken us in. One task receives; any may send."""

    def __init__(self, connection: ClientConnection, link: ClientLink, hello_ok: HelloOk) -> None:
        self.hello_ok = hello_ok
        self._connection = connection
        self._link = link
        self._requests: dict[str, asyncio.Future[Chunk | Refused]] = {}

    async def receive(self) -> list[Event]:
        """Return what the next message of the agent brings; answers to requests go to whoever made them.

        Raises:
            AgentUnreachableError: the connection is gone.
            ProtocolError: the agent breaks the rules.
        """
        events: list[Event] = []
        for output in self._link.receive(await _receive(self._connection), time.monotonic()):
            match output:
                case Send(message=message):
                    await self._send(message)
                case Answer(message=Chunk() | Refused() as answer):
                    waiting = self._requests.pop(answer.id, None)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(answer)
                    elif isinstance(answer, Refused):
                        events.append(_not_fatal(answer))
                case Started() | Deliver() | Beat():
                    events.append(output)
                case Welcome():
                    raise ProtocolError("the agent greets twice", code="protocol.order")
        return events

    async def follow(self, job: str, epoch: str, after_seq: int) -> None:
        """Ask for a run's records after those that are stored."""
        await self._send(self._link.follow(job, epoch, after_seq))

    async def stored(self, job: str, seq: int, *, at_once: bool = False) -> None:
        """Say that everything up to ``seq`` is on our disk; the agent is told when that is due, or ``at_once``."""
        for output in self._link.stored(job, seq, time.monotonic(), at_once=at_once):
            await self._send(output.message)

    async def command(self, command: Command) -> None:
        """Send a command; what comes of it is a record of the run's journal."""
        await self._send(command)

    async def ask_artifact(
        self, job: str, artifact_id: str, offset: int, length: int
    ) -> asyncio.Future[Chunk | Refused]:
        """Ask for bytes of an artifact; the future has them once ``receive`` took the answer in."""
        request = GetArtifact(id=new_id(), job=job, artifact_id=artifact_id, offset=offset, length=length)
        waiting: asyncio.Future[Chunk | Refused] = asyncio.get_running_loop().create_future()
        self._requests[request.id] = waiting
        await self._send(request)
        return waiting

    def health(self) -> Health:
        """Return how the agent is heard."""
        return self._link.health(time.monotonic())

    async def close(self) -> None:
        """End the connection: ``receive`` then says that it is gone."""
        await self._connection.close()

    async def _send(self, message: Message) -> None:
        with _translated():
            await self._connection.send(encode(message))


class _Connection(ClientConnection):
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
            self.transport.abort()


class _Connect(connect):
    def process_redirect(self, exc: Exception) -> Exception | str:
        # There is one socket, and nowhere else to go.
        return exc


@asynccontextmanager
async def connected(transport: Transport, client_id: str) -> AsyncIterator[AgentClient]:
    """Connect, introduce ourselves, and close at the end of the block.

    Raises:
        AgentUnreachableError: nothing answers.
        AgentRefusedError: the token is wrong, or the agent speaks another version.
        ProtocolError: whatever answers is no agent.
    """
    token = await transport.token()
    async with transport.opened() as opened:
        try:
            with _translated():
                connection = await _Connect(
                    "ws://agent/",
                    create_connection=_Connection,
                    sock=opened,
                    subprotocols=[_UPGRADE],
                    additional_headers={"Authorization": f"Bearer {token}"},
                    logger=_LOG,
                    user_agent_header=f"loratui/{_VERSION}",
                    compression=None,
                    max_size=MAX_FRAME_BYTES,
                    max_queue=_QUEUED_FRAMES,
                    open_timeout=OPEN_TIMEOUT_S,
                    close_timeout=_CLOSE_TIMEOUT_S,
                    # The agent's heartbeat and the link's health are the one measure of life.
                    ping_interval=None,
                )
        except AgentRefusedError as error:
            if error.code == "agent.token":
                transport.refused_token()
            raise
        try:
            yield await _introduced(connection, client_id)
        finally:
            await connection.close()


async def _introduced(connection: ClientConnection, client_id: str) -> AgentClient:
    if connection.subprotocol != SUBPROTOCOL:
        raise _other_version("it chose no protocol")
    link = ClientLink(client_id=client_id, client_version=_VERSION, now_s=time.monotonic())
    try:
        async with asyncio.timeout(OPEN_TIMEOUT_S):
            with _translated():
                await connection.send(encode(link.hello()))
            [answer] = link.receive(await _receive(connection), time.monotonic())
    except TimeoutError as error:
        raise AgentUnreachableError("the agent does not greet", fix="try again", code="agent.silent") from error
    match answer:
        case Welcome(hello_ok=hello_ok):
            return AgentClient(connection, link, hello_ok)
        case Answer(message=Refused() as refused):
            code = harmless.code(refused.code, "agent.", "protocol.")
            raise AgentRefusedError(refused.what, fix=refused.fix, code=code or None)
        case _:
            raise ProtocolError("the agent does not greet first", code="protocol.order")


async def _receive(connection: ClientConnection) -> Message:
    with _translated():
        frame = await connection.recv()
    if isinstance(frame, str):
        raise ProtocolError("the agent sent text", fix="whatever answers there is no loratui agent")
    return decode(frame)


def _not_fatal(refused: Refused) -> Refused:
    if refused.code.startswith("protocol."):
        code = harmless.code(refused.code, "protocol.")
        raise ProtocolError(f"the agent gives up: {refused.what}", fix=refused.fix, code=code or None)
    return refused


def _other_version(why: str) -> LoratuiError:
    return AgentRefusedError(
        f"the agent does not speak {SUBPROTOCOL} ({why})",
        fix="use the same version of loratui on both ends",
        code="agent.version",
    )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except ConnectionClosed as error:
        sent = error.sent.code if error.sent and not error.rcvd_then_sent else None
        if sent == _MESSAGE_TOO_BIG:
            raise ProtocolError("the agent sent a message over the limit", code="protocol.too_large") from error
        reason = clean(error.rcvd.reason, 200) if error.rcvd else ""
        raise AgentUnreachableError(
            f"the connection to the agent broke{f' ({reason})' if reason else ''}; the run goes on",
            fix="wait: it is tried again",
            code="agent.lost",
        ) from error
    except InvalidStatus as error:
        raise _refusal(error) from error
    except NegotiationError as error:
        raise _other_version(clean(str(error), 200)) from error
    except WebSocketException as error:
        raise ProtocolError(
            f"what answers is no agent: {clean(str(error), 200)}",
            fix="check who listens at that socket",
            code="protocol.handshake",
        ) from error
    except (OSError, TimeoutError) as error:
        raise AgentUnreachableError(
            f"the agent does not answer: {clean(str(error), 200) or type(error).__name__}",
            fix="wait: it is tried again",
            code="agent.unreachable",
        ) from error


def _refusal(error: InvalidStatus) -> LoratuiError:
    body = clean((error.response.body or b"").decode("utf-8", "replace"), 300).strip()
    status = error.response.status_code
    if status == 401:
        return AgentRefusedError(
            "the agent does not accept our token",
            fix="the token is in run/token of the agent's home: is it the same home?",
            code="agent.token",
        )
    if status == 400 and "subprotocol" in body.lower():
        return _other_version(body)
    return AgentRefusedError(f"the agent refused the connection ({status}): {body}", code="agent.refused")
