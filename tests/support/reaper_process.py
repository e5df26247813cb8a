"""A reaper that a test starts itself, and a power switch that switches nothing."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def running_reaper(home: Path, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    argv = [sys.executable, "-m", "loratui_agent.reaper", "--home", str(home), *options]
    reaper = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    try:
        yield reaper
    finally:
        reaper.kill()
        reaper.wait()


def fake_power_switch(folder: Path, monkeypatch: pytest.MonkeyPatch, *, refuses: bool = False) -> Path:
    """Put programs first in PATH, and alone where they refuse, that leave a line in the returned file."""
    folder.mkdir()
    told = folder / "told"
    for name in ("poweroff", "shutdown", "systemctl", "sudo"):
        program = folder / name
        end = f'echo "{name}: no permission" >&2; exit 1' if refuses else "exit 0"
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> {told}\n{end}\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder) if refuses else f"{folder}:{os.environ['PATH']}")
    return told
