"""The local socket that trainers connect to: events come up, commands go down."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from loratui_agent.job import Job
from loratui_agent.process import identify, signal_group
from loratui_agent.sockets import peer, private_socket
from loratui_agent.states import is_legal
from loratui_protocol import messages
from loratui_protocol.codec import FrameBuffer, to_stream
from loratui_protocol.errors import LoratuiError, ProtocolError

log = logging.getLogger(__name__)
_READ_BYTES = 1 << 16


class _Line:
    """One connected trainer."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer

    def send(self, message: messages.Message) -> None:
        self._writer.write(to_stream(message))


@contextlib.asynccontextmanager
async def trainer_socket(path: Path, find: Callable[[str], Job | None]) -> AsyncIterator[None]:
    """Listen at ``path`` inside the block; ``find`` gives the job of an id."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            pid, is_ours = peer(writer.get_extra_info("socket"))
            if is_ours:
                await _serve(reader, writer, find, pid)
        except (LoratuiError, ConnectionError) as error:
            # A full disk, too: the trainer comes back with what was not written down and tries again.
            log.warning("trainer disconnected: %s", error)
        except asyncio.CancelledError:
            # The agent ends and its trainer stays. On Python 3.11 a cancelled handler of a stream server is reported as
            # a fault of the loop, so it returns instead; nothing comes after it.
            return
        finally:
            writer.close()

    with private_socket(path) as listener:
        server = await asyncio.start_unix_server(serve, sock=listener)
        try:
            yield
        finally:
            server.close()


async def _serve(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, find: Callable[[str], Job | None], pid: int | None
) -> None:
    incoming = FrameBuffer()
    job: Job | None = None
    line = _Line(writer)
    try:
        while received := await reader.read(_READ_BYTES):
            for message in incoming.feed(received):
                if isinstance(message, messages.TrainerHello) and job is None:
                    job = _admit(message, find, pid)
                    _greet(job, line)
                elif isinstance(message, messages.TrainerEvent) and job is not None:
                    job.hear(message)
                else:
                    raise ProtocolError(f"a trainer sent {message.tag} out of turn", code="protocol.order")
    finally:
        if job is not None:
            job.disconnect(line)


def _admit(hello: messages.TrainerHello, find: Callable[[str], Job | None], pid: int | None) -> Job:
    job = find(hello.job)
    expected = job.facts.trainer if job else None
    if job is not None and expected is not None and (hello.pid, hello.attempt) == (expected.pid, job.facts.attempt):
        return job
    # Started by an agent that died before it could write that down, and replaced since: two would share a folder.
    stray = identify(hello.pid)
    if stray is not None and job is not None and hello.pid == pid:
        signal_group(stray, signal.SIGKILL)
    raise ProtocolError(f"trainer pid={hello.pid} attempt={hello.attempt} is not the one that belongs to the job")


def _greet(job: Job, line: _Line) -> None:
    job.connect(line)
    line.send(messages.TrainerWelcome(last_origin=job.last_origin))
    for command in job.pending():
        line.send(command)
    if job.facts.stop_reason and is_legal(job.state, messages.JobState.STOPPING):
        job.move(messages.JobState.STOPPING, reason=job.facts.stop_reason)
