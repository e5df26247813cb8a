"""The way to an agent that runs already, through an SSH server: what ``SshAgent`` is once it has found one."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from socket import socket

from loratui.remote.ssh import SshBox
from loratui_protocol.paths import FILES_SOCKET, AgentHome, socket_path


class WayToAgent:
    """Implements ``loratui.remote.agent_client.Transport``. ``opens`` is told when a connection begins to be made."""

    def __init__(self, box: SshBox, home: AgentHome, opens: Callable[[], None] = lambda: None) -> None:
        self._box = box
        self._home = home
        self._opens = opens

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[socket]:
        self._opens()
        argv = [sys.executable, "-m", "loratui_agent.cli", "proxy", "--home", str(self._home.path)]
        async with self._box.channel(str(socket_path(self._home.path, "agent.sock")), argv) as opened:
            yield opened

    @asynccontextmanager
    async def files(self) -> AsyncIterator[socket]:
        async with self._box.channel(str(socket_path(self._home.path, FILES_SOCKET)), ["false"]) as opened:
            yield opened

    async def token(self) -> str:
        return self._home.token.read_text("ascii")

    def refused_token(self) -> None:
        """Do nothing: the token is read anew every time."""

    def abandon(self) -> None:
        self._box.abort()
