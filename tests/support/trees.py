"""Folders as values: what is in them, and what becomes of them when a program is killed at work."""

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from loratui.preflight.places import UNDO_FOLDER

_DISK = ("open", "os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.chmod")


def tree(folder: Path) -> dict[str, tuple[int, bytes | None]]:
    """Return mode and content of all below a folder by name; None is a folder's. Records of edits are left out."""
    return {
        path.relative_to(folder).as_posix(): (path.lstat().st_mode, path.read_bytes() if path.is_file() else None)
        for path in sorted(folder.rglob("*"))
        if UNDO_FOLDER not in path.parts
    }


def killed_everywhere(original: Path, work: Callable[[Path], object]) -> Iterator[Path]:
    """Yield copies of a folder on which ``work`` was killed: before what it first does on the disk, before the second
    and so on; the last copy is one on which it came to its end. Only for programs with one thread.
    """
    index, is_done = 0, False
    while not is_done:
        copy = original.with_name(f"{original.name}-{index}")
        shutil.copytree(original, copy)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                _kill_before(index)
                work(copy)
                status = 0
            finally:
                # The tests around it are the parent's.
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert status in (0, -signal.SIGKILL)
        is_done = status == 0
        yield copy
        shutil.rmtree(copy)
        index += 1


def _kill_before(index: int) -> None:
    left = index

    def hear(event: str, _: object) -> None:
        nonlocal left
        if event in _DISK:
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

    sys.addaudithook(hear)
