"""Carries bytes between standard input and output and the agent's socket, for where SSH can't forward to the socket."""

import asyncio
import sys
from pathlib import Path

from loratui_protocol.errors import AgentUnreachableError
from loratui_protocol.framing import frame_line
from loratui_protocol.paths import socket_path

_READ_BYTES = 1 << 16


async def proxy(home: Path, nonce: str = "", name: str = "agent.sock") -> None:
    """Pump bytes between us and the socket ``name`` until either end closes.

    With a ``nonce``, one frame of it says first that they flow.

    Raises:
        AgentUnreachableError: no agent listens.
    """
    try:
        agent_reader, agent_writer = await asyncio.open_unix_connection(socket_path(home, name))
    except OSError as error:
        raise AgentUnreachableError(f"no agent answers at {home}", fix="start it: loratui-agent serve") from error
    if nonce:
        # Shell start-up files may have printed anything before: the frame tells where the agent's bytes begin.
        sys.stdout.buffer.write(frame_line(nonce, {}))
        sys.stdout.buffer.flush()
    loop = asyncio.get_running_loop()
    stdin = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin.buffer)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, sys.stdout.buffer)
    stdout = asyncio.StreamWriter(transport, protocol, None, loop)
    async with asyncio.TaskGroup() as tasks:
        upward = tasks.create_task(_pump(stdin, agent_writer))
        downward = tasks.create_task(_pump(agent_reader, stdout))
        await asyncio.wait([upward, downward], return_when=asyncio.FIRST_COMPLETED)
        upward.cancel()
        downward.cancel()
    agent_writer.close()
    stdout.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while received := await source.read(_READ_BYTES):
        sink.write(received)
        await sink.drain()
