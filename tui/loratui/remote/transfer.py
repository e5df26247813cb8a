"""Fetches one artifact: into ``.part``, on from where an earlier attempt ended, verified, then under its name."""

import asyncio
import collections
import errno
import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from loratui.domain.read_ahead import ReadAhead
from loratui.remote.file_stream import FileWay, stream
from loratui.remote.in_thread import in_thread
from loratui.remote.safetensors_header import check_safetensors
from loratui.store.file_lock import try_lock
from loratui_protocol.errors import JobError, ProtocolError, StorageError
from loratui_protocol.messages import Artifact, Chunk, Refused

MAX_ARTIFACT_BYTES = 8 << 30
ANSWER_S = 60.0
"""Without the next piece for so long others may come first: an agent that is heard need not answer."""
_SPARE_BYTES = 64 << 20
_HASH_BLOCK_BYTES = 1 << 20


class ArtifactReader(Protocol):
    """Who is asked for bytes; ``AgentClient`` is one."""

    async def ask_artifact(
        self, job: str, artifact_id: str, offset: int, length: int
    ) -> asyncio.Future[Chunk | Refused]:
        """Ask for ``length`` bytes at ``offset``; return what will hold the answer."""
        ...


async def download(
    agent: ArtifactReader | FileWay,
    job: str,
    artifact: Artifact,
    destination: Path,
    progress: Callable[[int], None] = lambda _: None,
    ahead: ReadAhead | None = None,
) -> None:
    """Put the artifact at ``destination``, which then is complete, verified and on the disk, or untouched.

    ``progress`` is told the bytes that are here, at first those of an earlier attempt; ``ahead`` is what is known of
    the way. An interrupted download leaves ``.part`` and goes on from it.

    Raises:
        ProtocolError: the agent sent other bytes than it announced; ``.part`` is gone then.
        JobError: the agent has no such file (any more), or does not answer (``artifact.silent``).
        StorageError: the disk is full, or another process is fetching the same file.
    """
    if not 0 <= artifact.size <= MAX_ARTIFACT_BYTES:
        raise ProtocolError(f"{destination.name} is said to have {artifact.size} bytes", code="artifact.too_large")
    part = destination.with_name(destination.name + ".part")
    try:
        destination.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _Part(part) as opened:
            here = await in_thread(opened.take_up, artifact.size)
            _check_space(destination.parent, artifact.size - here)
            progress(here)
            try:
                if isinstance(agent, FileWay):
                    await _stream(agent, job, artifact, opened, here, destination, progress, ahead or ReadAhead())
                else:
                    await _fetch(agent, job, artifact, opened, here, progress, ahead or ReadAhead())
                await in_thread(_verify, opened, part, artifact, destination)
            except ProtocolError as error:
                if error.code.startswith("artifact."):
                    part.unlink()
                raise
            await in_thread(opened.put, destination)
    except OSError as error:
        raise _unwritable(destination, error) from error


def _unwritable(destination: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{destination} can't be written: {error.strerror}; the file stays on the agent",
        fix="free some space or correct the folder's permissions",
        code="disk.full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "disk.write",
    )


def _verify(opened: "_Part", part: Path, artifact: Artifact, destination: Path) -> None:
    if opened.digest.hexdigest() != artifact.sha256:
        raise ProtocolError(
            f"{destination.name} arrived damaged: its SHA-256 is not the announced one",
            fix="it is fetched again",
            code="artifact.corrupt",
        )
    if destination.suffix == ".safetensors":
        check_safetensors(part)


async def _stream(
    way: FileWay,
    job: str,
    artifact: Artifact,
    opened: "_Part",
    here: int,
    destination: Path,
    progress: Callable[[int], None],
    ahead: ReadAhead,
) -> None:
    """Append the missing bytes as they come; hashing and writing go on in a thread beside."""
    loop = asyncio.get_running_loop()

    def put(content: bytes) -> None:
        nonlocal here
        try:
            opened.append(content)
        except OSError as error:
            # Named here: an error of the system that comes out of the stream is one of the way.
            raise _unwritable(destination, error) from error
        here += len(content)
        loop.call_soon_threadsafe(progress, here)

    await stream(way, job, artifact.id, artifact.size, here=here, ahead=ahead, put=put)


async def _fetch(
    agent: ArtifactReader,
    job: str,
    artifact: Artifact,
    opened: "_Part",
    here: int,
    progress: Callable[[int], None],
    ahead: ReadAhead,
) -> None:
    """Append the missing bytes, asking for more before what was asked for has arrived."""
    waiting: collections.deque[tuple[int, int, float, asyncio.Future[Chunk | Refused]]] = collections.deque()
    asked = here
    while here < artifact.size:
        while asked < artifact.size and (not waiting or ahead.may_ask(asked - here)):
            wait_s = ahead.wait_s(time.monotonic())
            if wait_s and waiting:
                break
            await asyncio.sleep(wait_s)
            length = min(ahead.chunk_bytes, artifact.size - asked)
            ahead.asked(length, time.monotonic())
            waiting.append((asked, length, time.monotonic(), await agent.ask_artifact(job, artifact.id, asked, length)))
            asked += length
        offset, length, asked_s, answer = waiting.popleft()
        try:
            async with asyncio.timeout(ANSWER_S):
                chunk = await answer
        except TimeoutError as error:
            raise JobError("the agent does not answer for it", fix="loratui attach", code="artifact.silent") from error
        ahead.arrived(length, asked_s, time.monotonic())
        if isinstance(chunk, Refused):
            raise JobError(chunk.what, fix=chunk.fix, code=chunk.code)
        if (chunk.offset, chunk.total, len(chunk.content)) != (offset, artifact.size, length):
            raise ProtocolError(
                f"asked for {length} bytes at {offset} of {artifact.size}, got {len(chunk.content)} at "
                f"{chunk.offset} of {chunk.total}",
                fix="it is fetched again",
                code="artifact.corrupt",
            )
        opened.append(chunk.content)
        here += length
        progress(here)


def _check_space(folder: Path, missing: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < missing + _SPARE_BYTES:
        raise StorageError(
            f"{folder} has {free >> 20} MiB free, {(missing + _SPARE_BYTES) >> 20} MiB are needed; the file stays on "
            "the agent",
            fix="free some space",
        )


class _Part:
    """The unfinished file, ours alone while it is open, and the hash of what is in it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self.digest = hashlib.sha256()

    def __enter__(self) -> "_Part":
        # No link is followed: the name must be a file of ours.
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        self._descriptor = os.open(self._path, flags, 0o600)
        if not try_lock(self._descriptor):
            os.close(self._descriptor)
            raise StorageError(
                f"another process is fetching {self._path.stem}", fix="wait for it", code="transfer.elsewhere"
            )
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def take_up(self, size: int) -> int:
        """Hash what an earlier attempt left and return how much that is; what is too long is thrown away."""
        if os.fstat(self._descriptor).st_size > size:
            os.ftruncate(self._descriptor, 0)
        here = 0
        while block := os.read(self._descriptor, _HASH_BLOCK_BYTES):
            self.digest.update(block)
            here += len(block)
        return here

    def append(self, content: bytes) -> None:
        """Write at the end."""
        self.digest.update(content)
        view = memoryview(content)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def put(self, destination: Path) -> None:
        """Make the file durable and give it its name."""
        os.fsync(self._descriptor)
        self._path.replace(destination)
        if sys.platform != "win32":
            folder = os.open(destination.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
