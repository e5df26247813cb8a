"""A small disk of its own for a test, which it can fill up and free: a tmpfs that nobody else sees."""

import contextlib
import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.sshd import may_unshare

needs_small_disk = pytest.mark.skipif(not may_unshare(), reason="mount namespaces need root and unshare")
_MOUNT = "/mnt"
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class SmallDisk:
    """The disk lives as long as ``holder``, a process that waits in the mount namespace it is in."""

    def __init__(self, holder: int) -> None:
        self._holder = holder
        self.path = Path(f"/proc/{holder}/root{_MOUNT}")
        """The disk, for every process of this machine. SQLite follows the link in it and goes astray."""
        self.inside = Path(_MOUNT)
        """The disk, for programs that are started through ``argv``."""
        self._filler = self.path / "filler"

    def argv(self, *argv: str) -> list[str]:
        """Return the command line that runs a program where the disk is mounted."""
        return ["nsenter", f"--mount=/proc/{self._holder}/ns/mnt", "--", *argv]

    def fill(self, leave: int = 0) -> None:
        """Write until the disk is full, then give back ``leave`` bytes. What is filled already stays."""
        descriptor = os.open(self._filler, os.O_RDWR | os.O_CREAT)
        try:
            for step in (1 << 20, _PAGE_BYTES):
                with full_disk():
                    while True:
                        os.posix_fallocate(descriptor, os.fstat(descriptor).st_size, step)
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - leave)
        finally:
            os.close(descriptor)

    def free(self) -> None:
        """Give back all that ``fill`` took."""
        self._filler.unlink()

    def free_bytes(self) -> int:
        """Return what is left."""
        facts = os.statvfs(self.path)
        return facts.f_bavail * facts.f_frsize


@contextlib.contextmanager
def full_disk() -> Iterator[None]:
    """End the block where the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


@contextlib.contextmanager
def small_disk(mib: int) -> Iterator[SmallDisk]:
    """Lend a disk of so many MiB. Nothing of it is left when the block ends, nor when the test is killed."""
    script = f"mount -t tmpfs -o size={mib}m,mode=0700 tmpfs {_MOUNT} && echo mounted && exec cat"
    argv = ["unshare", "-m", "--propagation", "private", "/bin/sh", "-c", script]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"mounted\n"
        # Its end of input is the end of the holder, and of the mount with it.
        yield SmallDisk(holder.pid)
