"""Powers the machine off, where this user may. Standard library only."""

import os
import shutil
import subprocess
import threading

_WAYS = (("poweroff",), ("shutdown", "-h", "now"), ("systemctl", "poweroff"))
_TIMEOUT_S = 30.0
_SYNC_LIMIT_S = 60.0


def power_off() -> str:
    """Ask the system to power off; return nothing, or why it would not. Takes a minute or two, so call it in a thread.

    The first of the usual programs that is in PATH and agrees does it, by itself or through sudo without a password.
    The machine may stay on all the same, as containers do.
    """
    _sync()
    complaints = []
    sudo = shutil.which("sudo")
    for name, *arguments in _WAYS:
        program = shutil.which(name)
        if program is None:
            continue
        for before in ([], [sudo, "-n"]) if sudo else ([],):
            complaint = _complaint([*before, program, *arguments])
            if complaint is None:
                return ""
            complaints.append(f"{name}: {complaint}")
    return "; ".join(complaints[:4]) or "this machine has no poweroff, shutdown or systemctl"


def _sync() -> None:
    """Write out what the system holds back, unless that takes too long: a disk that hangs would bill forever."""
    writing = threading.Thread(target=os.sync, name="sync", daemon=True)
    writing.start()
    writing.join(_SYNC_LIMIT_S)


def _complaint(argv: list[str]) -> str | None:
    """Return what the program had against it, None when it did it."""
    try:
        ended = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if ended.returncode == 0:
        return None
    said = (ended.stderr or ended.stdout).strip().splitlines()
    return said[-1][:200] if said else f"status {ended.returncode}"
