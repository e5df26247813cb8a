"""The agent on this machine: found at its socket, or started as a process of its own that outlives this one."""

import asyncio
import importlib.util
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from loratui_protocol.errors import (
    AgentRefusedError,
    AgentUnreachableError,
    ExtraMissingError,
    StorageError,
    UsageError,
)
from loratui_protocol.paths import FILES_SOCKET, AgentHome, socket_path

START_TIMEOUT_S = 20.0
_LOOK_EVERY_S = 0.02
_STARTED: list[subprocess.Popen[bytes]] = []
"""Agents that this process started. They outlive it; those that end before it are reaped when the next is started."""
_NEEDED = ("torch", "numpy", "diffusers", "transformers", "peft", "accelerate", "safetensors")


class LocalAgent:
    """The way to the agent of ``home``. With ``may_start`` an agent is started where none answers."""

    def __init__(self, home: Path, *, may_start: bool = True) -> None:
        self._home = AgentHome(home)
        self._may_start = may_start

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[socket.socket]:
        """Give a socket to the agent for the block.

        Raises:
            AgentUnreachableError: none answers, and none could be started.
            ExtraMissingError: none answers, and what it trains with is not installed.
            StorageError: its home can't be made.
            UsageError: this system can't run an agent.
        """
        with await self._open() as opened:
            yield opened

    @asynccontextmanager
    async def files(self) -> AsyncIterator[socket.socket]:
        """Give a socket to the agent's files for the block.

        Raises:
            AgentUnreachableError: none answers.
        """
        opened = await self._answering(FILES_SOCKET)
        if opened is None:
            raise AgentUnreachableError(f"no agent gives out files at {self._home.path}", fix="wait: it is tried again")
        with opened:
            yield opened

    async def _open(self) -> socket.socket:
        opened = await self._answering()
        if opened is not None:
            return opened
        if not self._may_start:
            raise AgentUnreachableError(f"no agent runs at {self._home.path}", fix="loratui attach starts it")
        return await self._started()

    async def token(self) -> str:
        """Return the agent's token; before it is read, an agent that could write it is made sure of."""
        token = self._token()
        if token is None:
            (await self._open()).close()
            token = self._token()
        if token is None:
            raise AgentUnreachableError(f"{self._home.token} is missing", fix="end the agent and try again")
        return token

    def refused_token(self) -> None:
        """Do nothing: the token is read from its file every time."""

    def abandon(self) -> None:
        """Do nothing: a socket of this machine is not dead while it looks alive."""

    def _token(self) -> str | None:
        try:
            return self._home.token.read_text("ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise AgentUnreachableError(
                f"{self._home.token} can't be read: {error}", fix="is the agent's home a folder of yours?"
            ) from error

    async def _answering(self, name: str = "agent.sock") -> socket.socket | None:
        """Return a connection to an agent that answers, None where there is none."""
        check_platform()
        candidate = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        candidate.setblocking(False)
        try:
            path = socket_path(self._home.path, name)
            await asyncio.get_running_loop().sock_connect(candidate, str(path))
        except (FileNotFoundError, ConnectionRefusedError, AgentUnreachableError):
            # The last: the home is deep, and no agent has made a place for sockets yet.
            candidate.close()
            return None
        except OSError as error:
            candidate.close()
            raise AgentUnreachableError(
                f"{self._home.path} has a socket that can't be used: {error.strerror}",
                fix="it belongs to another user: choose another LORATUI_HOME",
            ) from error
        return candidate

    async def _started(self) -> socket.socket:
        """Start an agent and return a connection as soon as it answers.

        Of several that are started at once the home's lock lets one live: whichever answers is the right one.
        """
        check_installed()
        process = await asyncio.to_thread(_spawn, self._home)
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline_s:
            opened = await self._answering()
            if opened is not None:
                return opened
            if process.poll() not in (None, 0, AgentRefusedError.exit_status):
                break
            await asyncio.sleep(_LOOK_EVERY_S)
        raise AgentUnreachableError(
            f"the agent at {self._home.path} did not start: {_last_line(self._home.log)}",
            fix=f"read {self._home.log}",
            code="agent.start",
        )


def check_platform() -> None:
    """Return if this system can run an agent.

    Raises:
        UsageError: it is Windows.
    """
    if sys.platform == "win32":
        raise UsageError(
            "training on this machine needs Linux or macOS", fix="train on another host", code="target.platform"
        )


def check_installed() -> None:
    """Return if this Python can train, without importing any of what that takes.

    Raises:
        ExtraMissingError: with the command that installs what is missing.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ExtraMissingError(
            f"training on this machine needs {', '.join(missing)}, which is not installed",
            fix=f'{sys.executable} -m pip install "loratui[agent]"',
            code="extra.agent",
        )


def _spawn(home: AgentHome) -> subprocess.Popen[bytes]:
    """Start an agent in a session of its own: it belongs to no terminal and to no parent."""
    try:
        home.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = os.open(home.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageError(
            f"{home.path} can't be the agent's home: {error.strerror}",
            fix="choose another folder with LORATUI_HOME",
            code="agent.home",
        ) from error
    try:
        argv = [sys.executable, "-m", "loratui_agent.cli", "serve", "--home", str(home.path)]
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=home.path
        )
        _STARTED[:] = [earlier for earlier in _STARTED if earlier.poll() is None] + [process]
        return process
    finally:
        os.close(log)


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text("utf-8", "replace").splitlines()
    except OSError:
        return "it left no log"
    return next((line for line in reversed(lines) if line.strip()), "it said nothing")
