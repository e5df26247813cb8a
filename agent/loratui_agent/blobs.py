"""Content-addressed files of an agent's home: ``blobs/<sha256>`` is complete and verified, ``.part`` is on its way.

What has arrived of a file stays when its bringer goes: the next one goes on from there.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from loratui_agent.files import disk_full_error, fsync_path
from loratui_protocol.errors import JobError
from loratui_protocol.paths import AgentHome

_BLOCK_BYTES = 1 << 20


def blob_path(home: AgentHome, sha256: str) -> Path:
    """Return where a blob lies; ``sha256`` must have passed ``inputs.is_sha256``."""
    return home.blobs / sha256


def part_path(home: AgentHome, sha256: str) -> Path:
    """Return where a blob grows until it is complete."""
    return home.blobs / f"{sha256}.part"


def has_blob(home: AgentHome, sha256: str) -> bool:
    """Return whether the blob is here, complete: it got its name after its hash was verified."""
    return blob_path(home, sha256).is_file()


def bytes_here(home: AgentHome, sha256: str, size: int) -> int:
    """Return how much of a blob has arrived; what is longer than ``size`` does not count."""
    if has_blob(home, sha256):
        return size
    try:
        arrived = part_path(home, sha256).stat().st_size
    except FileNotFoundError:
        return 0
    return arrived if arrived <= size else 0


class Part:
    """An unfinished file that is ours alone while it is open, and the hash of what is in it.

    Raises:
        JobError: another process has it open.
    """

    def __init__(self, path: Path, on_block: Callable[[], None] = lambda: None) -> None:
        """Name the file; it is opened, and what an earlier attempt left is hashed, when the block is entered.

        That takes minutes for many gigabytes; ``on_block`` is called again and again meanwhile.
        """
        self.path = path
        self._on_block = on_block
        self.size = 0
        self._digest = hashlib.sha256()
        self._descriptor = -1

    def __enter__(self) -> "Part":
        # No link is followed: the name must be a file of ours.
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(self.path, flags, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            while block := os.read(self._descriptor, _BLOCK_BYTES):
                self._digest.update(block)
                self.size += len(block)
                self._on_block()
        except BlockingIOError as error:
            os.close(self._descriptor)
            raise JobError(
                f"another process is bringing {self.path.stem}", fix="wait for it", code="upload.busy"
            ) from error
        except BaseException:
            os.close(self._descriptor)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    @property
    def sha256(self) -> str:
        """Return the hash of what is there now."""
        return self._digest.hexdigest()

    def restart(self) -> None:
        """Throw away what is there."""
        os.ftruncate(self._descriptor, 0)
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        self.size, self._digest = 0, hashlib.sha256()

    def append(self, content: bytes | memoryview) -> None:
        """Write at the end.

        Raises:
            StorageError: the disk is full; what was written before is kept.
        """
        view = memoryview(content)
        try:
            while view:
                written = os.write(self._descriptor, view)
                self._digest.update(view[:written])
                self.size += written
                view = view[written:]
        except OSError as error:
            full = disk_full_error(error, self.path)
            if full is not None:
                raise full from error
            raise

    def put(self, destination: Path) -> None:
        """Make the content durable and give it its name; the folder's list of names is the caller's to sync."""
        os.fsync(self._descriptor)
        self.path.replace(destination)

    def drop(self) -> None:
        """Remove the unfinished file."""
        self.path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive a crash of the machine."""
    fsync_path(folder)
