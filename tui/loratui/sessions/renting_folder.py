"""The folder of a rental on this machine: its keys, and a lock that tells whether somebody here still minds it."""

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

from loratui.store.file_lock import try_lock
from loratui_protocol.errors import HostError, StorageError

_MOVING_S = 120.0
"""Longer than a machine may take to say that it has a new deadline."""
_LOOK_S = 0.05


class RentalFolder:
    """Of one rental. The key that gets in, and the host's, are kept there as ``remote.ssh.Instance`` keeps them."""

    def __init__(self, state_dir: Path, label: str) -> None:
        self.path = state_dir / "rentals" / label
        self._descriptor: int | None = None

    def hold(self) -> None:
        """Mind the rental, until ``let_go`` or this process's end, whichever way that comes.

        Raises:
            StorageError: the folder can't be made.
        """
        self._descriptor = self._opened(self._lock)
        try_lock(self._descriptor)

    def let_go(self) -> None:
        """Mind it no more."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def remove(self) -> None:
        """Mind it no more, and forget its keys: the rental is over."""
        self.let_go()
        shutil.rmtree(self.path, ignore_errors=True)

    def is_minded(self) -> bool:
        """Return whether a process of this machine minds the rental now."""
        if self._descriptor is not None:
            return True
        try:
            descriptor = os.open(self._lock, os.O_RDWR)
        except OSError:
            return False
        try:
            return not try_lock(descriptor)
        finally:
            os.close(descriptor)

    @contextlib.asynccontextmanager
    async def moving(self, wait_s: float = _MOVING_S) -> AsyncIterator[None]:
        """Let nobody else of this machine move the end of the rental meanwhile: no other task, and no other process.

        Raises:
            HostError: somebody does, for too long.
            StorageError: the folder can't be made.
        """
        # Two that open the same file lock one another out, in one process, too.
        descriptor, began_s = self._opened(self.path / "moving"), time.monotonic()
        try:
            while not try_lock(descriptor):
                if time.monotonic() - began_s > wait_s:
                    raise HostError(
                        f"another loratui has been moving the end of this rental for {wait_s:.0f} s; "
                        "nothing was changed from here",
                        fix="loratui rentals says when it ends now; then try again",
                        code="rental.moving",
                    )
                await asyncio.sleep(_LOOK_S)
            yield
        finally:
            os.close(descriptor)

    def keep_scoped_key(self, key: str) -> None:
        """Keep the key that can end this machine and nothing else; an empty one is none.

        Raises:
            StorageError: it can't be written.
        """
        if not key:
            return
        path = self.path / "scoped_key"
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(key)
                file.flush()
                os.fsync(descriptor)
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise self._unwritable(path, error) from error

    def scoped_key(self) -> str:
        """Return that key, empty where there is none."""
        with contextlib.suppress(OSError, ValueError):
            return (self.path / "scoped_key").read_text("ascii").strip()
        return ""

    def public_key(self) -> str:
        """Return the public half, in OpenSSH's form, of the only key that gets in; made now if there is none.

        Raises:
            StorageError: it can't be made.
        """
        # Loading it takes a quarter of a second; whoever only looks at rentals needs none.
        from loratui.remote.ssh import Instance

        return Instance(self.path).key().export_public_key().decode("ascii").strip()

    @property
    def key_path(self) -> Path:
        """Return the private key that gets in."""
        return self.path / "key"

    @property
    def _lock(self) -> Path:
        return self.path / "lock"

    def _opened(self, path: Path) -> int:
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._unwritable(path, error) from error

    def _unwritable(self, path: Path, error: OSError) -> StorageError:
        return StorageError(
            f"{path} can't be written: {error.strerror}",
            fix="make room, or choose another state_dir",
            code="rental.folder",
        )
