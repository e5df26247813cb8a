"""Shows the reaper that a client is there, or was a moment ago: what it may end for want of one, it leaves alone."""

import asyncio
import contextlib
import time
from typing import Protocol

from loratui_agent.file_server import Transfers
from loratui_agent.rental import CLIENT
from loratui_protocol.link import DEAD_AFTER_S
from loratui_protocol.paths import AgentHome

_SHOW_EVERY_S = 2.0


class Clients(Protocol):
    """Who is connected; the agent's server."""

    def was_visited(self, since_s: float) -> bool:
        """Return whether a client is there, or was after ``since_s``, in monotonic seconds."""
        ...


async def show_clients(home: AgentHome, clients: Clients, transfers: Transfers) -> None:
    """Touch a file while a client is heard, or takes parts of files, forever."""
    looked_s = time.monotonic()
    while True:
        since_s, looked_s = looked_s, time.monotonic()
        is_fetching = transfers.last_s is not None and looked_s - transfers.last_s < DEAD_AFTER_S
        if is_fetching or clients.was_visited(since_s):
            with contextlib.suppress(OSError):
                (home.run / CLIENT).touch(mode=0o600)
        await asyncio.sleep(_SHOW_EVERY_S)
