"""Real agents for tests: starts and ends them, talks to them as a client does, waits on what they say."""

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
from websockets.asyncio.client import ClientConnection, unix_connect

from loratui_agent.facts import read_facts
from loratui_agent.process import ProcessIdentity, signal_group
from loratui_protocol import messages
from loratui_protocol.codec import decode, encode
from loratui_protocol.errors import LoratuiError
from loratui_protocol.ids import new_id
from loratui_protocol.link import Answer, ClientLink, Deliver, Send, Started, Welcome
from loratui_protocol.paths import AgentHome, socket_path

DEADLINE_S = 20.0
SCRIPT = str(Path(__file__).with_name("agent_with_stand_in.py"))


def wait_until(condition: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Return once ``condition`` holds; fail with ``what`` at the deadline."""
    end_s = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end_s, f"waited {deadline_s} s for {what}"
        time.sleep(0.01)


class AgentProcess:
    """The agent of a home, in a process of its own. ``prefix``: words before its command line."""

    def __init__(self, home: Path, *, prefix: Sequence[str] = (), **options: Any) -> None:
        self.home = AgentHome(home)
        self._prefix = prefix
        self._options = options
        self.process = self.launch()

    def launch(self) -> subprocess.Popen[str]:
        argv = [*self._prefix, sys.executable, SCRIPT, str(self.home.path), json.dumps(self._options)]
        return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def wait_ready(self) -> None:
        wait_until(lambda: self.socket_answers() or self.process.poll() is not None, "the agent's socket")
        assert self.process.poll() is None, self.process.stderr and self.process.stderr.read()

    def socket_answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError, LoratuiError):
            probe.connect(str(socket_path(self.home.path, "agent.sock")))
            return True
        return False

    def kill(self) -> None:
        """kill -9, and wait for the end."""
        self.process.kill()
        self.process.wait()
        assert self.process.stderr is not None
        self.process.stderr.close()

    def restart(self) -> None:
        self.process = self.launch()
        self.wait_ready()

    def state(self, job: str) -> dict[str, Any]:
        return read_facts(self.home.job(job) / "state.json")

    def trainer(self, job: str) -> ProcessIdentity | None:
        stored = self.state(job).get("trainer")
        return ProcessIdentity(**stored) if stored else None

    def resident_kib(self) -> int:
        return int(psutil.Process(self.process.pid).memory_info().rss >> 10)

    def end(self) -> None:
        """End the agent and every trainer that is left, without mercy."""
        self.home.status.unlink(missing_ok=True)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.process.stderr is not None:
            self.process.stderr.close()
        for path in self.home.jobs.glob("*/state.json"):
            trainer = self.trainer(path.parent.name)
            if trainer is not None:
                signal_group(trainer, signal.SIGKILL)


@contextlib.contextmanager
def running_agent(home: Path, **options: Any) -> Iterator[AgentProcess]:
    agent = AgentProcess(home, **options)
    try:
        agent.wait_ready()
        yield agent
    finally:
        agent.end()


class Client:
    """A client that keeps every record that it was sent."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self.link = ClientLink(client_id="test", client_version="0", now_s=time.monotonic())
        self.records: dict[str, list[messages.Record]] = {}
        self.received_s: list[float] = []
        self.answers: list[messages.Chunk | messages.Refused] = []
        self.welcome: messages.HelloOk | None = None
        self.heartbeats: list[messages.Heartbeat] = []
        self.started: list[Started] = []

    async def send(self, message: messages.Message) -> None:
        await self.connection.send(encode(message))

    async def follow(self, job: str, epoch: str = "", after_seq: int = 0) -> None:
        await self.send(self.link.follow(job, epoch, after_seq))

    async def receive_until(self, condition: Callable[[], object], deadline_s: float = DEADLINE_S) -> None:
        """Take in what comes until ``condition`` holds."""
        async with asyncio.timeout(deadline_s):
            while not condition():
                frame = await self.connection.recv()
                assert isinstance(frame, bytes)
                for output in self.link.receive(decode(frame), time.monotonic()):
                    await self._take(output)

    async def _take(self, output: object) -> None:
        match output:
            case Welcome(hello_ok=hello_ok):
                self.welcome = hello_ok
            case Started():
                self.started.append(output)
            case Deliver(job=job, records=records):
                self.records.setdefault(job, []).extend(records)
                self.received_s.extend(time.time() for _ in records)
                for send in self.link.stored(job, records[-1].seq, time.monotonic()):
                    await self.send(send.message)
            case Answer(message=message):
                self.answers.append(message)
            case Send(message=message):
                await self.send(message)
            case _:
                self.heartbeats.append(output.heartbeat)  # type: ignore[attr-defined]

    def events(self, job: str) -> list[messages.Event]:
        return [record.event for record in self.records.get(job, [])]

    def states(self, job: str) -> list[str]:
        return [str(event.state) for event in self.events(job) if isinstance(event, messages.State)]

    def results(self, job: str) -> dict[str, messages.CommandResult]:
        return {event.id: event for event in self.events(job) if isinstance(event, messages.CommandResult)}

    async def until_state(self, job: str, state: str) -> None:
        await self.receive_until(lambda: self.states(job)[-1:] == [state])

    async def until_step(self, job: str, step: int) -> None:
        await self.receive_until(
            lambda: any(isinstance(event, messages.Step) and event.step >= step for event in self.events(job)[-50:])
        )

    async def start(self, script: str, job: str = "", **fields: Any) -> str:
        """Start a job whose trainer does what ``script`` says, and follow it."""
        job = job or new_id()
        command = messages.StartJob(id=new_id(), author="test", job=job, name="thing", config_toml=script, **fields)
        await self.send(command)
        await self.follow(job)
        return job

    async def command(self, kind: type, job: str, **fields: Any) -> str:
        """Send a command and return its id."""
        message = kind(id=new_id(), author="test", job=job, **fields)
        await self.send(message)
        return str(message.id)


def connect(agent: AgentProcess, **options: Any) -> Any:
    """Return the connection of a client that knows the token."""
    token = agent.home.token.read_text("ascii")
    defaults = {
        "uri": "ws://agent/",
        "subprotocols": ["loratui.v1"],
        "additional_headers": {"Authorization": f"Bearer {token}"},
        "compression": None,
        "max_size": 1 << 20,
    }
    return unix_connect(str(socket_path(agent.home.path, "agent.sock")), **{**defaults, **options})


@contextlib.asynccontextmanager
async def client_of(agent: AgentProcess, **options: Any) -> AsyncIterator[Client]:
    async with connect(agent, **options) as connection:
        client = Client(connection)
        await client.send(client.link.hello())
        await client.receive_until(lambda: client.welcome)
        yield client
