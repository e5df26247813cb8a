"""Opens a folder in the file manager of this machine, where there is one to be seen."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def viewer(environ: Mapping[str, str] | None = None) -> str:
    """Return the program that shows a folder; empty: over SSH, or without a desktop, nobody would see it."""
    environ = os.environ if environ is None else environ
    if environ.get("SSH_CONNECTION") or environ.get("SSH_TTY"):
        return ""
    if sys.platform == "win32":
        return shutil.which("explorer") or ""
    if sys.platform == "darwin":
        return shutil.which("open") or ""
    has_desktop = environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY")
    return (shutil.which("xdg-open", path=environ.get("PATH")) or "") if has_desktop else ""


def show_folder(program: str, folder: Path) -> None:
    """Start the program, in a session of its own, and don't wait for it.

    Raises:
        OSError: it can't be started.
    """
    subprocess.Popen(
        [program, str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
