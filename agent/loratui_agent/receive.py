"""Takes what a client uploads, on standard input, into the blobs: ``loratui-agent receive``.

The client says what it has, is told what is missing and from which byte on, and sends that as one tar stream with
members named ``<sha256>@<offset>``. Whatever ends the link, what has arrived is kept for the next attempt.
"""

import json
import os
import re
import select
import shutil
import signal
import tarfile
import time
from collections.abc import Callable
from typing import Any

from loratui_agent.blobs import Part, blob_path, bytes_here, has_blob, part_path, sync_folder
from loratui_agent.clock import now
from loratui_agent.facts import read_facts
from loratui_agent.files import full_disk_named
from loratui_agent.process import ProcessIdentity, identify, is_alive, try_lock
from loratui_protocol.errors import JobError, LoratuiError, ProtocolError, StorageError
from loratui_protocol.framing import frame_line
from loratui_protocol.inputs import MAX_FILE_BYTES, MAX_FILES, is_sha256
from loratui_protocol.paths import AgentHome

IDLE_S = 120.0
"""A client that sends nothing for so long has gone; nothing of us stays on the box for its sake."""
STALE_S = 10.0
"""A receiver that got nothing for so long hangs on a dead link, and gives way to another."""
_MAX_REQUEST_BYTES = 16 << 20
_READ_BYTES = 1 << 20
_BLOCK_BYTES = tarfile.BLOCKSIZE
_SPARE_BYTES = 64 << 20
_SAY_EVERY_S = 0.4
_SAY_SOON_S, _SAY_SOON_BYTES = 0.05, 128 << 10
"""A client sends on when it hears what has arrived: after some bytes it is told sooner."""
_PAUSE_S = 0.01
_LOCK_PATIENCE_S = 2.0
_MEMBER = re.compile(r"([0-9a-f]{64})@([0-9]{1,15})")


def receive(home: AgentHome, nonce: str, source: int, sink: int) -> int:
    """Take one upload from the descriptor ``source``, answer in frames on ``sink``; return the exit status."""
    os.umask(0o077)

    def say(fields: dict[str, Any]) -> None:
        view = memoryview(frame_line(nonce, fields))
        while view:
            view = view[os.write(sink, view) :]

    try:
        with full_disk_named(home.blobs):
            _receive(home, source, say)
    except BrokenPipeError:
        return 1  # the client has gone; what came is kept
    except LoratuiError as error:
        say({"error": {"code": error.code, "what": error.what, "fix": error.fix}})
        return error.exit_status
    return 0


def _receive(home: AgentHome, source: int, say: Callable[[dict[str, Any]], None]) -> None:
    incoming = _Incoming(source)
    sizes = _read_request(incoming)
    try:
        home.blobs.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"{home.blobs} can't be made: {error.strerror}", fix="choose another home", code="agent.home"
        ) from error
    lock = _take(home)
    try:
        offsets = {sha256: bytes_here(home, sha256, size) for sha256, size in sizes.items()}
        missing = {sha256: offset for sha256, offset in offsets.items() if not has_blob(home, sha256)}
        left = sum(sizes[sha256] - offset for sha256, offset in missing.items())
        free = shutil.disk_usage(home.blobs).free
        if left + _SPARE_BYTES > free:
            raise StorageError(
                f"the disk of {home.blobs} has {free >> 20} MiB free, {(left + _SPARE_BYTES) >> 20} MiB are needed "
                "for the files of this run; none was sent",
                fix="free space there, or use a machine with a larger disk",
            )
        say({"missing": missing, "free_bytes": free})
        _Upload(home, incoming, sizes, missing, lock, say).run()
    finally:
        os.close(lock)


class _Incoming:
    """A descriptor as a stream of exact lengths."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.pause: Callable[[], None] = lambda: None
        """Called when nothing comes for a moment."""

    def some(self, at_most: int) -> bytes:
        """Return what is there, at least one byte.

        Raises:
            JobError: the client has gone, or is silent for too long.
        """
        ready, _, _ = select.select([self._descriptor], [], [], _PAUSE_S)
        if not ready:
            self.pause()
            ready, _, _ = select.select([self._descriptor], [], [], IDLE_S)
        received = os.read(self._descriptor, min(at_most, _READ_BYTES)) if ready else b""
        if not received:
            raise JobError("the upload was cut off", fix="it goes on at the next connection", code="upload.cut")
        return received

    def exactly(self, size: int) -> bytes:
        """Return ``size`` bytes; errors as in ``some``."""
        pieces = bytearray()
        while len(pieces) < size:
            pieces += self.some(size - len(pieces))
        return bytes(pieces)


def _read_request(incoming: _Incoming) -> dict[str, int]:
    """Return the size of each blob that the client has."""
    length = int.from_bytes(incoming.exactly(8), "big")
    if length > _MAX_REQUEST_BYTES:
        raise _garbage(f"a list of {length} bytes")
    try:
        sizes = json.loads(incoming.exactly(length))["blobs"]
        rows = list(sizes.items())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _garbage("no list of files") from error
    for sha256, size in rows:
        if not is_sha256(sha256) or type(size) is not int or not 0 <= size <= MAX_FILE_BYTES:
            raise _garbage(f"{sha256!r} of {size!r} bytes")
    # Manifest, lock files and uv travel beside the files of the manifest.
    if len(rows) > MAX_FILES + 100:
        raise _garbage(f"{len(rows)} files")
    return dict(rows)


def _take(home: AgentHome) -> int:
    """Return the lock that only one receiver of a home holds; one that hangs on a dead link is ended first.

    Its holder touches it as long as anything arrives, and while it looks at what has arrived before.

    Raises:
        JobError: another one is at work.
    """
    path = home.blobs / "receive.lock"
    deadline_s = time.monotonic() + _LOCK_PATIENCE_S
    while (lock := try_lock(path)) is None:
        _end_stale(home)
        if time.monotonic() > deadline_s:
            raise JobError("another client is uploading to this machine", fix="wait for it", code="upload.busy")
        time.sleep(0.05)
    own = identify(os.getpid())
    os.ftruncate(lock, 0)
    os.write(lock, json.dumps({"pid": os.getpid(), "mark": own.mark if own else ""}).encode("ascii"))
    _touch(lock)
    return lock


def _touch(lock: int) -> None:
    """Say that its holder is at work, in seconds since the boot: the other clock may be set meanwhile."""
    boot_s = now().boot_s
    os.utime(lock, (boot_s, boot_s))


def _end_stale(home: AgentHome) -> None:
    path = home.blobs / "receive.lock"
    facts = read_facts(path)
    try:
        silent_s = now().boot_s - path.stat().st_mtime
        holder = ProcessIdentity(pid=int(facts["pid"]), mark=str(facts["mark"]))
    except (OSError, KeyError, TypeError, ValueError):
        return
    if silent_s > STALE_S and is_alive(holder):
        os.kill(holder.pid, signal.SIGKILL)


class _Upload:
    """One tar stream, member by member."""

    def __init__(
        self,
        home: AgentHome,
        incoming: _Incoming,
        sizes: dict[str, int],
        missing: dict[str, int],
        lock: int,
        say: Callable[[dict[str, Any]], None],
    ) -> None:
        self._home = home
        self._incoming = incoming
        self._sizes = sizes
        self._missing = missing
        self._lock = lock
        self._say = say
        self._said_s = time.monotonic()
        self._received = 0
        self._said = 0
        self._bad: list[str] = []

    def run(self) -> None:
        """Take the members until the archive ends."""
        self._incoming.pause = self._tell
        while any(header := self._incoming.exactly(_BLOCK_BYTES)):
            self._take(header)
        sync_folder(self._home.blobs)
        self._say({"received": self._received})
        self._say({"done": True, "bad": self._bad})

    def _take(self, header: bytes) -> None:
        try:
            member = tarfile.TarInfo.frombuf(header, "ascii", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError) as error:
            raise _garbage("no tar header") from error
        named = _MEMBER.fullmatch(member.name)
        sha256 = named[1] if named else ""
        # Each once, in the length that was said: a stream can't be longer than what was asked for.
        offset = self._missing.pop(sha256, None)
        if named is None or offset is None or not member.isreg():
            raise _garbage(f"a member {member.name[:100]!r} that nobody asked for")
        if int(named[2]) != offset or member.size != self._sizes[sha256] - offset:
            raise _garbage(f"{member.size} bytes of {member.name[:100]!r}, which is another length than announced")
        with Part(part_path(self._home, sha256), lambda: _touch(self._lock)) as part:
            if offset == 0:
                part.restart()
            if part.size != offset:
                raise _garbage(f"bytes from {offset} on, where {part.size} are here")
            left = member.size
            while left:
                content = self._incoming.some(left)
                part.append(content)
                left -= len(content)
                self._count(len(content))
            self._incoming.exactly(-member.size % _BLOCK_BYTES)
            if part.sha256 == sha256:
                part.put(blob_path(self._home, sha256))
            else:
                # The client looks at its file again, and sends it anew or says that it has changed.
                part.drop()
                self._bad.append(sha256)

    def _count(self, num_bytes: int) -> None:
        self._received += num_bytes
        waited_s = time.monotonic() - self._said_s
        is_much = self._received - self._said >= _SAY_SOON_BYTES
        if waited_s >= _SAY_EVERY_S or (waited_s >= _SAY_SOON_S and is_much):
            self._tell()

    def _tell(self) -> None:
        """Say how much has arrived, if that is news."""
        if self._received == self._said:
            return
        self._said, self._said_s = self._received, time.monotonic()
        _touch(self._lock)
        self._say({"received": self._received})


def _garbage(what: str) -> ProtocolError:
    return ProtocolError(
        f"the upload is refused: {what}", fix="use the same version of loratui everywhere", code="upload.garbage"
    )
