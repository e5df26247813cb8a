"""This machine as a ``Box``: programs run below a real shell, with real pipes; only SSH is left out."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import loratui_agent
import loratui_protocol
from loratui.remote.box import command_line
from loratui.sessions.supply import Supply, bring
from loratui_agent.provision import provision
from loratui_protocol.config import TrainingConfig
from loratui_protocol.config_file import parse_config
from loratui_protocol.errors import HostError
from loratui_protocol.framing import FrameFinder
from loratui_protocol.paths import AgentHome


def receive_argv(home: Path) -> list[str]:
    """Return the command that takes an upload into a home here, as ``agent_argv`` gives it for a box."""
    roots = ":".join(str(Path(package.__file__).parents[1]) for package in (loratui_agent, loratui_protocol))
    return [
        *("/usr/bin/env", f"PYTHONPATH={roots}", sys.executable),
        *("-m", "loratui_agent.cli", "receive", "--home", str(home)),
    ]


async def at_the_box(supply: Supply, home: Path) -> tuple[TrainingConfig, Path]:
    """Bring the supply, lay it out as the agent does, and return the config as the trainer there reads it."""
    await bring(LocalBox(), receive_argv(home), supply)
    folder = home / "jobs" / "job"
    folder.mkdir(parents=True)
    await provision(folder, supply.inputs, AgentHome(home), lambda _: None)
    return parse_config(supply.config_toml, folder).config, folder


class LocalProcess:
    """A program of this machine, seen as one of a box."""

    def __init__(self, process: asyncio.subprocess.Process, nonce: str) -> None:
        self.process = process
        self.num_written = 0
        self._finder = FrameFinder(nonce)
        self._frames: list[dict[str, Any]] = []

    async def write(self, content: bytes) -> None:
        assert self.process.stdin is not None
        self.num_written += len(content)
        try:
            self.process.stdin.write(content)
            await self.process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError) as error:
            raise HostError("the program has ended", code="ssh.lost") from error

    async def write_eof(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    async def frame(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        while not self._frames:
            received = await self.process.stdout.read(1 << 16)
            if not received:
                raise HostError("the program has ended", code="ssh.lost")
            self._frames += self._finder.feed(received)
        return self._frames.pop(0)

    async def wait(self) -> int:
        return await self.process.wait()


class LocalBox:
    """Each program that was run is in ``processes``, the last one last."""

    def __init__(self) -> None:
        self.processes: list[LocalProcess] = []

    @property
    def name(self) -> str:
        return "here"

    @contextlib.asynccontextmanager
    async def process(self, argv: Sequence[str], nonce: str = "") -> AsyncIterator[LocalProcess]:
        process = await asyncio.create_subprocess_shell(
            command_line(argv), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=dict(os.environ)
        )
        running = LocalProcess(process, nonce)
        self.processes.append(running)
        try:
            yield running
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            assert process.stdin is not None
            process.stdin.close()
            await process.communicate()

    def channel(self, path: str, proxy_argv: Sequence[str]) -> contextlib.AbstractAsyncContextManager[socket.socket]:
        raise NotImplementedError
