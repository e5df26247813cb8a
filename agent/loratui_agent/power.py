"""Powers the machine off, where this user may. Standard library only."""

import shutil
import subprocess

_WAYS = (("poweroff",), ("shutdown", "-h", "now"), ("systemctl", "poweroff"))
_TIMEOUT_S = 30.0


def power_off() -> str:
    """Ask the system to power off; return nothing, or why it would not. Takes seconds, so call it in a thread.

    The first of the usual programs that is in PATH and agrees does it, by itself or through sudo without a password.
    """
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
