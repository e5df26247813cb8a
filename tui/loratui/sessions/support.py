"""Fetches what an agent has written about itself and a run: logs, the ends of them where they are long."""

import asyncio

from loratui.remote.agent_client import AgentClient, Transport, connected
from loratui.remote.groups import one_error
from loratui_protocol.errors import ProtocolError
from loratui_protocol.ids import new_id
from loratui_protocol.link import MAX_CHUNK_BYTES
from loratui_protocol.messages import Refused
from loratui_protocol.support import MAX_SUPPORT_BYTES, SUPPORT_FILES


async def fetch_logs(transport: Transport, run_id: str, logs: dict[str, bytes | None]) -> None:
    """Put the files into ``logs`` as they come, by name; None stands for one that the box does not have.

    What is there before an error is worth having, too.

    Raises:
        LoratuiError: the agent can't be reached, or not any more.
    """
    with one_error():
        async with connected(transport, new_id()) as agent, asyncio.TaskGroup() as tasks:
            receiving = tasks.create_task(_receive(agent), name="receive")
            for name in SUPPORT_FILES:
                logs[name.partition(":")[2]] = await _end_of(agent, run_id, name)
            receiving.cancel()


async def _receive(agent: AgentClient) -> None:
    while True:
        await agent.receive()


async def _end_of(agent: AgentClient, run_id: str, name: str) -> bytes | None:
    """Return the last ``MAX_SUPPORT_BYTES`` of a file, None when there is none."""
    first = await (await agent.ask_artifact(run_id, name, 0, 1))
    if isinstance(first, Refused):
        return None
    begin = offset = max(0, first.total - MAX_SUPPORT_BYTES)
    content = bytearray()
    while offset < first.total:
        length = min(MAX_CHUNK_BYTES, first.total - offset)
        chunk = await (await agent.ask_artifact(run_id, name, offset, length))
        if isinstance(chunk, Refused) or not chunk.content:
            break
        if len(chunk.content) > length:
            raise ProtocolError(f"the agent sends more of {name} than it was asked for")
        content += chunk.content
        offset += len(chunk.content)
    return b"... the beginning is left out\n" * (begin > 0) + bytes(content)
