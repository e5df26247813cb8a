"""Gives out large files on a socket of their own, straight from the kernel's page cache: no frame, no copy, no queue.

    client   {"token": ..., "job": ..., "artifact": ...} on one line
    agent    {"total": bytes} on one line, or {"code": ..., "what": ..., "fix": ...} and the end
    client   OFFSET LENGTH on one line, as often and as far ahead as it likes
    agent    those bytes, one range after the other

The client paces: a range that nobody asks for is not sent, and one that is not read waits in the file.
"""

import asyncio
import contextlib
import hmac
import json
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

from loratui_agent.artifacts import opened
from loratui_agent.job import Job
from loratui_agent.sockets import peer, private_socket
from loratui_protocol.errors import AgentRefusedError, JobError, LoratuiError, ProtocolError

log = logging.getLogger(__name__)
MAX_LINE_BYTES = 4096
_HELLO_TIMEOUT_S = 10.0
_SEND_BUFFER_BYTES = 1 << 20


class Transfers:
    """What is being fetched. ``last_s`` is when somebody last got a part of a file, on the monotonic clock."""

    def __init__(self) -> None:
        self.last_s: float | None = None


@contextlib.asynccontextmanager
async def file_socket(path: Path, find: Callable[[str], Job | None], token: str) -> AsyncIterator[Transfers]:
    """Listen at ``path`` inside the block, for whoever knows ``token``; ``find`` gives the job of an id."""
    transfers = Transfers()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = cast("socket.socket", writer.get_extra_info("socket"))
        try:
            _pid, is_ours = peer(connection)
            if is_ours:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
                await _serve(reader, writer, find, token, transfers)
        except LoratuiError as error:
            _say(writer, {"code": error.code, "what": error.what, "fix": error.fix})
        except (OSError, ValueError, asyncio.IncompleteReadError, TimeoutError) as error:
            # ValueError: a line without end. Whoever speaks like that is no client of ours.
            log.info("file transfer ended: %r", error)
        except asyncio.CancelledError:
            # On Python 3.11 a cancelled handler of a stream server is reported as a fault of the loop.
            return
        finally:
            writer.close()

    with private_socket(path) as listener:
        server = await asyncio.start_unix_server(serve, sock=listener, limit=MAX_LINE_BYTES)
        try:
            yield transfers
        finally:
            server.close()


async def _serve(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    find: Callable[[str], Job | None],
    token: str,
    transfers: Transfers,
) -> None:
    async with asyncio.timeout(_HELLO_TIMEOUT_S):
        asked = _hello(await reader.readline())
    if not hmac.compare_digest(str(asked.get("token")).encode("utf-8", "replace"), token.encode()):
        raise AgentRefusedError("wrong token", fix="the right one is in the home's run/token", code="agent.token")
    job = find(str(asked.get("job")))
    if job is None:
        raise JobError("there is no such run on this agent", fix="list the runs: loratui ls", code="job.unknown")
    with opened(job, str(asked.get("artifact"))) as (descriptor, size), os.fdopen(os.dup(descriptor), "rb") as file:
        _say(writer, {"total": size})
        await writer.drain()
        while line := await reader.readline():
            offset, length = _range(line, size)
            sent = await asyncio.get_running_loop().sendfile(writer.transport, file, offset, length)
            transfers.last_s = time.monotonic()
            if sent < length:
                # The file has become shorter: the client must not wait for the rest.
                return


def _hello(line: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("the first line is no JSON") from error
    if not isinstance(asked, dict):
        raise ProtocolError("the first line is no object")
    return asked


def _range(line: bytes, size: int) -> tuple[int, int]:
    offset, length = (int(word) for word in line.split())
    if offset < 0 or length < 1 or offset + length > size:
        raise ValueError(line)
    return offset, length


def _say(writer: asyncio.StreamWriter, fields: dict[str, object]) -> None:
    writer.write(json.dumps(fields).encode("ascii") + b"\n")
