"""The agent on another machine: found where it was last time, or probed for, brought and started.

A warm way costs one channel: nothing is run on the box while the remembered agent answers.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from socket import socket
from typing import Any, Protocol

from loratui.domain.box import BoxFacts
from loratui.domain.box_home import choose_home
from loratui.remote.address import AgentAddress, agent_argv
from loratui.remote.bootstrap import Say, agent_python, ensure_agent
from loratui.remote.box import Box
from loratui.remote.box_python import PythonSource, bring_python
from loratui.remote.bundle import bundle_name
from loratui.remote.probe import probe
from loratui_protocol.errors import AgentUnreachableError
from loratui_protocol.findings import plural
from loratui_protocol.paths import FILES_SOCKET

_ADDRESS = "agent"
_FACTS_HOLD_S = 300.0
"""A probe this young is good for starting the agent: what may have changed since shows then."""


class Memory(Protocol):
    """Where facts about a host are kept between runs of the client."""

    def remember(self, facts: dict[str, Any]) -> None:
        """Keep these facts beside the others; None takes one away."""
        ...

    def recall(self) -> dict[str, Any]:
        """Return the facts that are kept."""
        ...


def _silent(_phase: str, _text: str, _seconds: float) -> None:
    pass


class SshAgent:
    """The way to the agent of a box. With ``may_start`` it is brought there and started where none answers.

    ``home`` is the folder to use; empty: what is there, else the best disk. With a ``python_source`` boxes get a Python
    where theirs is missing or too old. One object may serve several runs at once.
    """

    def __init__(
        self,
        box: Box,
        memory: Memory,
        *,
        home: str = "",
        may_start: bool = True,
        say: Say = _silent,
        choose: Callable[[BoxFacts], str] = choose_home,
        python_source: PythonSource | None = None,
    ) -> None:
        self._box = box
        self._memory = memory
        self._home = home
        self._may_start = may_start
        self._say = say
        self._choose = choose
        self._python_source = python_source
        self._facts: BoxFacts | None = None
        self._probed_s = 0.0
        self._address: AgentAddress | None = None
        self._is_recalled = False
        self._has_met = False
        self._lock = asyncio.Lock()

    @property
    def box(self) -> Box:
        """Return the machine."""
        return self._box

    def facts(self) -> BoxFacts | None:
        """Return what the last probe found, None before one was made."""
        return self._facts

    def remembered_home(self) -> str:
        """Return the folder that the agent had last time, whatever its version; empty when none is remembered."""
        address = AgentAddress.from_dict(self._memory.recall().get(_ADDRESS))
        return address.home if address else ""

    def use_home(self, home: str) -> None:
        """Have the agent live in this folder of the machine, which was chosen with more than a probe's facts."""
        self._home = home
        if self._address is not None and self._address.home != home:
            self._address = None

    async def probe(self) -> BoxFacts:
        """Return what the machine is now.

        Raises:
            HostError: it can't be reached, or does not answer.
        """
        started_s = time.monotonic()
        known = await asyncio.to_thread(self.remembered_home)
        homes = dict.fromkeys(home for home in (self._home, known) if home)
        self._facts = facts = await probe(self._box, tuple(homes))
        self._probed_s = time.monotonic()
        self._say("probe", _summary(facts), time.monotonic() - started_s)
        return facts

    async def address(self) -> AgentAddress:
        """Return where the agent is, as far as is known; it was started if nothing was known.

        Raises:
            HostError: it can't be brought there or started.
            AgentUnreachableError: nothing is known, and it may not be started.
        """
        return await self._known() or await self.ensure()

    async def ensure(self, facts: BoxFacts | None = None) -> AgentAddress:
        """Have an agent of this version answer there, and return where; ``facts`` spare a probe.

        Raises:
            HostError: the machine can't hold or run it.
            AgentUnreachableError: it may not be started.
        """
        before = self._address
        async with self._lock:
            if facts is None and self._address is not None and self._address is not before:
                # Someone else has just seen to it.
                return self._address
            return await self._ensured(facts)

    async def _ensured(self, facts: BoxFacts | None) -> AgentAddress:
        if not self._may_start:
            raise AgentUnreachableError(f"no agent answers on {self._box.name}", fix="loratui attach starts it")
        if facts is None and self._facts is not None and time.monotonic() - self._probed_s < _FACTS_HOLD_S:
            facts = self._facts
        facts = facts or await self.probe()
        # Should this fail, the next attempt looks anew.
        self._probed_s = -_FACTS_HOLD_S
        home = self._home or self._choose(facts)
        python = ""
        if not agent_python(facts) and self._python_source is not None:
            python = await bring_python(self._box, facts, home, self._python_source, self._say)
        # Clients of two versions would replace each other's agent for ever if every reconnection were an upgrade.
        upgrade = not self._has_met
        address = await ensure_agent(self._box, facts, home, self._say, python=python, upgrade=upgrade)
        self._address, self._is_recalled = address, True
        await asyncio.to_thread(self._memory.remember, {_ADDRESS: address.to_dict()})
        return address

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[socket]:
        """Give a socket to the agent for the block.

        Raises:
            HostError: the machine can't be reached.
            AgentUnreachableError: no agent answers, and none may be started.
        """
        async with AsyncExitStack() as stack:
            known = await self.address()
            try:
                opened = await stack.enter_async_context(self._channel(known))
            except AgentUnreachableError:
                opened = await stack.enter_async_context(self._channel(await self.ensure()))
            self._has_met = True
            yield opened

    @asynccontextmanager
    async def files(self) -> AsyncIterator[socket]:
        """Give a socket to the agent's files for the block; where the agent is must be known by then.

        Raises:
            HostError: the machine can't be reached.
            AgentUnreachableError: no agent gives out files there.
        """
        address = await self.address()
        path = f"{address.socket.rpartition('/')[0]}/{FILES_SOCKET}"
        async with self._box.channel(path, agent_argv(address, "proxy", "--socket", FILES_SOCKET)) as opened:
            yield opened

    async def token(self) -> str:
        """Return the agent's token: the remembered one, else that of an agent that is made sure of.

        Raises:
            HostError: the machine can't be reached, or can't hold or run it.
            AgentUnreachableError: nothing is known, and it may not be started.
        """
        return (await self.address()).token

    def refused_token(self) -> None:
        """Forget what is remembered: another agent lives there now."""
        self._address, self._is_recalled = None, True

    def abandon(self) -> None:
        """Drop the connection at once: it is dead, or older than a sleep of this machine."""
        self._box.abort()

    def _channel(self, address: AgentAddress) -> Any:
        return self._box.channel(address.socket, agent_argv(address, "proxy"))

    async def _known(self) -> AgentAddress | None:
        if not self._is_recalled:
            recalled = await asyncio.to_thread(self._memory.recall)
            address = AgentAddress.from_dict(recalled.get(_ADDRESS))
            self._address = address if address and await self._is_still_meant(address) else None
            self._is_recalled = True
        return self._address

    async def _is_still_meant(self, address: AgentAddress) -> bool:
        # A folder that the user has named since outranks what was found before.
        if self._home not in ("", address.home):
            return False
        # After an upgrade of this client its agent goes there too: a remembered one may be of the version before.
        return not self._may_start or address.bundle.endswith("/" + await asyncio.to_thread(bundle_name))


def _summary(facts: BoxFacts) -> str:
    gpus = ", ".join(gpu.name for gpu in facts.gpus) or "no GPU"
    return f"{facts.system} {facts.machine}, {plural(facts.cpus, 'CPU')}, {gpus}"
