"""Boxes as the client sees them, on a real SSH server."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from loratui.remote.ssh.connection import SshBox
from loratui.remote.ssh.instance import Instance
from loratui.remote.ssh.target import parse_target
from loratui.remote.ssh_agent import SshAgent
from support.sshd import Sshd


@contextlib.asynccontextmanager
async def box_of(server: Sshd, folder: Path) -> AsyncIterator[tuple[SshBox, Instance]]:
    """Give the box of a server, and what is remembered of it in ``folder``."""
    instance = Instance(folder)
    server.authorize(instance.key())
    box = SshBox(parse_target(server.target), instance)
    try:
        yield box, instance
    finally:
        await box.close()


@contextlib.asynccontextmanager
async def agent_of(server: Sshd, folder: Path, **options: Any) -> AsyncIterator[SshAgent]:
    """Give the way to the agent of a server."""
    async with box_of(server, folder) as (box, instance):
        yield SshAgent(box, instance, **options)
