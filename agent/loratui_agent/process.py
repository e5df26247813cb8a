"""Processes that outlive their parent: who they are, whether they live, how to signal them. Standard library only.

A pid alone names nobody: the kernel gives it to the next process. Pid and start mark together do.
"""

import contextlib
import fcntl
import hashlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessIdentity:
    """A process on this machine since its last boot; ``mark`` says when it started, in the system's own words."""

    pid: int
    mark: str


def identify(pid: int) -> ProcessIdentity | None:
    """Return the identity of the process that has this pid now, None when there is none or it is a zombie."""
    mark = _linux_mark(pid) if sys.platform == "linux" else _ps_mark(pid)
    return ProcessIdentity(pid=pid, mark=mark) if mark else None


def is_alive(identity: ProcessIdentity) -> bool:
    """Return whether this very process still runs."""
    return identify(identity.pid) == identity


def signal_group(identity: ProcessIdentity, signum: signal.Signals) -> bool:
    """Signal the process group that the process leads; return whether it was still there."""
    if not is_alive(identity):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.killpg(identity.pid, signum)
        return True
    return False


def boot_mark() -> bytes:
    """Return eight bytes that change with every boot of the machine."""
    if sys.platform == "linux":
        text = Path("/proc/sys/kernel/random/boot_id").read_text("ascii")
    else:
        text = subprocess.run(["sysctl", "-n", "kern.boottime"], capture_output=True, text=True, check=True).stdout
    return hashlib.sha256(text.encode()).digest()[:8]


def try_lock(path: Path) -> int | None:
    """Return a descriptor that holds the file's lock for as long as it is open, None when another process holds it.

    The kernel lets go of the lock when its holder dies, however it dies: no lock is ever stale.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def is_locked(path: Path) -> bool:
    """Return whether some process holds the file's lock."""
    if not path.exists():
        return False
    descriptor = try_lock(path)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def _linux_mark(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    # The name before the last parenthesis may hold anything, spaces and parentheses included.
    fields = stat.rpartition(")")[2].split()
    state, start_ticks = fields[0], fields[19]
    return "" if state in "ZX" else start_ticks


def _ps_mark(pid: int) -> str:
    answer = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, started = answer.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else started.strip()
