"""Sends files to a box's blobs: asks what is missing, then one tar stream, on from where an earlier attempt ended."""

import asyncio
import json
import stat
import tarfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loratui.domain.transfer_cost import Speed
from loratui.remote.box import Box, BoxProcess
from loratui.remote.groups import one_error
from loratui.remote.pacing import Pace
from loratui.remote.told import told_error
from loratui_protocol.errors import (
    DatasetError,
    HostError,
    JobError,
    LoratuiError,
    ProtocolError,
    StorageError,
)
from loratui_protocol.framing import new_nonce

MAX_FAILURES = 6
"""Attempts in a row that bring nothing before it is given up; every byte that arrives begins the count anew."""
_BLOCK_BYTES = 256 << 10
_BATCH_BYTES = 128 << 10
_RETRY_FIRST_S = 0.5
_RETRY_LAST_S = 30.0
_BUSY_S = 2.0
STALL_S = 120.0
"""No byte counted for so long, while the link lives: the other end hangs, and another attempt is made."""
_REREAD_BYTES_PER_S = 20e6
"""Before it goes on with a file it reads what it has of it, at least so fast."""
_SAY_EVERY_S = 0.4
_FOREVER = ("ssh.auth", "ssh.host_key", "ssh.host_key_changed", "ssh.forwarding")
"""What trying again does not mend."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalBlob:
    """What a blob is made of on this machine: a file as it was when it was hashed, or bytes."""

    size: int
    path: Path | None = None
    mtime_ns: int = 0
    content: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """How far an upload is; ``done`` counts what the box said it has, earlier attempts included."""

    done: int
    total: int
    bytes_per_s: float | None = None
    """Measured at the box; None until there is enough to measure."""
    message: str = ""

    @property
    def left(self) -> int:
        """Return the bytes that are still to travel."""
        return self.total - self.done


Watch = Callable[[Uploaded], None]
"""Told about twice a second, and at the end. What it raises ends the upload; what has arrived is kept."""


async def upload(box: Box, argv: Sequence[str], blobs: Mapping[str, LocalBlob], watch: Watch) -> None:
    """Have every blob on the box. ``argv`` is its ``loratui-agent receive``, without the nonce.

    Raises:
        HostError: the box can't be reached any more; the next call goes on from there.
        DatasetError: a file has changed since it was hashed.
        StorageError: the box's disk is too small.
        ProtocolError: the box takes what was sent for something else.
    """
    state = _State(blobs=blobs, watch=watch)
    failures = 0
    while True:
        before = state.arrived
        try:
            damaged = await _attempt(box, argv, state)
            if not damaged:
                return
            await asyncio.to_thread(_check_unchanged, [blobs[sha256] for sha256 in damaged])
            failures += 1
            error: LoratuiError = ProtocolError(
                f"{len(damaged)} files arrived damaged", fix="try again", code="upload.damaged"
            )
            delay_s = 0.0
        except HostError as lost:
            if lost is state.refusal or lost.code in _FOREVER:
                raise
            failures = 1 if state.arrived > before else failures + 1
            delay_s = min(_RETRY_LAST_S, _RETRY_FIRST_S * 2 ** (failures - 1))
            error = lost
        except JobError as refused:
            if refused.code not in ("upload.busy", "upload.cut"):
                raise
            # Another client brings files to this box, of this run perhaps: then there is nothing left to do.
            state.say("another client is uploading" if refused.code == "upload.busy" else "")
            failures += refused.code == "upload.cut"
            delay_s = _BUSY_S
            error = HostError(refused.what, fix=refused.fix, code="ssh.lost")
        if failures > MAX_FAILURES:
            raise error
        await asyncio.sleep(delay_s)


class _State:
    """What is known of an upload through all its attempts."""

    def __init__(self, *, blobs: Mapping[str, LocalBlob], watch: Watch) -> None:
        self.blobs = blobs
        self.total = sum(blob.size for blob in blobs.values())
        self.arrived = 0
        self.refusal: LoratuiError | None = None
        """What the watch raised: no failure of the link, and not to be tried again."""
        self._watch = watch
        self._speed = Speed()
        self._said_s = 0.0

    def count(self, arrived: int) -> None:
        self.arrived = arrived
        now_s = time.monotonic()
        self._speed.add(now_s, arrived)
        if now_s - self._said_s >= _SAY_EVERY_S or arrived == self.total:
            self._said_s = now_s
            self.say()

    def say(self, message: str = "") -> None:
        speed = self._speed.bytes_per_s()
        try:
            self._watch(Uploaded(done=self.arrived, total=self.total, bytes_per_s=speed, message=message))
        except LoratuiError as error:
            self.refusal = error
            raise


async def _attempt(box: Box, argv: Sequence[str], state: _State) -> list[str]:
    """Send once what is missing; return the blobs that arrived damaged."""
    nonce = new_nonce()
    async with box.process([*argv, "--nonce", nonce], nonce) as process:
        async with _stalled_after(box, STALL_S):
            missing = await _ask(process, state)
        here = state.total - sum(state.blobs[sha256].size - offset for sha256, offset in missing.items())
        state.count(here)
        flow = _Flow(process)
        patience_s = STALL_S + max(missing.values(), default=0) / _REREAD_BYTES_PER_S
        with one_error():
            async with asyncio.TaskGroup() as tasks, _stalled_after(box, patience_s) as moved:
                sender = tasks.create_task(_send(flow, state.blobs, missing), name="upload")
                bad = await _listen(process, state, flow, here, moved)
                sender.cancel()
    return bad


@asynccontextmanager
async def _stalled_after(box: Box, patience_s: float) -> AsyncIterator[Callable[[], None]]:
    """Give up what goes on in the block unless the function that it is given is called once in ``patience_s``.

    Raises:
        HostError: it was not.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(patience_s) as limit:
            yield lambda: limit.reschedule(loop.time() + patience_s)
    except TimeoutError as error:
        raise HostError(
            f"{box.name} has taken nothing of the upload for {patience_s:.0f} s; what it has stays there",
            fix="wait: it is tried again",
            code="ssh.lost",
        ) from error


async def _ask(process: BoxProcess, state: _State) -> dict[str, int]:
    """Return the blobs that are missing there, each with the bytes of it that are there."""
    request = json.dumps({"blobs": {sha256: blob.size for sha256, blob in state.blobs.items()}}).encode("ascii")
    await process.write(len(request).to_bytes(8, "big") + request)
    missing = _checked(await process.frame()).get("missing")
    if not isinstance(missing, dict):
        raise _nonsense()
    for sha256, offset in missing.items():
        blob = state.blobs.get(sha256)
        if blob is None or type(offset) is not int or not 0 <= offset <= blob.size:
            raise _nonsense()
    return missing


class _Flow:
    """Writes no faster than the other end takes."""

    def __init__(self, process: BoxProcess) -> None:
        self._process = process
        self._pace = Pace()
        self._moved = asyncio.Event()

    async def write(self, content: bytes, num_counted: int) -> None:
        """Write once there is room; ``num_counted`` bytes of it are what the other end counts."""
        while not self._pace.may_send:
            self._moved.clear()
            await self._moved.wait()
        self._pace.sent(num_counted, time.monotonic())
        await self._process.write(content)

    async def end(self) -> None:
        """Write nothing more."""
        await self._process.write_eof()

    def arrived(self, total: int) -> None:
        """Take note of what the other end has counted."""
        self._pace.arrived(total, time.monotonic())
        self._moved.set()


async def _listen(process: BoxProcess, state: _State, flow: _Flow, here: int, moved: Callable[[], None]) -> list[str]:
    """Count what the box says has arrived, to its last word; return what arrived damaged."""
    most = 0
    while True:
        frame = _checked(await process.frame())
        received, bad = frame.get("received"), frame.get("bad")
        if type(received) is int and here <= here + received <= state.total:
            if received > most:
                most = received
                moved()
            flow.arrived(received)
            state.count(here + received)
        elif frame.get("done") is True and isinstance(bad, list) and all(sha256 in state.blobs for sha256 in bad):
            return bad
        else:
            raise _nonsense()


def _checked(frame: dict[str, Any]) -> dict[str, Any]:
    """Return the frame, unless it is the box's refusal."""
    told = told_error(frame, "disk.", "upload.", "agent.", "host.")
    if told is None:
        return frame
    family = told.code.partition(".")[0]
    kind = StorageError if family == "disk" else JobError if family == "upload" else HostError
    raise kind(told.what, fix=told.fix, code=told.code or "host.agent")


def _nonsense() -> ProtocolError:
    return ProtocolError(
        "the box answers an upload with something else", fix="use the same version of loratui", code="upload.garbage"
    )


async def _send(flow: _Flow, blobs: Mapping[str, LocalBlob], missing: Mapping[str, int]) -> None:
    """Write the tar stream; small files share a write."""
    batch = bytearray()
    counted = 0
    try:
        # What others wait for comes first: the order is that of the blobs.
        for sha256 in blobs:
            if sha256 not in missing:
                continue
            blob, offset = blobs[sha256], missing[sha256]
            header = tarfile.TarInfo(f"{sha256}@{offset}")
            header.size = blob.size - offset
            batch += header.tobuf(tarfile.GNU_FORMAT)
            async for block in _blocks(blob, offset):
                batch += block
                counted += len(block)
                if len(batch) >= _BATCH_BYTES:
                    await flow.write(bytes(batch), counted)
                    batch.clear()
                    counted = 0
            batch += bytes(-header.size % tarfile.BLOCKSIZE)
        await flow.write(bytes(batch) + bytes(2 * tarfile.BLOCKSIZE), counted)
        await flow.end()
    except HostError:
        # Why it takes no more the box says itself, or the next frame that is waited for does.
        return


async def _blocks(blob: LocalBlob, offset: int) -> AsyncIterator[bytes]:
    """Give the blob's bytes from ``offset`` on, exactly as many as were announced."""
    if blob.path is None:
        yield blob.content[offset:]
        return
    await asyncio.to_thread(_check_unchanged, [blob])
    while offset < blob.size:
        block = await asyncio.to_thread(_read, blob.path, offset, min(blob.size - offset, _BLOCK_BYTES))
        offset += len(block)
        yield block


def _read(path: Path, offset: int, most: int) -> bytes:
    """Return some bytes of a file. It is opened for each block: a sender that is cancelled leaves no file open."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            block = file.read(most)
    except OSError as error:
        raise _changed(path) from error
    if not block:
        raise _changed(path)
    return block


def _check_unchanged(blobs: Sequence[LocalBlob]) -> None:
    """Return if the files are as they were when they were hashed.

    Raises:
        DatasetError: naming the one that is not.
    """
    for blob in blobs:
        if blob.path is None:
            continue
        try:
            facts = blob.path.stat()
        except OSError as error:
            raise _changed(blob.path) from error
        if not stat.S_ISREG(facts.st_mode) or (facts.st_size, facts.st_mtime_ns) != (blob.size, blob.mtime_ns):
            raise _changed(blob.path)


def _changed(path: Path) -> DatasetError:
    return DatasetError(
        f"{path} has changed since this run was started; what was sent of it before stays unused",
        fix="put the file back as it was, or start the run anew",
        code="inputs.changed",
    )
