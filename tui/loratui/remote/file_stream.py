"""Takes a large file from an agent's socket for files: raw bytes, asked for ahead, written while more arrive.

What it says is in ``loratui_agent.file_server``. Nothing that comes is anything but bytes of the file until its
announced size is here; whether they are the right ones is for the caller to find out.
"""

import asyncio
import collections
import json
import socket
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from loratui.domain.read_ahead import Pace, ReadAhead
from loratui.remote.in_thread import ended
from loratui_protocol.codec import clean
from loratui_protocol.errors import AgentUnreachableError, JobError, LoratuiError, ProtocolError

SILENT_S = 20.0
"""Without a byte for so long the way is dead."""
_LINE_BYTES = 4096
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FileWay:
    """The way to an agent's files: ``opened`` gives a socket to them for a block, ``token`` the right to ask."""

    opened: Callable[[], AbstractAsyncContextManager[socket.socket]]
    token: Callable[[], Any]


async def stream(
    way: FileWay, job: str, artifact_id: str, size: int, *, here: int, ahead: ReadAhead, put: Callable[[bytes], None]
) -> None:
    """Have ``put`` called, in a thread, with everything of the file from ``here`` on, piece by piece, in order.

    Raises:
        AgentUnreachableError: the way broke, or is silent.
        JobError: the agent has no such file.
        ProtocolError: it is not of the announced size, or what answers is no agent.
    """
    token = await way.token()
    async with way.opened() as opened:
        opened.setblocking(False)
        try:
            taker = _Taker(opened, put, ahead, here, size)
            await taker.take({"token": token, "job": job, "artifact": artifact_id})
        except (OSError, TimeoutError) as error:
            raise AgentUnreachableError(
                f"the way to the agent's files broke: {clean(str(error), 200) or 'it is silent'}",
                fix="wait: it is tried again",
                code="agent.lost",
            ) from error


class _Taker:
    """One file that comes: ``here`` is what has arrived, ``asked`` up to where everything is asked for."""

    def __init__(
        self, opened: socket.socket, put: Callable[[bytes], None], ahead: ReadAhead, here: int, size: int
    ) -> None:
        self._socket = opened
        self._put = put
        self._ahead = ahead
        self._here = self._asked = here
        self._size = size
        self._waiting: collections.deque[tuple[int, int, float]] = collections.deque()
        self._blocks: list[bytes] = []
        self._held = 0
        self._loop = asyncio.get_running_loop()
        self._writing: asyncio.Future[None] | None = None
        self._pace = Pace(here, time.monotonic(), ahead.max_bytes_per_s)

    async def take(self, hello: dict[str, str]) -> None:
        """Introduce ourselves and take everything that is not here."""
        try:
            # In one breath with the first questions: each round trip costs.
            await self._send(json.dumps(hello).encode("ascii") + b"\n" + await self._questions())
            self._arrived(await self._greeting())
            while self._here < self._size:
                await self._send(await self._questions())
                received = await self._received(_BLOCK_BYTES)
                if not received:
                    raise OSError("it ended early")
                self._arrived(received)
                if self._held >= _BLOCK_BYTES:
                    await self._write()
            await self._write()
        finally:
            # The file must not be closed under the thread that writes it.
            if self._writing is not None:
                await ended(self._writing)
        if self._writing is not None:
            self._writing.result()

    async def _greeting(self) -> bytes:
        """Check the agent's first line and return what came after it."""
        answer = b""
        while b"\n" not in answer:
            received = await self._received(_BLOCK_BYTES)
            answer += received
            if not received or len(answer.partition(b"\n")[0]) > _LINE_BYTES:
                raise OSError("it ended before the first answer")
        line, _, rest = answer.partition(b"\n")
        total = _total(line)
        if total != self._size:
            raise ProtocolError(
                f"the file has {total} bytes, {self._size} were announced",
                fix="it is fetched again",
                code="artifact.corrupt",
            )
        return rest

    def _arrived(self, received: bytes) -> None:
        self._here += len(received)
        if self._pace.is_lost(self._here, time.monotonic()):
            raise OSError("it hardly sends anything")
        if self._here > self._asked:
            raise OSError("it sends what nobody asked for")
        self._blocks.append(received)
        self._held += len(received)
        while self._waiting and self._here >= self._waiting[0][0]:
            _, length, asked_s = self._waiting.popleft()
            self._ahead.arrived(length, asked_s, time.monotonic())

    async def _questions(self) -> bytes:
        """Return the lines that ask for as much as may be under way."""
        ahead, lines = self._ahead, []
        while self._asked < self._size and (self._asked == self._here or ahead.may_ask(self._asked - self._here)):
            wait_s = ahead.wait_s(time.monotonic())
            if wait_s and self._asked > self._here:
                break
            await asyncio.sleep(wait_s)
            length, now_s = min(ahead.span_bytes, self._size - self._asked), time.monotonic()
            ahead.asked(length, now_s)
            lines.append(f"{self._asked} {length}\n")
            self._asked += length
            self._waiting.append((self._asked, length, now_s))
        return "".join(lines).encode("ascii")

    async def _send(self, content: bytes) -> None:
        if content:
            async with asyncio.timeout(SILENT_S):
                await self._loop.sock_sendall(self._socket, content)

    async def _received(self, limit: int) -> bytes:
        async with asyncio.timeout(SILENT_S):
            return await self._loop.sock_recv(self._socket, limit)

    async def _write(self) -> None:
        """Write what has arrived in a thread, while the next bytes come."""
        content, self._blocks, self._held = b"".join(self._blocks), [], 0
        if self._writing is not None:
            await self._writing
        self._writing = self._loop.run_in_executor(None, self._put, content)


def _total(line: bytes) -> int:
    try:
        answer = json.loads(line)
        total = answer.get("total")
        refusal = None if type(total) is int else _refusal(answer)
    except (ValueError, AttributeError, RecursionError) as error:
        raise ProtocolError("what answers for files is no agent", code="protocol.handshake") from error
    if refusal is not None:
        raise refusal
    return int(total)


def _refusal(answer: dict[str, Any]) -> LoratuiError:
    code, what, fix = (clean(str(answer.get(name, "")), 300) for name in ("code", "what", "fix"))
    if code.startswith(("artifact.", "job.")):
        return JobError(what, fix=fix, code=code)
    return AgentUnreachableError(f"the agent refused its files: {what}", fix=fix, code=code or "agent.refused")
